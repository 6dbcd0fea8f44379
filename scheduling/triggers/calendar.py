"""Calendar intervals: every N days, weeks, months or years at a time of day, counted from a first day."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, time
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from scheduling.triggers.base import END_OF_TIME, ScheduleTrigger
from scheduling.triggers.clocks import Stretch, moment_of, stretch_at
from scheduling.triggers.outlook import ChangeEffect


class CalendarUnit(models.TextChoices):
    """What a calendar interval counts."""

    DAYS = "days", _("days")
    WEEKS = "weeks", _("weeks")
    MONTHS = "months", _("months")
    YEARS = "years", _("years")


DAYS = {CalendarUnit.DAYS: 1, CalendarUnit.WEEKS: 7}
MONTHS = {CalendarUnit.MONTHS: 1, CalendarUnit.YEARS: 12}


class CalendarIntervalTrigger(ScheduleTrigger):
    """Due times at a time of day on `first_day`, and every `count` units after it, in a zone.

    In a month without the first day's number the last day takes its place: from 31 January monthly comes 28 or 29
    February, then 31 March; from 29 February yearly comes 28 February. (APScheduler's trigger of this name leaves such
    months out.) A time that a change of clock skips fires right after the gap, one that comes twice the first time.
    """

    def __init__(
        self,
        count: int,
        unit: CalendarUnit | str,
        at: time,
        zone: str,
        first_day: date,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        """Take a count of at least 1. Raises `ValueError` for another or for an unknown unit."""
        super().__init__(start=start, end=end)
        if count < 1:
            raise ValueError(f"a calendar interval must be at least 1, got: {count}")
        self.count = count
        self.unit = CalendarUnit(unit)
        self.at = at
        self.zone = zone
        self.first_day = first_day

    def _after(self, moment: datetime) -> datetime | None:
        today = stretch_at(self.zone, moment).wall(moment).date()
        number = self._number_before(today)
        while (day := self._day(number)) is not None:
            due = moment_of(day, self.at, self.zone)
            if due > moment:
                return due
            number += 1
        return None

    def _number_before(self, day: date) -> int:
        """Return the number of an interval that is not after a day, at most two before it."""
        if self.unit in DAYS:
            number = (day - self.first_day).days // (self.count * DAYS[self.unit])
        else:
            number = (_months(day) - _months(self.first_day)) // (self.count * MONTHS[self.unit])
        return max(0, number - 1)

    def _day(self, number: int) -> date | None:
        """Return the day of an interval by its number, None beyond the calendar."""
        if self.unit in DAYS:
            ordinal = self.first_day.toordinal() + number * self.count * DAYS[self.unit]
            return date.fromordinal(ordinal) if ordinal < END_OF_TIME.toordinal() else None
        year, month = divmod(_months(self.first_day) + number * self.count * MONTHS[self.unit], 12)
        if year >= END_OF_TIME.year:
            return None
        return date(year, month + 1, min(self.first_day.day, monthrange(year, month + 1)[1]))

    def at_change(self, stretch: Stretch) -> ChangeEffect | None:
        """Return what the change of clock with which a stretch begins does to a due time."""
        if stretch.offset > stretch.before:
            moved = self.next_from(stretch.start) == stretch.start and self.at != stretch.wall_start.time()
            return ChangeEffect.MOVED if moved else None
        due = self.next_from(stretch.start - (stretch.before - stretch.offset))
        return ChangeEffect.ONCE if due and due < stretch.start else None

    def __getstate__(self) -> dict[str, Any]:
        return {
            **super().__getstate__(),
            "count": self.count,
            "unit": self.unit.value,
            "at": self.at,
            "zone": self.zone,
            "first_day": self.first_day,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.count = state["count"]
        self.unit = CalendarUnit(state["unit"])
        self.at = state["at"]
        self.zone = state["zone"]
        self.first_day = state["first_day"]

    def __str__(self) -> str:
        return f"calendar[{self.count} {self.unit} at {self.at} from {self.first_day}, {self.zone}]"


def _months(day: date) -> int:
    return day.year * 12 + day.month - 1
