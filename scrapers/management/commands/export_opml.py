"""`manage.py export_opml`: all sources as an OPML file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scrapers import opml
from scrapers.models import Source


class Command(BaseCommand):
    """Write all sources as OPML, for another reader or another NEWSS."""

    help = "Writes all sources as OPML 2.0 to standard output or a file; import_opml reads it back in full."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--output", metavar="FILE", help="Write to this file (default: standard output).")

    def handle(self, *args: Any, output: str | None, **options: Any) -> None:
        """Write the file."""
        written = opml.write(Source.objects.prefetch_related("tags"))
        if output is None:
            self.stdout.write(written.decode())
            return
        try:
            Path(output).write_bytes(written)
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}") from error
