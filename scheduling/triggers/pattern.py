"""What a crontab expression means, as values: parsed once by cronsim, then shared by all that have the same one."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from cronsim import CronSim

from scheduling.triggers.daily import DAY, SECOND, between

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The nicknames of crontab(5), which cronsim does not know."""

LAST = CronSim.LAST
"""Among the days of the month: the last one; as the second of a pair: the last such weekday of the month."""

LAST_WORKING_DAY = CronSim.LAST_WEEKDAY
"""Among the days of the month: the last one from Monday to Friday."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The values of the fields in rising order, and how the two day fields go together."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    """Days of the month, perhaps with `LAST` and `LAST_WORKING_DAY`."""
    months: tuple[int, ...]
    weekdays: frozenset[int | tuple[int, int]]
    """Days of the week (0 and 7 are Sunday), or pairs of one and which of the month it is (1–5 or `LAST`)."""
    both_days: bool
    """Both day fields must hold (one of them begins with `*`); otherwise either does."""
    day_fields: str
    """The three fields that choose days, as text for cronsim."""
    fixed: bool
    """Debian's cron calls it a fixed-time job: five fields, no `*` at the beginning of minute or hour."""

    @property
    def times_a_day(self) -> int:
        """Return how often a matching day is matched."""
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def after(self, wall: datetime) -> datetime | None:
        """Return the first match strictly after a wall time, None when there is none within 50 years."""
        wall = wall.replace(microsecond=0) + SECOND
        day = _day_from(self.day_fields, wall.date())
        if day == wall.date():
            rank = self._rank(wall)
            if rank < self.times_a_day:
                return self._match(day, rank)
            day = _day_from(self.day_fields, day + DAY)
        return self._match(day, 0) if day else None

    def before(self, wall: datetime) -> datetime | None:
        """Return the last match strictly before a wall time, None when there is none within 50 years."""
        day = _day_until(self.day_fields, wall.date())
        if day == wall.date():
            rank = self._rank(wall if not wall.microsecond else wall.replace(microsecond=0) + SECOND)
            if rank:
                return self._match(day, rank - 1)
            day = _day_until(self.day_fields, day - DAY)
        return self._match(day, self.times_a_day - 1) if day else None

    def count(self, first: datetime, end: datetime) -> int:
        """Return the number of matches from `first` on and before `end`, both in whole seconds."""
        if first >= end:
            return 0
        total = 0
        day = _day_from(self.day_fields, first.date())
        if day == first.date():
            total -= self._rank(first)
        while day and day < end.date():
            total += self.times_a_day
            day = _day_from(self.day_fields, day + DAY)
        return total + self._rank(end) if day == end.date() else total

    def matches_by_day(self, first: datetime, end: datetime) -> Iterator[tuple[datetime, tuple[timedelta, ...]]]:
        """Yield the days with matches from `first` on and before `end`: midnight, and what has passed since at each.

        Both limits are in whole seconds.
        """
        day = _day_from(self.day_fields, first.date())
        while day and (midnight := datetime.combine(day, time())) < end:
            begin = self._rank(first) if day == first.date() else 0
            finish = self._rank(end) if day == end.date() else None
            yield midnight, _times_of_day(self.hours, self.minutes, self.seconds)[begin:finish]
            day = _day_from(self.day_fields, day + DAY)

    def seconds_by_day(self, first: datetime, end: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield the days with matches from `first` on and before `end`: midnight, and the seconds as bits.

        Both limits are in whole seconds.
        """
        day = _day_from(self.day_fields, first.date())
        while day and (midnight := datetime.combine(day, time())) < end:
            bits = _seconds_of_day(self.hours, self.minutes, self.seconds)
            yield midnight, between(bits, midnight, first - SECOND, end - SECOND)
            day = _day_from(self.day_fields, day + DAY)

    def _rank(self, wall: datetime) -> int:
        """Return how many of a day's matches come before a time of day."""
        hour = bisect_left(self.hours, wall.hour)
        rank = hour * len(self.minutes) * len(self.seconds)
        if hour < len(self.hours) and self.hours[hour] == wall.hour:
            minute = bisect_left(self.minutes, wall.minute)
            rank += minute * len(self.seconds)
            if minute < len(self.minutes) and self.minutes[minute] == wall.minute:
                rank += bisect_left(self.seconds, wall.second)
        return rank

    def _match(self, day: date, rank: int) -> datetime:
        """Return the match of a day that has so many before it."""
        rest, second = divmod(rank, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return datetime.combine(day, time(self.hours[hour], self.minutes[minute], self.seconds[second]))


def expand(expression: str) -> str:
    """Return the expression with `@hourly` and the like written out and spaces folded."""
    text = " ".join(expression.split())
    return MACROS.get(text.lower(), text)


@lru_cache(maxsize=10_000)
def parse(expression: str) -> Pattern:
    """Return the values of an expanded expression. Raises `CronSimError` for one that makes no sense."""
    parsed = CronSim(expression, datetime(2024, 1, 1))  # noqa: DTZ001 — wall-clock time: only the fields matter
    parts = expression.upper().split()
    minute, hour, *day_fields = parts[-5:]
    return Pattern(
        seconds=tuple(sorted(parsed.seconds)),
        minutes=tuple(sorted(parsed.minutes)),
        hours=tuple(sorted(parsed.hours)),
        days=frozenset(parsed.days),
        months=tuple(sorted(parsed.months)),
        weekdays=frozenset(parsed.weekdays),
        both_days=parsed.day_and,
        day_fields=" ".join(day_fields),
        fixed=len(parts) == 5 and not minute.startswith("*") and not hour.startswith("*"),
    )


@lru_cache(maxsize=64)
def _times_of_day(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> tuple[timedelta, ...]:
    return tuple(
        timedelta(hours=hour, minutes=minute, seconds=second)
        for hour in hours
        for minute in minutes
        for second in seconds
    )


@lru_cache(maxsize=256)
def _seconds_of_day(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> int:
    minute = sum(1 << second for second in seconds)
    hour = sum(minute << 60 * number for number in minutes)
    return sum(hour << 3600 * number for number in hours)


@lru_cache(maxsize=20_000)
def _day_from(day_fields: str, day: date) -> date | None:
    """Return the first matching day that is not before a day."""
    match = next(CronSim(f"0 0 {day_fields}", datetime.combine(day, time()) - SECOND), None)
    return match.date() if match else None


@lru_cache(maxsize=20_000)
def _day_until(day_fields: str, day: date) -> date | None:
    """Return the last matching day that is not after a day."""
    match = next(CronSim(f"0 0 {day_fields}", datetime.combine(day, time()) + SECOND, reverse=True), None)
    return match.date() if match else None
