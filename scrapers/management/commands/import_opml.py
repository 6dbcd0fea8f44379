"""`manage.py import_opml FILE`: add the feeds of an OPML file as sources."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from scrapers import opml


class Command(BaseCommand):
    """Add the feeds of an OPML file as sources, and report what became of each."""

    help = "Adds the feeds of an OPML file as sources; folders become tags, and nothing is stored twice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments."""
        parser.add_argument("file", help="The file; - for standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Report only.")

    def handle(self, *args: Any, file: str, dry_run: bool, **options: Any) -> None:
        """Import, and print a line for each feed that was not added, then the counts."""
        try:
            data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
            outlines = opml.read(data)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error
        except opml.OpmlError as error:
            raise CommandError(f"{file}: {error}") from error
        with transaction.atomic():
            report = opml.import_outlines(outlines)
            transaction.set_rollback(dry_run)
        for word, lines in (("refused", report.refused), ("known", report.known)):
            for line in lines:
                self.stdout.write(f"{word}: {line.name} {line.url}: {line.why}")
        for line in report.added:
            if line.todo:
                self.stdout.write(f"{line.name} {line.url}: {line.todo}")
        would = "would be " if dry_run else ""
        self.stdout.write(
            f"{len(report.added)} {would}added, {len(report.known)} known, {len(report.refused)} refused."
        )
