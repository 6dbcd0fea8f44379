"""What all triggers have in common, and interval and one-off date: window, equality, pickle, due times together."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
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
    DueTimes,
    FixedIntervalTrigger,
    OneOffTrigger,
    ScheduleTrigger,
)
from scheduling.triggers.daily import numbers

pytestmark = pytest.mark.anydb

ANCHOR = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

MAKERS: dict[str, Callable[..., ScheduleTrigger]] = {
    "crontab": lambda **window: CrontabTrigger("*/7 * * * *", "Europe/Berlin", **window),
    "crontab at fixed times": lambda **window: CrontabTrigger("30 2,14 * * *", "America/New_York", **window),
    "crontab with seconds": lambda **window: CrontabTrigger("*/20 * 9-17 * * 1-5", "Australia/Lord_Howe", **window),
    "interval": lambda **window: FixedIntervalTrigger(90, ANCHOR, **window),
    "one-off date": lambda **window: OneOffTrigger(ANCHOR, **window),
    "calendar days": lambda **window: CalendarIntervalTrigger(
        3, "days", time(2, 30), "Europe/Berlin", date(2026, 1, 31), **window
    ),
    "calendar months": lambda **window: CalendarIntervalTrigger(
        1, "months", time(0, 0), "America/Santiago", date(2026, 1, 31), **window
    ),
    "any of": lambda **window: AnyOfTrigger([FIXED, EVERY_90_S, OneOffTrigger(ANCHOR)], **window),
    "all of": lambda **window: AllOfTrigger([EVERY_90_S, CrontabTrigger("*/2 * * * *", "Europe/Berlin")], **window),
    "with blackouts": lambda **window: BlackoutTrigger(
        EVERY_90_S,
        "Australia/Lord_Howe",
        daily=[(time(1), time(1, 45)), (time(22), time(0, 30))],
        dates=[date(2026, 5, 5), date(2026, 10, 4)],
        **window,
    ),
    "fixed times with blackouts": lambda **window: BlackoutTrigger(
        CrontabTrigger("*/5 * * * *", "Europe/Berlin"), "Europe/Berlin", daily=[(time(1), time(2, 30))], **window
    ),
}
FIXED = CrontabTrigger("30 2,14 * * *", "America/New_York")
EVERY_90_S = FixedIntervalTrigger(90, ANCHOR.replace(month=1, second=0))

seeded = settings(derandomize=True, deadline=None)
moments = st.timedeltas(timedelta(0), timedelta(days=270)).map(datetime(2026, 3, 1, tzinfo=UTC).__add__)
triggers = st.sampled_from(sorted(MAKERS))


def walk(trigger: ScheduleTrigger, due: datetime, now: datetime) -> DueTimes:
    """Return the due times found together, one `next_after` at a time."""
    times = [due]
    while (following := trigger.next_after(times[-1])) is not None and following <= now:
        times.append(following)
    return DueTimes(due, times[-2] if len(times) > 1 else None, times[-1], len(times))


@seeded
@given(triggers, moments, st.timedeltas(timedelta(0), timedelta(days=40)), st.booleans(), st.booleans())
def test_due_times_strictly_increase_inside_the_window(
    name: str, start: datetime, length: timedelta, starts: bool, ends: bool
) -> None:
    end = start + length
    trigger = MAKERS[name](start=start if starts else None, end=end if ends else None)
    moment = start - timedelta(days=1)
    for _ in range(30):
        due = trigger.next_after(moment)
        if due is None:
            break
        assert due > moment
        assert due.tzinfo is UTC
        assert not starts or due >= start
        assert not ends or due <= end
        moment = due


@seeded
@given(triggers, moments, st.timedeltas(timedelta(0), timedelta(hours=12)), st.booleans())
def test_due_times_found_together_are_those_of_a_walk(name: str, moment: datetime, down: timedelta, ends: bool) -> None:
    trigger = MAKERS[name](end=moment + down / 2 if ends else None)
    due = trigger.next_after(moment)
    if due is not None:
        expected = walk(trigger, due, moment + down)
        assert trigger.due_times(due, moment + down) == expected
        assert len(list(trigger.between(due, moment + down))) == expected.count - 1


@pytest.mark.parametrize("name", MAKERS)
def test_a_due_time_kept_from_an_earlier_trigger_counts_as_one_of_those_found_together(name: str) -> None:
    # The job row of an unreadable trigger keeps its time, which the present trigger need not have.
    trigger, kept = MAKERS[name](), ANCHOR - HOUR + timedelta(seconds=17)
    for down in (timedelta(seconds=1), HOUR, 3 * HOUR, 30 * HOUR):
        assert trigger.due_times(kept, kept + down) == walk(trigger, kept, kept + down)


@seeded
@given(triggers, moments, st.timedeltas(timedelta(0), timedelta(days=2)))
def test_no_due_time_lies_between_a_moment_and_the_next_one(name: str, moment: datetime, step: timedelta) -> None:
    trigger = MAKERS[name]()
    due = trigger.next_after(moment)
    if due is not None and moment + step < due:
        assert trigger.next_after(moment + step) == due


@pytest.mark.parametrize("name", MAKERS)
def test_the_start_and_the_end_themselves_are_inside(name: str) -> None:
    due = MAKERS[name]().next_after(ANCHOR - HOUR)
    assert due is not None
    assert MAKERS[name](start=due, end=due).next_after(due - HOUR) == due
    assert MAKERS[name](start=due, end=due).next_after(due) is None
    before = due - timedelta(microseconds=1)
    assert MAKERS[name](end=before).next_after(before) is None


@pytest.mark.parametrize("name", MAKERS)
def test_apscheduler_is_given_the_time_after_the_previous_one_or_the_first_not_before_now(name: str) -> None:
    trigger = MAKERS[name]()
    due = trigger.next_after(ANCHOR - HOUR)
    assert due is not None
    assert trigger.get_next_fire_time(None, due) == due
    assert trigger.get_next_fire_time(due, due + HOUR) == trigger.next_after(due)


@pytest.mark.parametrize("name", MAKERS)
def test_equal_triggers_are_equal_with_equal_hashes_also_after_pickling(name: str) -> None:
    window = {"start": ANCHOR, "end": ANCHOR + timedelta(days=30)}
    trigger = MAKERS[name](**window)
    copy = pickle.loads(pickle.dumps(trigger))
    elsewhere = {key: value.astimezone(ZoneInfo("Asia/Kathmandu")) for key, value in window.items()}
    for same in (copy, MAKERS[name](**window), MAKERS[name](**elsewhere)):
        assert same == trigger
        assert hash(same) == hash(trigger)
        assert same.next_after(ANCHOR) == trigger.next_after(ANCHOR)
        assert str(same) == str(trigger)


DIFFERENT: list[Any] = [
    CrontabTrigger("* * * * *", "UTC"),
    CrontabTrigger("* * * * *", "Europe/Berlin"),
    CrontabTrigger("*/2 * * * *", "UTC"),
    CrontabTrigger("* * * * *", "UTC", start=ANCHOR),
    CrontabTrigger("* * * * *", "UTC", end=ANCHOR),
    FixedIntervalTrigger(60, ANCHOR),
    FixedIntervalTrigger(61, ANCHOR),
    FixedIntervalTrigger(60, ANCHOR + HOUR),
    FixedIntervalTrigger(60, ANCHOR, start=ANCHOR),
    OneOffTrigger(ANCHOR),
    OneOffTrigger(ANCHOR + HOUR),
    CalendarIntervalTrigger(1, "months", time(6), "UTC", date(2026, 5, 4)),
    CalendarIntervalTrigger(2, "months", time(6), "UTC", date(2026, 5, 4)),
    CalendarIntervalTrigger(1, "weeks", time(6), "UTC", date(2026, 5, 4)),
    CalendarIntervalTrigger(1, "months", time(7), "UTC", date(2026, 5, 4)),
    CalendarIntervalTrigger(1, "months", time(6), "Europe/Berlin", date(2026, 5, 4)),
    CalendarIntervalTrigger(1, "months", time(6), "UTC", date(2026, 5, 5)),
    AnyOfTrigger([EVERY_90_S]),
    AllOfTrigger([EVERY_90_S]),
    AllOfTrigger([EVERY_90_S, FIXED]),
    BlackoutTrigger(FIXED, "UTC"),
    BlackoutTrigger(FIXED, "Europe/Berlin"),
    BlackoutTrigger(EVERY_90_S, "UTC"),
    BlackoutTrigger(FIXED, "UTC", dates=[date(2026, 5, 4)]),
    BlackoutTrigger(FIXED, "UTC", daily=[(time(1), time(2))]),
    "a trigger",
]


def test_triggers_that_differ_in_anything_are_not_equal() -> None:
    assert all(one != other for one in DIFFERENT for other in DIFFERENT if one is not other)
    assert len({hash(one) for one in DIFFERENT}) == len(DIFFERENT)


def test_an_interval_counts_from_its_anchor_and_does_not_drift() -> None:
    trigger = FixedIntervalTrigger(90, ANCHOR)
    assert trigger.next_after(ANCHOR - HOUR) == ANCHOR
    assert trigger.next_after(ANCHOR) == ANCHOR + timedelta(seconds=90)
    assert trigger.next_after(ANCHOR + timedelta(seconds=89, microseconds=999_999)) == ANCHOR + timedelta(seconds=90)
    assert trigger.next_after(ANCHOR + timedelta(days=365, seconds=1)) == ANCHOR + timedelta(days=365, seconds=90)


def test_an_interval_goes_on_by_elapsed_time_when_clocks_change() -> None:
    anchor = datetime(2026, 3, 28, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    due = FixedIntervalTrigger(86_400, anchor).next_after(anchor)
    assert due is not None
    assert due.astimezone(ZoneInfo("Europe/Berlin")).hour == 13


def test_an_interval_below_a_second_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 second, got: 0"):
        FixedIntervalTrigger(0, ANCHOR)


def test_an_interval_of_every_second_that_was_down_for_ten_years_is_counted_by_arithmetic() -> None:
    now = ANCHOR + timedelta(days=3650, microseconds=5)
    assert FixedIntervalTrigger(1, ANCHOR).due_times(ANCHOR, now) == DueTimes(
        ANCHOR, ANCHOR + timedelta(days=3650, seconds=-1), ANCHOR + timedelta(days=3650), 3650 * 86_400 + 1
    )


def test_a_one_off_date_comes_once() -> None:
    trigger = OneOffTrigger(ANCHOR)
    assert trigger.next_after(ANCHOR - HOUR) == ANCHOR
    assert trigger.next_after(ANCHOR) is None
    assert trigger.due_times(ANCHOR, ANCHOR + HOUR) == DueTimes(ANCHOR, None, ANCHOR, 1)
    assert OneOffTrigger(ANCHOR, start=ANCHOR + HOUR).next_after(ANCHOR - HOUR) is None


@pytest.mark.parametrize("name", MAKERS)
def test_a_start_at_the_end_of_the_calendar_has_no_due_time(name: str) -> None:
    assert MAKERS[name](start=datetime(9999, 12, 31, tzinfo=UTC)).next_after(ANCHOR) is None


@seeded
@given(triggers, moments, st.booleans())
def test_the_last_time_before_a_moment_is_the_one_whose_next_is_not_before_it(
    name: str, moment: datetime, starts: bool
) -> None:
    trigger = MAKERS[name](start=moment - HOUR if starts else None)
    before = trigger.last_before(moment)
    if before is None:
        first = trigger.next_after(moment - timedelta(days=400))
        assert first is None or first >= moment
    else:
        assert before < moment
        following = trigger.next_after(before)
        assert following is None or following >= moment
        assert trigger.next_from(before) == before


@seeded
@given(triggers, st.integers(0, 300), st.booleans(), st.booleans())
def test_the_seconds_of_a_day_are_those_of_a_walk(name: str, day: int, starts: bool, ends: bool) -> None:
    midnight = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day)
    window = {"start": midnight + 7.5 * HOUR if starts else None, "end": midnight + 16.25 * HOUR if ends else None}
    trigger = MAKERS[name](**window)
    seconds, due = set(), trigger.next_from(midnight)
    while due is not None and due < midnight + 24 * HOUR:
        seconds.add((due - midnight) // timedelta(seconds=1))
        due = trigger.next_after(due)
    assert set(numbers(trigger.seconds_of(midnight))) == seconds
