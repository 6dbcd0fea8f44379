"""Calendar intervals, combinations and blackouts against slow models, across the changes of clock of twelve zones."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers import (
    AllOfTrigger,
    AnyOfTrigger,
    BlackoutTrigger,
    CalendarIntervalTrigger,
    CrontabTrigger,
    FixedIntervalTrigger,
    ScheduleTrigger,
)
from tests.scheduling.test_crontab_clocks import CHANGES, MINUTE, clock, crontabs, model
from tests.shared import examples

pytestmark = pytest.mark.anydb

SIDE = timedelta(hours=30)
seeded = settings(derandomize=True, deadline=None, max_examples=examples(80))
changes = st.sampled_from(CHANGES)
times = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
windows = st.lists(st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]), max_size=2)
small_hours = st.integers(0, 16).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))


def walk(trigger: ScheduleTrigger, after: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    while (due := trigger.next_after(found[-1] if found else after)) is not None and due <= until:
        found.append(due)
    return found


def same(trigger: ScheduleTrigger, zone: str, start: datetime, end: datetime, expected: list[datetime]) -> None:
    """Compare all ways to enumerate with what is expected, and look whether each is a valid local time."""
    assert walk(trigger, start, end) == expected
    assert list(trigger.between(start, end)) == expected
    for due in expected:
        local = due.astimezone(ZoneInfo(zone))
        assert local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local.replace(tzinfo=None)
    if expected:
        found = trigger.due_times(expected[0], end)
        assert (found.latest, found.count) == (expected[-1], len(expected))
        assert trigger.last_before(end + timedelta(seconds=1)) == expected[-1]


@seeded
@given(changes, st.lists(crontabs, min_size=2, max_size=3), st.integers(1, 90))
def test_combinations_around_a_change_of_clock_are_sets_of_the_model_s_times(
    change: tuple[str, datetime], expressions: list[str], minutes: int
) -> None:
    zone, moment = change
    start, end = moment - SIDE, moment + SIDE
    triggers: list[ScheduleTrigger] = [CrontabTrigger(expression, zone) for expression in expressions]
    sets = [set(model(expression, zone, start, end)) for expression in expressions]
    triggers.append(FixedIntervalTrigger(minutes * 60, start))
    sets.append({start + n * minutes * MINUTE for n in range(1, (end - start) // MINUTE // minutes + 1)})
    same(AnyOfTrigger(triggers), zone, start, end, sorted(set.union(*sets)))
    same(AllOfTrigger(triggers), zone, start, end, sorted(set.intersection(*sets)))


@seeded
@given(
    changes,
    crontabs,
    st.lists(st.tuples(times, times).filter(lambda pair: pair[0] != pair[1]), max_size=2),
    st.booleans(),
)
def test_blackouts_around_a_change_of_clock_leave_out_what_the_clock_on_the_wall_says(
    change: tuple[str, datetime], expression: str, daily: list[tuple[time, time]], on_the_day: bool
) -> None:
    zone, moment = change
    start, end = moment - SIDE, moment + SIDE
    dates = [moment.astimezone(ZoneInfo(zone)).date()] if on_the_day else []

    def dark(due: datetime) -> bool:
        wall = due.astimezone(ZoneInfo(zone))
        return wall.date() in dates or any(
            begin <= wall.time() < end if begin < end else not end <= wall.time() < begin for begin, end in daily
        )

    trigger = BlackoutTrigger(CrontabTrigger(expression, zone), zone, daily=daily, dates=dates)
    same(trigger, zone, start, end, [due for due in model(expression, zone, start, end) if not dark(due)])


@seeded
@given(changes, small_hours, st.integers(1, 3))
def test_a_calendar_interval_around_a_change_of_clock_comes_at_the_first_moment_that_is_late_enough(
    change: tuple[str, datetime], at: time, count: int
) -> None:
    zone, moment = change
    start, end = moment - 3 * SIDE, moment + 3 * SIDE
    ticks = clock(zone, start - 2 * SIDE, end + 2 * SIDE, MINUTE)
    first_day = ticks[0][1].date() + timedelta(days=1)
    expected, day = [], first_day
    while (wall := datetime.combine(day, at)) < ticks[-1][1]:
        due = next(tick for tick, shown in ticks if shown >= wall)
        if start < due <= end:
            expected.append(due)
        day += count * timedelta(days=1)
    trigger = CalendarIntervalTrigger(count, "days", at, zone, first_day)
    same(trigger, zone, start, end, sorted(set(expected)))
