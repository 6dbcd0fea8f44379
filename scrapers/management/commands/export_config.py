"""`manage.py export_config`: sources, topics and schedules as a file for another installation."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scrapers.transfer import dump, to_text


class Command(BaseCommand):
    """Write sources, inherited settings, topics and schedules as YAML or JSON, secrets masked."""

    help = "Write sources, topics and schedules as YAML or JSON, for import_config elsewhere. Secrets are masked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file and the form."""
        parser.add_argument("file", nargs="?", default="-", help="- (the default) for standard output")
        parser.add_argument("--format", choices=["yaml", "json"], default="yaml")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write; raises `CommandError` when the file cannot be written."""
        text = to_text(dump(), options["format"])
        if options["file"] == "-":
            self.stdout.write(text, ending="")
            return
        try:
            Path(options["file"]).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
