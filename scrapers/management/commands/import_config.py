"""`manage.py import_config`: takes in what `export_config` wrote elsewhere."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from scrapers.transfer import Fate, TransferError, from_text, load


class Command(BaseCommand):
    """Store sources, inherited settings, topics and schedules from a file, and tell what became of each."""

    help = "Store what export_config wrote: all of it or, if an entry is refused, nothing. What is here besides stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the file and how to go about it."""
        parser.add_argument("file", help="- for standard input")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would become of each entry")
        parser.add_argument("--skip-refused", action="store_true", help="store the others when some are refused")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, store and report; raises `CommandError` when something is refused."""
        name = options["file"]
        try:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
            data = from_text(text)
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{name}: {error}") from error
        except TransferError as error:
            raise CommandError(str(error)) from error
        lines = load(data, dry_run=options["dry_run"], skip_refused=options["skip_refused"])
        for line in lines:
            style = self.style.ERROR if line.fate is Fate.REFUSED else self.style.SUCCESS
            self.stdout.write(" ".join(filter(None, [style(line.fate), line.section, line.name, line.why])))
            if line.todo:
                self.stdout.write(self.style.WARNING(f"    {line.todo}"))
        counts = Counter(line.fate for line in lines)
        words = _("%(new)d new, %(changed)d changed, %(same)d same, %(refused)d refused.")
        self.stdout.write(words % {fate.value: counts[fate] for fate in Fate})
        if options["dry_run"]:
            self.stdout.write(_("Nothing was stored: this was a dry run."))
        elif counts[Fate.REFUSED] and not options["skip_refused"]:
            raise CommandError(_("Nothing was stored. Mend what is refused, or give --skip-refused."))
