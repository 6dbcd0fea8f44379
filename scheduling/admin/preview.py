"""What the trigger of a form as typed would mean: its words, its next due times, and the warnings that fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSimError

from scheduling.models import Schedule
from scheduling.zones import zone_names

WHEN = (
    "trigger_kind",
    "crontab",
    "interval_seconds",
    "run_at",
    "calendar_count",
    "calendar_unit",
    "calendar_at",
    "calendar_first_day",
    "parts",
    "timezone",
    "start_at",
    "end_at",
    "max_runs",
    "jitter_seconds",
    "blackout_times",
    "blackout_dates",
)
"""The fields of a schedule that say when, in the order of the form."""

TIMES = 5


@dataclass(frozen=True)
class Preview:
    """Words, next due times (UTC), warnings, and what is wrong with the fields of the trigger."""

    words: str = ""
    times: list[datetime] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    zone: ZoneInfo | None = None


def zones() -> list[str]:
    """Return the time zones that a form proposes."""
    return sorted(name for name in zone_names() if "/" in name or name == "UTC")


def of_form(form: Any) -> Preview:
    """Return what a schedule's form says now; an unbound form says what is stored."""
    schedule: Any = form.instance
    if form.is_bound:
        # Judged on a copy, since a form that is only shown again keeps quiet about its errors.
        judged = type(form)(form.data, instance=schedule)
        judged.full_clean()
        schedule = judged.instance
        messages = {name: found for name, found in (judged._errors or {}).items() if name in WHEN}
        if messages:
            return Preview(errors=[str(message) for found in messages.values() for message in found])
    return of_schedule(schedule)


def of_schedule(schedule: Schedule) -> Preview:
    """Return the preview of a schedule, saved or not."""
    try:
        times, warnings = schedule.next_fires(TIMES), schedule.warnings()
    except (ValueError, KeyError, CronSimError) as error:
        return Preview(words=schedule.words(), errors=[str(error)])
    return Preview(schedule.words(), times, warnings, zone=ZoneInfo(schedule.timezone))
