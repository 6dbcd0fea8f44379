"""Combinations and blackouts: against sets of times, and where they end for lack of any."""

from __future__ import annotations

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
    CrontabTrigger,
    DueTimes,
    FixedIntervalTrigger,
    OneOffTrigger,
    ScheduleTrigger,
)
from scheduling.triggers.words import all_of_words, any_of_words, blackout_words
from tests.shared import examples

pytestmark = pytest.mark.anydb

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 5, 4, tzinfo=UTC)
DAY = timedelta(days=1)

PARTS: list[ScheduleTrigger] = [
    CrontabTrigger("*/15 * * * *", "UTC"),
    CrontabTrigger("0 */2 * * *", "Europe/Berlin"),
    CrontabTrigger("30 9-17 * * 1-5", "America/New_York"),
    CrontabTrigger("*/30 */10 * * * *", "Asia/Kathmandu"),
    FixedIntervalTrigger(1800, START),
    FixedIntervalTrigger(7 * 60, START),
    OneOffTrigger(START + timedelta(hours=30)),
    CrontabTrigger("0 * * * *", "UTC", start=START + DAY, end=START + 2 * DAY),
]
parts = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3)
moments = st.integers(0, 3 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))


def walk(trigger: ScheduleTrigger, after: datetime, until: datetime) -> list[datetime]:
    found = []
    while (due := trigger.next_after(found[-1] if found else after)) is not None and due <= until:
        found.append(due)
    return found


@settings(derandomize=True, deadline=None, max_examples=examples(40))
@given(parts, moments)
def test_any_of_is_the_union_and_all_of_the_intersection(triggers: list[ScheduleTrigger], after: datetime) -> None:
    until = after + DAY
    sets = [set(walk(trigger, after, until)) for trigger in triggers]
    for combined, expected in (
        (AnyOfTrigger(triggers), set.union(*sets)),
        (AllOfTrigger(triggers), set.intersection(*sets)),
    ):
        assert walk(combined, after, until) == sorted(expected)
        assert list(combined.between(after, until)) == sorted(expected)


def test_triggers_that_never_meet_never_fire_instead_of_being_searched_for_ever() -> None:
    for minutes in ("0", "*"):
        apart = AllOfTrigger([CrontabTrigger(f"0 {minutes} 1 * *", "UTC"), CrontabTrigger("30 6 2 * *", "UTC")])
        assert apart.next_after(START) is None
    seconds = AllOfTrigger([CrontabTrigger("0 * * * * *", "UTC"), CrontabTrigger("1 * * * * *", "UTC")])
    assert seconds.next_after(START) is None
    assert seconds.due_times(START, START + DAY) == DueTimes(START, None, START, 1)


def test_an_intersection_is_found_up_to_five_years_ahead() -> None:
    leap_day = CrontabTrigger("0 0 29 2 *", "UTC")
    assert AllOfTrigger([leap_day, CrontabTrigger("0 0 * * *", "UTC")]).next_after(START) == datetime(
        2028, 2, 29, tzinfo=UTC
    )
    assert AllOfTrigger([leap_day, CrontabTrigger("0 0 * * 1", "UTC")]).next_after(START) is None


def test_combinations_may_hold_combinations() -> None:
    trigger = AllOfTrigger([AnyOfTrigger(PARTS[:2]), BlackoutTrigger(PARTS[4], "UTC", daily=[(time(0), time(12))])])
    assert trigger.next_after(START) == START + timedelta(hours=12)


def test_a_combination_of_nothing_is_refused() -> None:
    for kind in (AnyOfTrigger, AllOfTrigger):
        with pytest.raises(ValueError, match="at least one trigger"):
            kind([])


def in_blackout(moment: datetime, daily: list[tuple[time, time]], dates: list[date]) -> bool:
    local = moment.astimezone(BERLIN)
    return local.date() in dates or any(
        begin <= local.time() < end if begin < end else not end <= local.time() < begin for begin, end in daily
    )


clock_times = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
windows = st.lists(st.tuples(clock_times, clock_times).filter(lambda pair: pair[0] != pair[1]), max_size=3)
anchors = st.sampled_from([datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC), START])
inner = st.sampled_from([PARTS[0], PARTS[1], PARTS[4], PARTS[5], CrontabTrigger("30 2 * * *", "Europe/Berlin")])


@settings(derandomize=True, deadline=None, max_examples=examples(80))
@given(inner, anchors, st.integers(0, 1440), windows, st.lists(st.integers(0, 3), max_size=2))
def test_blackouts_leave_out_just_the_times_inside(
    trigger: ScheduleTrigger, anchor: datetime, shift: int, daily: list[tuple[time, time]], days: list[int]
) -> None:
    after = anchor + timedelta(minutes=shift)
    until = after + 2 * DAY
    dates = [(anchor + n * DAY).date() for n in days]
    wrapped = BlackoutTrigger(trigger, "Europe/Berlin", daily=daily, dates=dates)
    expected = [due for due in walk(trigger, after, until) if not in_blackout(due, daily, dates)]
    assert walk(wrapped, after, until) == expected
    assert list(wrapped.between(after, until)) == expected
    if expected:
        found = wrapped.due_times(expected[0], until)
        assert (found.latest, found.count) == (expected[-1], len(expected))
        assert found.before_latest == (expected[-2] if len(expected) > 1 else None)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-05-04 23:00", "2026-05-05 04:00"),
        ("2026-05-05 00:59", "2026-05-05 04:00"),
        ("2026-05-05 03:59", "2026-05-05 04:00"),
        ("2026-05-05 20:00", "2026-05-05 21:00"),
        ("2026-05-05 21:00", "2026-05-06 04:00"),
        ("2026-12-23 21:00", "2026-12-27 04:00"),
    ],
)
def test_blackouts_hold_across_midnight_and_on_dates_in_the_schedule_s_zone(after: str, expected: str) -> None:
    trigger = BlackoutTrigger(
        CrontabTrigger("0 * * * *", "Europe/Berlin"),
        "Europe/Berlin",
        daily=[(time(22), time(1)), (time(1), time(4))],
        dates=[date(2026, 12, day) for day in (24, 25, 26)],
    )
    due = trigger.next_after(datetime.fromisoformat(after).replace(tzinfo=BERLIN))
    assert due == datetime.fromisoformat(expected).replace(tzinfo=BERLIN)


def test_blackouts_that_leave_nothing_never_fire() -> None:
    nightly = CrontabTrigger("30 2 * * *", "Europe/Berlin")
    assert BlackoutTrigger(nightly, "Europe/Berlin", daily=[(time(1), time(4))]).next_after(START) is None
    halves = [(time(0), time(12)), (time(12), time(0))]
    every_second = CrontabTrigger("* * * * * *", "Europe/Berlin")
    assert BlackoutTrigger(every_second, "Europe/Berlin", daily=halves).next_after(START) is None


def test_a_blackout_that_ends_when_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="must end at another time than it begins, got: 01:00:00"):
        BlackoutTrigger(PARTS[0], "UTC", daily=[(time(1), time(1))])


def test_combinations_and_blackouts_in_words() -> None:
    assert any_of_words(["Every hour", "At 06:30 every day"]) == (
        "Whenever one of these is due: Every hour; At 06:30 every day"
    )
    assert all_of_words(["Every hour", "At 06:30 every day"]) == (
        "Whenever these are due at the same time: Every hour; At 06:30 every day"
    )


@pytest.mark.parametrize(
    ("daily", "dates", "words"),
    [
        ([], [], ""),
        ([(time(1), time(4))], [], "never between 01:00 and 04:00"),
        ([], [date(2026, 12, 24)], "never on 24 December 2026"),
        (
            [(time(22), time(1)), (time(1), time(4))],
            [date(2026, 12, 25), date(2026, 12, 24)],
            "never between 01:00 and 04:00, between 22:00 and 01:00 or on 24 December 2026 or 25 December 2026",
        ),
    ],
)
def test_blackouts_in_words(daily: list[tuple[time, time]], dates: list[date], words: str) -> None:
    assert blackout_words(daily, dates) == words


EVERY_SECOND = CrontabTrigger("* * * * * *", "Europe/Berlin")
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("trigger", "count"),
    [
        (EVERY_SECOND, 604_801),
        (AnyOfTrigger([EVERY_SECOND, PARTS[5]]), 604_801),
        (AllOfTrigger([EVERY_SECOND, FixedIntervalTrigger(1, START)]), 604_801),
        (BlackoutTrigger(EVERY_SECOND, "Europe/Berlin", daily=[(time(4), time(1))]), 7 * 3 * 3600 + 1),
    ],
    ids=["crontab", "any of", "all of", "blackout"],
)
def test_a_week_of_seconds_is_counted_to_the_last(trigger: ScheduleTrigger, count: int) -> None:
    first = trigger.next_after(START - timedelta(seconds=1))
    assert first is not None
    found = trigger.due_times(first, START + WEEK)
    assert found.count == count
    assert found.before_latest == found.latest - timedelta(seconds=1)


def looks(monkeypatch: pytest.MonkeyPatch, search: Callable[[], object]) -> int:
    """Return how often the parts of combinations are asked for a due time or a day of them."""
    count = 0
    for kind in (CrontabTrigger, FixedIntervalTrigger):
        for name in ("next_after", "seconds_of"):
            original = getattr(kind, name)

            def counted(*arguments: Any, original: Any = original) -> Any:
                nonlocal count
                count += 1
                return original(*arguments)

            monkeypatch.setattr(kind, name, counted)
    search()
    return count


SECONDS_APART = [CrontabTrigger(f"{n} * * * * *", "Europe/Berlin") for n in range(3)]
OFTEN = [FixedIntervalTrigger(7, START), FixedIntervalTrigger(11, START), CrontabTrigger("* * * * *", "UTC")]
ALL_DAY = [(time(hour), time((hour + 1) % 24)) for hour in range(24)]


@pytest.mark.parametrize(
    ("trigger", "parts"),
    [
        (AllOfTrigger(SECONDS_APART), 3),
        (BlackoutTrigger(AllOfTrigger(OFTEN), "Europe/Berlin", daily=ALL_DAY), 3),
        (BlackoutTrigger(AnyOfTrigger(OFTEN), "Europe/Berlin", daily=ALL_DAY), 3),
        (BlackoutTrigger(EVERY_SECOND, "Europe/Berlin", daily=ALL_DAY), 1),
    ],
    ids=["never together", "all of in blackouts", "any of in blackouts", "every second in blackouts"],
)
def test_a_search_that_finds_nothing_looks_at_each_day_of_five_years_a_few_times(
    trigger: ScheduleTrigger, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[object] = []
    # A look for the next time and one at the day; a blackout asks a combination that does the same.
    assert looks(monkeypatch, lambda: found.append(trigger.next_after(START))) <= 6 * parts * 5 * 366
    assert found == [None]


@pytest.mark.parametrize(
    "trigger",
    [
        EVERY_SECOND,
        FixedIntervalTrigger(1, START),
        AnyOfTrigger([EVERY_SECOND, PARTS[5]]),
        AllOfTrigger([EVERY_SECOND, FixedIntervalTrigger(1, START)]),
        BlackoutTrigger(EVERY_SECOND, "Europe/Berlin", daily=[(time(4), time(1))]),
    ],
    ids=["crontab", "interval", "any of", "all of", "blackout"],
)
def test_a_week_of_seconds_is_counted_day_by_day_and_not_one_by_one(
    trigger: ScheduleTrigger, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert looks(monkeypatch, lambda: trigger.due_times(START, START + WEEK)) <= 100
