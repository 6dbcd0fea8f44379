"""Crontab expressions with the meaning of Debian's cron: cronsim says what an expression means, we when that is.

Day of month and day of week both restricted: either fires. Sunday is 0 or 7. A time that a change of clock skips
fires right after the gap; one that comes twice fires once. Expressions with `*` at the beginning of minute or hour, or
with seconds, fire whenever the clock shows a match: not in a gap, and twice in what comes twice.

(cronsim's own walk parses the expression at each call, and where clocks change by half an hour or at midnight it loses
minutes of the next hour or yields times that do not exist.)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from scheduling.triggers.base import SMALLEST_STEP, DueTimes, ScheduleTrigger
from scheduling.triggers.clocks import SECOND, Stretch, stretch_at
from scheduling.triggers.daily import DAY, moved
from scheduling.triggers.outlook import ChangeEffect
from scheduling.triggers.pattern import MACROS, expand, parse

FIELDS: dict[str, tuple[int, Any, Any]] = {
    "second": (0, pgettext_lazy("field of a crontab", "second"), "0–59"),
    "minute": (1, pgettext_lazy("field of a crontab", "minute"), "0–59"),
    "hour": (2, pgettext_lazy("field of a crontab", "hour"), "0–23"),
    "day-of-month": (
        3,
        pgettext_lazy("field of a crontab", "day of the month"),
        gettext_lazy("1–31, L (the last day) or LW (the last weekday)"),
    ),
    "month": (4, pgettext_lazy("field of a crontab", "month"), gettext_lazy("1–12 or JAN–DEC")),
    "day-of-week": (
        5,
        pgettext_lazy("field of a crontab", "day of the week"),
        gettext_lazy("0–7 (0 and 7 are Sunday), SUN–SAT, 5#3 (the third Friday) or 5L (the last)"),
    ),
}


def validate_crontab(expression: str) -> None:
    """Raise a `ValidationError` that says in words what is wrong with an expression."""
    text = expand(expression)
    if text.lower() == "@reboot":
        raise ValidationError(_("@reboot has no due time; give times, or start the run by hand."), code="crontab")
    if text.startswith("@"):
        known = ", ".join(MACROS)
        raise ValidationError(
            _("%(text)s is not known; use one of %(known)s."), code="crontab", params={"text": text, "known": known}
        )
    parts = text.split()
    if len(parts) not in (5, 6):
        raise ValidationError(
            _(
                "A crontab expression has five fields (minute, hour, day of the month, month, day of the week), "
                "or six with seconds first; this one has %(count)d."
            ),
            code="crontab",
            params={"count": len(parts)},
        )
    try:
        first = next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValidationError(_bad_field(str(error), parts), code="crontab") from error
    if first is None:
        raise ValidationError(_("This expression never fires: no such date exists."), code="crontab")


def _bad_field(message: str, parts: list[str]) -> str:
    """Turn cronsim's "Bad hour" into a sentence with the value and what is allowed."""
    name = message.removeprefix("Bad ")
    if name not in FIELDS:
        return _("This is not a crontab expression: %(message)s.") % {"message": message}
    index, words, allowed = FIELDS[name]
    value = (parts if len(parts) == 6 else ["0", *parts])[index]
    if name == "day-of-month" and _is_day_of_month(value):
        return _("This expression never fires: none of its months has a day %(value)s.") % {"value": value}
    return _(
        "The field for the %(field)s cannot be “%(value)s”: use %(allowed)s, lists (1,2), ranges (1-5) and steps (*/5)."
    ) % {
        "field": words,
        "value": value,
        "allowed": allowed,
    }


def _is_day_of_month(value: str) -> bool:
    """Tell whether a field is right by itself, so that only the months beside it make it wrong."""
    try:
        CronSim(f"0 0 {value} * *", datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError:
        return False
    return True


class CrontabTrigger(ScheduleTrigger):
    """Due times of a crontab expression in a time zone."""

    def __init__(
        self, expression: str, zone: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        """Raise `CronSimError` for an expression that `validate_crontab` would refuse."""
        super().__init__(start=start, end=end)
        self.expression = expand(expression)
        self.zone = zone
        self._pattern = parse(self.expression)

    def _after(self, moment: datetime) -> datetime | None:
        stretch = stretch_at(self.zone, moment)
        wall = max(stretch.wall(moment), self._first(stretch) - SMALLEST_STEP)
        while (found := self._pattern.after(wall)) is not None:
            if found < stretch.wall_end:
                return stretch.moment(found)
            stretch = stretch_at(self.zone, stretch.end)
            wall = self._first(stretch) - SMALLEST_STEP
        return None

    def _before(self, moment: datetime) -> datetime | None:
        """Return the last due time strictly before a moment, window aside."""
        stretch = stretch_at(self.zone, moment - SMALLEST_STEP)
        wall = stretch.wall(moment)
        while (found := self._pattern.before(wall)) is not None:
            if found >= self._first(stretch):
                return stretch.moment(found)
            stretch = stretch_at(self.zone, stretch.start - SMALLEST_STEP)
            wall = stretch.wall_end
        return None

    def _first(self, stretch: Stretch) -> datetime:
        """Return the wall time from which on matches fire in this stretch.

        A fixed time in a gap fires at the gap's end, one that comes twice only the first time; others go by the clock.
        """
        return stretch.wall_start_unchanged if self._pattern.fixed else stretch.wall_start

    def due_times(self, due: datetime, now: datetime) -> DueTimes:
        """Return the due times from `due` up to `now` by arithmetic: a week of seconds costs no more than a week."""
        until = self.last_moment(now)
        count = sum(self._pattern.count(first, end) + gap for _stretch, first, end, gap in self._parts(due, until))
        if not count:
            return DueTimes(due, None, due, 1)
        latest = self._before(until + SMALLEST_STEP) or due
        return DueTimes(due, max(due, self._before(latest) or due), latest, count + 1)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) after one moment, up to and including another, faster than one at a time."""
        for stretch, first, end, gap in self._parts(self.first_moment(after), self.last_moment(until)):
            if gap:
                yield stretch.start
            for midnight, passed in self._pattern.matches_by_day(first, end):
                yield from map((midnight.replace(tzinfo=UTC) - stretch.offset).__add__, passed)

    def seconds_of(self, midnight: datetime) -> int:
        """Return the seconds of the UTC day from `midnight` at which it is due: bit n is second n."""
        first, last = self.first_moment(midnight - SMALLEST_STEP), self.last_moment(midnight + DAY - SMALLEST_STEP)
        bits = 0
        for stretch, begin, end, gap in self._parts(first, last):
            if gap:
                bits |= 1 << (stretch.start - midnight).seconds
            for day, seconds in self._pattern.seconds_by_day(begin, end):
                bits |= moved(seconds, (day.replace(tzinfo=UTC) - stretch.offset - midnight) // SECOND)
        return bits

    def at_change(self, stretch: Stretch) -> ChangeEffect | None:
        """Return what the change of clock with which a stretch begins does to a due time.

        What is due in every hour goes on being so, and nothing is said of it.
        """
        begin, end = sorted([stretch.wall_start_unchanged, stretch.wall_start])
        if len(self._pattern.hours) == 24 or not self._pattern.count(begin, end):
            return None
        if stretch.wall_start > stretch.wall_start_unchanged:
            return ChangeEffect.MOVED if self._pattern.fixed else ChangeEffect.LEFT_OUT
        return ChangeEffect.ONCE if self._pattern.fixed else ChangeEffect.TWICE

    def _parts(self, after: datetime, until: datetime) -> Iterator[tuple[Stretch, datetime, datetime, bool]]:
        """Yield each stretch after a moment up to another: wall times from and before, and whether its gap fires."""
        stretch = stretch_at(self.zone, after)
        first = max(_next_second(stretch.wall(after)), self._first(stretch))
        gap = False
        while stretch.start <= until:
            end = min(stretch.wall_end, _next_second(stretch.wall(until)))
            yield stretch, first, end, gap
            stretch = stretch_at(self.zone, stretch.end)
            first = self._first(stretch)
            gap = first < stretch.wall_start and self._pattern.count(first, stretch.wall_start + SECOND) > 0
            if gap:
                first = stretch.wall_start + SECOND

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "expression": self.expression, "zone": self.zone}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.expression = state["expression"]
        self.zone = state["zone"]
        self._pattern = parse(self.expression)

    def __str__(self) -> str:
        return f"crontab[{self.expression}, {self.zone}]"


def _next_second(wall: datetime) -> datetime:
    return wall.replace(microsecond=0) + SECOND
