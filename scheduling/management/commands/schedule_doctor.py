"""`manage.py schedule_doctor`: what is wrong, and what to do."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling import changes
from scheduling.doctor import Severity, examine


class Command(BaseCommand):
    """Examine schedules, store, processes and machine; exit with 1 if anything does not work."""

    help = (
        "Examines everything that can be wrong with schedules, job store, database, scheduler processes, clocks and "
        "settings, and says what to do. Ends with exit code 1 if anything does not work."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--json", action="store_true", help="Print the findings as a JSON list.")
        parser.add_argument("--repair", action="store_true", help="Create missing triggers in the database first.")

    def handle(self, *args: Any, json: bool, repair: bool, **options: Any) -> None:
        """Print what was found."""
        if repair:
            changes.create_triggers()
        found = examine()
        errors = sum(finding.severity == Severity.ERROR for finding in found)
        if json:
            self.stdout.write(_as_json(found))
        else:
            for finding in found:
                style = self.style.ERROR if finding.severity == Severity.ERROR else self.style.WARNING
                self.stdout.write(style(f"{finding.id} {finding.what}"))
                self.stdout.write(f"    → {finding.remedy}")
            self.stdout.write(_summary(errors, len(found) - errors))
        if errors:
            sys.exit(1)


def _as_json(found: list[Any]) -> str:
    return json.dumps([dataclasses.asdict(finding) for finding in found], indent=2, ensure_ascii=False)


def _summary(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return _("Everything is in order.")
    return ", ".join(
        [
            ngettext("%(count)d error", "%(count)d errors", errors) % {"count": errors},
            ngettext("%(count)d warning", "%(count)d warnings", warnings) % {"count": warnings},
        ]
    )
