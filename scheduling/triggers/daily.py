"""Triggers that are computed a day at a time: the seconds of a UTC day at which one is due are the bits of a number, so
that union, intersection and what a blackout leaves are one operation, and so that no search or count takes long.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime, time, timedelta

from scheduling.triggers.base import SMALLEST_STEP, DueTimes, ScheduleTrigger

DAY = timedelta(days=1)

SECOND = timedelta(seconds=1)

SECONDS = 86_400
"""Seconds of a day."""

WHOLE_DAY = (1 << SECONDS) - 1
"""Every second of a day."""


class DailyTrigger(ScheduleTrigger):
    """A trigger made of others, whose due times are whole seconds.

    Subclasses give `_seconds(midnight)`: the seconds of a day (UTC) at which it is due, window aside, and `_after`.
    """

    @abstractmethod
    def _seconds(self, midnight: datetime) -> int:
        """Return the seconds of the UTC day from `midnight` at which it is due, window aside: bit n is second n."""

    def seconds_of(self, midnight: datetime) -> int:
        """Return the seconds of the UTC day from `midnight` at which it is due: bit n is second n."""
        first, last = self.first_moment(midnight - SMALLEST_STEP), self.last_moment(midnight + DAY - SMALLEST_STEP)
        return between(self._seconds(midnight), midnight, first, last)

    def due_times(self, due: datetime, now: datetime) -> DueTimes:
        """Return the due times from `due` up to and including `now`; a day of seconds costs no more than one."""
        before_latest, latest, count = None, due, 1
        for midnight, bits in self._days(due, now):
            latest_of_day = bits.bit_length() - 1
            rest = bits ^ (1 << latest_of_day)
            before_latest = midnight + (rest.bit_length() - 1) * SECOND if rest else latest
            latest = midnight + latest_of_day * SECOND
            count += bits.bit_count()
        return DueTimes(due, before_latest, latest, count)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) after one moment, up to and including another."""
        for midnight, bits in self._days(after, until):
            yield from (midnight + n * SECOND for n in numbers(bits))

    def _days(self, after: datetime, until: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield the days that have due times after one moment, up to and including another, with just these."""
        until = self.last_moment(until)
        while (due := self.next_after(after)) is not None and due <= until:
            midnight = midnight_of(due)
            if bits := between(self._seconds(midnight), midnight, due - SMALLEST_STEP, until):
                yield midnight, bits
            after = midnight + DAY - SMALLEST_STEP

    def _first_from(self, moment: datetime) -> datetime | None:
        """Return the first due time of a moment's day (UTC) that is not before it, window aside."""
        midnight = midnight_of(moment)
        bits = between(self._seconds(midnight), midnight, moment - SMALLEST_STEP, midnight + DAY)
        return midnight + ((bits & -bits).bit_length() - 1) * SECOND if bits else None


def midnight_of(moment: datetime) -> datetime:
    """Return when the UTC day of a moment (UTC) begins."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def end_of_day(moment: datetime) -> datetime:
    """Return the last moment of the UTC day of a moment (UTC)."""
    return midnight_of(moment) + DAY - SMALLEST_STEP


def between(bits: int, midnight: datetime, after: datetime, until: datetime) -> int:
    """Return the seconds of a day that lie after one moment, up to and including another."""
    first = max(0, (after - midnight) // SECOND + 1)
    last = min(SECONDS - 1, (until - midnight) // SECOND)
    if last < first:
        return 0
    return (bits >> first << first) & ((2 << last) - 1)


def moved(bits: int, seconds: int) -> int:
    """Return seconds of a day as those of another that begins so many seconds earlier; what lies outside is dropped."""
    return (bits << seconds) & WHOLE_DAY if seconds >= 0 else bits >> -seconds


def numbers(bits: int) -> Iterator[int]:
    """Yield which bits are set, in order."""
    text = bin(bits)[:1:-1]
    n = text.find("1")
    while n >= 0:
        yield n
        n = text.find("1", n + 1)


def second_of(at: time) -> int:
    """Return the first whole second of a day that is not before a time of day."""
    return at.hour * 3600 + at.minute * 60 + at.second + (1 if at.microsecond else 0)
