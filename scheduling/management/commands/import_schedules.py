"""`manage.py import_schedules`: schedules from a crontab, from django-celery-beat, from raw django-apscheduler jobs."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils.translation import gettext as _

from scheduling.imports import apscheduler_jobs, celery_beat
from scheduling.imports.crontab_file import Crontab
from scheduling.imports.lines import Line, check, save
from scheduling.imports.mapping import Refused
from scheduling.models.timing import validate_zone


class Command(BaseCommand):
    """Turn what another scheduler runs into schedules; `--dry-run` lists what becomes of each line."""

    help = (
        "Imports schedules from a crontab file, from django-celery-beat's tables or from raw django-apscheduler jobs. "
        "Nothing is imported while any line is refused, unless --skip-refused is given. The originals are left as they "
        "are: switch them off, or import with --disabled first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add a subcommand for each source, and the options that they share."""
        sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
        crontab = sources.add_parser("crontab", help="a crontab file; its commands run by the job run_command")
        crontab.add_argument("file", help="The file, or - for standard input, e.g. crontab -l | … crontab -")
        crontab.add_argument("--system", action="store_true", help="Lines name a user, as in /etc/crontab.")
        celery = sources.add_parser("celery-beat", help="django-celery-beat's tables")
        apscheduler = sources.add_parser("apscheduler", help="jobs that code added to django-apscheduler's store")
        for source in (celery, apscheduler):
            source.add_argument("--database", default="default", metavar="ALIAS", help="The database of its tables.")
            source.add_argument(
                "--map",
                action="append",
                default=[],
                metavar="NAME=JOB",
                help="The registered job that a task or callable becomes; may be given several times.",
            )
        for source in (crontab, celery, apscheduler):
            source.add_argument("--dry-run", action="store_true", help="Only list what would become of each line.")
            source.add_argument("--skip-refused", action="store_true", help="Import the others when some are refused.")
            source.add_argument("--disabled", action="store_true", help="Import everything disabled.")
            source.add_argument(
                "--timezone",
                default=settings.TIME_ZONE,
                metavar="ZONE",
                help=f"The zone of what names none (default: {settings.TIME_ZONE}).",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the source, print what becomes of each line, and save."""
        try:
            validate_zone(options["timezone"])
            lines = check(self._read(options), disabled=options["disabled"])
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        for line in lines:
            self._print(line)
        refused = sum(bool(line.refused) for line in lines)
        new = sum(not line.refused and not line.is_known for line in lines)
        counts = {"lines": len(lines), "new": new, "refused": refused, "known": len(lines) - new - refused}
        self.stdout.write(
            _("%(lines)d line(s): %(new)d new, %(known)d known, %(refused)d refused.") % counts
            + (_(" Nothing was saved: this was a dry run.") if options["dry_run"] else "")
        )
        if options["dry_run"]:
            return
        if refused and not options["skip_refused"]:
            raise CommandError(_("Nothing was imported. Mend what is refused, or give --skip-refused."))
        save(lines)

    def _read(self, options: dict[str, Any]) -> Iterable[Line]:
        if options["source"] == "crontab":
            name = options["file"]
            try:
                text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
            except OSError as error:
                raise CommandError(f"{name}: {error.strerror or error}") from error
            except UnicodeDecodeError as error:
                raise CommandError(_("%(name)s is not a text file in UTF-8.") % {"name": name}) from error
            if "\0" in text:
                raise CommandError(_("%(name)s is not a text file in UTF-8.") % {"name": name})
            shown = "crontab" if name == "-" else Path(name).name
            return Crontab(shown, options["timezone"], system=options["system"], user=getpass.getuser()).lines(text)
        if options["database"] not in connections:
            raise CommandError(_("There is no database “%(name)s” in the settings.") % {"name": options["database"]})
        mapping = {}
        for pair in options["map"]:
            name, sign, job = pair.rpartition("=")
            if not sign:
                raise CommandError(_("--map wants NAME=JOB, got: %(given)s") % {"given": pair})
            mapping[name] = job
        read = celery_beat.lines if options["source"] == "celery-beat" else apscheduler_jobs.lines
        return read(options["database"], mapping, options["timezone"])

    def _print(self, line: Line) -> None:
        style = self.style.ERROR if line.refused else self.style.SUCCESS
        self.stdout.write(f"{line.where}: {line.said}")
        self.stdout.write(style(f"    → {line.words()}"))
        for note in line.notes:
            self.stdout.write(self.style.WARNING(f"      {note}"))
