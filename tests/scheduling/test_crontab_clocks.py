"""Crontab due times against a slow model of cron, across every change of clock of twelve zones from 2024 to 2030.

The model knows nothing of the code: it lives through the time minute by minute (or second by second), as Debian's cron
does, looks at the clock on the wall, and matches fields that it parses by itself.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers import CrontabTrigger, DueTimes
from scheduling.triggers.clocks import moment_of, stretch_at
from tests.shared import examples

pytestmark = pytest.mark.anydb

MINUTE = timedelta(minutes=1)
WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)
SIDE = timedelta(hours=50)

ZONES = [
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Antarctica/Troll",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "America/Santiago",
    "Africa/Cairo",
]

EARLIER = {
    # Changes that were more than most: a day left out, midnight skipped, a quarter of an hour.
    "Pacific/Apia": [datetime(2011, 12, 30, 10, tzinfo=UTC)],
    "America/Sao_Paulo": [datetime(2018, 11, 4, 3, tzinfo=UTC), datetime(2019, 2, 17, 2, tzinfo=UTC)],
    "Asia/Tehran": [datetime(2022, 3, 21, 20, 30, tzinfo=UTC), datetime(2022, 9, 21, 19, 30, tzinfo=UTC)],
    "Asia/Kathmandu": [datetime(1985, 12, 31, 18, 30, tzinfo=UTC)],
}


@lru_cache
def changes(zone: str) -> list[datetime]:
    """Return when the clocks of a zone are changed from 2024 to 2030 (and some earlier changes), to the minute."""
    found = list(EARLIER.get(zone, []))
    moment, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    while moment < end:
        if offset(zone, moment) != offset(zone, moment + WEEK):
            found.append(change_after(zone, moment))
        moment += WEEK
    return found


def change_after(zone: str, moment: datetime) -> datetime:
    """Return the minute of the only change of clock in the week after a moment."""
    before = offset(zone, moment)
    minutes = range(WEEK // MINUTE)
    return moment + MINUTE * bisect_left(minutes, True, key=lambda n: offset(zone, moment + n * MINUTE) != before)


def offset(zone: str, moment: datetime) -> timedelta | None:
    return moment.astimezone(ZoneInfo(zone)).utcoffset()


CHANGES = [(zone, change) for zone in ZONES for change in changes(zone)]


# The model.


def values(field: str, lowest: int, highest: int) -> set[int]:
    """Return the values of a field of numbers, steps, ranges and lists."""
    found: set[int] = set()
    for term in field.split(","):
        span, _slash, step = term.partition("/")
        first, _dash, last = span.partition("-")
        if span == "*":
            first, last = str(lowest), str(highest)
        elif not last:
            last = str(highest) if step else first
        found |= set(range(int(first), int(last) + 1, int(step or 1)))
    return found


def day_matcher(days: str, months: str, weekdays: str) -> Callable[[date], bool]:
    """Return crontab(5)'s rule for days, with `L` and `#`."""
    numbers = values(days, 1, 31) if days != "L" else set()
    of_week = {day % 7 for day in values(weekdays, 0, 7)} if "#" not in weekdays else set()
    in_months = values(months, 1, 12)

    def by_day(day: date) -> bool:
        return day.day in numbers or (days == "L" and day.day == calendar.monthrange(day.year, day.month)[1])

    def by_weekday(day: date) -> bool:
        if "#" in weekdays:
            weekday, which = weekdays.split("#")
            return day.isoweekday() % 7 == int(weekday) % 7 and (day.day - 1) // 7 + 1 == int(which)
        return day.isoweekday() % 7 in of_week

    def matches(day: date) -> bool:
        if day.month not in in_months:
            return False
        if days.startswith("*") or weekdays.startswith("*"):
            return by_day(day) and by_weekday(day)
        return by_day(day) or by_weekday(day)

    return matches


@lru_cache(maxsize=20)
def clock(zone: str, start: datetime, end: datetime, step: timedelta) -> list[tuple[datetime, datetime]]:
    """Return each moment from start to end with what the clock on the wall shows."""
    found, moment = [], start
    while moment <= end:
        found.append((moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)))
        moment += step
    return found


def model(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the due times after `start` and up to `end`, by living through them.

    A job with `*` at the beginning of minute or hour, or with seconds, runs whenever the clock shows a match. Any other
    runs once for each wall time: the skipped ones at the moment they are skipped, the repeated ones not again.
    """
    parts = expression.split()
    seconds = values(parts[0], 0, 59) if len(parts) == 6 else {0}
    minute, hour, *day_fields = parts[-5:]
    minutes, hours, day_matches = values(minute, 0, 59), values(hour, 0, 23), day_matcher(*day_fields)

    def matches(wall: datetime) -> bool:
        return wall.second in seconds and wall.minute in minutes and wall.hour in hours and day_matches(wall.date())

    if len(parts) == 6:
        return [moment for moment, wall in clock(zone, start, end, SECOND)[1:] if matches(wall)]
    ticks = clock(zone, start, end, MINUTE)
    if minute.startswith("*") or hour.startswith("*"):
        return [moment for moment, wall in ticks[1:] if matches(wall)]
    found, reached = [], ticks[0][1]
    for moment, wall in ticks[1:]:
        new = (reached + MINUTE * n for n in range(1, (wall - reached) // MINUTE + 1))
        if any(matches(skipped) for skipped in new):
            found.append(moment)
        reached = max(reached, wall)
    return found


# Expressions that are often due.

minutes = st.sampled_from(["0", "30", "59", "*", "*/7", "*/15", "*/25", "5/20", "10-40/10", "0,1,29,31,45", "15"])
hours = st.sampled_from(["*", "0", "1", "2", "3", "*/2", "*/5", "1-3", "0,2,23", "2/3", "23", "9-17"])
days = st.sampled_from(["*", "*", "*", "*/2", "1", "31", "L", "1-7", "25-31", "5,6,7,29,30"])
months = st.sampled_from(["*", "*", "*", "3,4,10", "*/2", "9-11"])
weekdays = st.sampled_from(["*", "*", "*", "0", "7", "1-5", "*/3", "6,7", "0#1", "7#5", "1"])
crontabs = st.tuples(minutes, hours, days, months, weekdays).map(" ".join)
seconds = st.sampled_from(["0", "30", "*", "*/7", "*/20", "59", "10-12"])
crontabs_with_seconds = st.tuples(seconds, minutes, hours, st.just("* *"), weekdays).map(" ".join)


def check(expression: str, zone: str, start: datetime, end: datetime, share: float) -> None:
    """Compare walk, enumeration and arithmetic with the model."""
    expected = model(expression, zone, start, end)
    trigger = CrontabTrigger(expression, zone)
    assert list(trigger.between(start, end)) == expected
    moment = start
    for due in expected[:300]:
        assert trigger.next_after(moment) == due
        moment = due
    if expected:
        until = start + (end - start) * share
        found = [due for due in expected if due <= until] or expected[:1]
        before_latest = found[-2] if len(found) > 1 else None
        assert trigger.due_times(found[0], max(until, found[0])) == DueTimes(
            found[0], before_latest, found[-1], len(found)
        )


def check_around(change: tuple[str, datetime], expression: str, shift: int, share: float) -> None:
    zone, moment = change
    start = moment - SIDE + shift * MINUTE
    check(expression, zone, start, start + 2 * SIDE, share)


shifts = st.integers(0, 3000)
shares = st.floats(0, 1)


@settings(derandomize=True, deadline=None, max_examples=examples(80))
@given(st.sampled_from(CHANGES), crontabs, shifts, shares)
def test_due_times_around_a_change_of_clock_are_the_model_s(
    change: tuple[str, datetime], expression: str, shift: int, share: float
) -> None:
    check_around(change, expression, shift, share)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.sampled_from(CHANGES), crontabs_with_seconds, shares)
def test_due_times_with_seconds_are_the_model_s(change: tuple[str, datetime], expression: str, share: float) -> None:
    zone, moment = change
    start = moment - timedelta(hours=2)
    check(expression, zone, start, start + timedelta(hours=4), share)


def check_validity(zone: str, expression: str, moment: datetime, window: timedelta) -> None:
    """Walk through a window: times strictly increase inside it, and are local times that the zone has."""
    trigger = CrontabTrigger(expression, zone, start=moment, end=moment + window)
    last = moment - timedelta(days=400)
    for _ in range(50):
        due = trigger.next_after(last)
        if due is None:
            break
        assert last < due
        assert moment <= due <= moment + window
        local = due.astimezone(ZoneInfo(zone))
        assert local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local.replace(tzinfo=None)
        last = due


from_2024_to_2030 = st.integers(0, 7 * 365 * 1440).map(lambda n: datetime(2024, 1, 1, tzinfo=UTC) + n * MINUTE)


@settings(derandomize=True, deadline=None, max_examples=examples(100))
@given(st.sampled_from(ZONES), crontabs, from_2024_to_2030, st.integers(0, 5000).map(lambda n: timedelta(hours=n)))
def test_due_times_lie_in_the_window_and_are_valid_local_times(
    zone: str, expression: str, moment: datetime, window: timedelta
) -> None:
    check_validity(zone, expression, moment, window)


@settings(derandomize=True, deadline=None, max_examples=examples(200))
@given(st.sampled_from(ZONES), from_2024_to_2030)
def test_a_stretch_has_the_offset_of_the_zone_database(zone: str, moment: datetime) -> None:
    stretch = stretch_at(zone, moment)
    assert stretch.start <= moment < stretch.end
    assert stretch.offset == offset(zone, moment) == offset(zone, stretch.end - SECOND)
    assert stretch.before == offset(zone, stretch.start - SECOND)


@pytest.mark.parametrize("zone", ZONES)
def test_every_change_of_clock_ends_a_stretch(zone: str) -> None:
    for change in changes(zone):
        assert stretch_at(zone, change).start == change
        assert stretch_at(zone, change - SECOND).end == change


@settings(derandomize=True, deadline=None, max_examples=examples(60))
@given(st.sampled_from(CHANGES), st.integers(-200, 200))
def test_a_wall_time_is_its_first_moment_or_the_end_of_the_gap(change: tuple[str, datetime], shift: int) -> None:
    zone, moment = change
    wall = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + shift * MINUTE
    ticks = clock(zone, moment - SIDE, moment + SIDE, MINUTE)
    expected = next(moment for moment, shown in ticks if shown >= wall)
    assert moment_of(wall.date(), wall.time(), zone) == expected


@pytest.mark.long
@pytest.mark.parametrize("zone", ZONES)
@settings(deadline=None, max_examples=500)
@given(data=st.data())
def test_at_length_due_times_of_each_zone_are_the_model_s(zone: str, data: st.DataObject) -> None:
    moment = data.draw(
        st.one_of(st.sampled_from(changes(zone)), from_2024_to_2030) if changes(zone) else from_2024_to_2030
    )
    check_around((zone, moment), data.draw(crontabs), data.draw(shifts), data.draw(shares))


@pytest.mark.long
@pytest.mark.parametrize("zone", ZONES)
def test_at_length_seven_years_minute_by_minute_are_the_model_s(zone: str) -> None:
    for year in range(2024, 2031):
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
        for expression in ("30 2 * * *", "0 */3 * * *", "*/10 0-3 L * 1", "45 1-2 * * 0"):
            check(expression, zone, start, end, 0.5)
        clock.cache_clear()
