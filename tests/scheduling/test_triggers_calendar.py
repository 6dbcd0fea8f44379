"""Calendar intervals: which days, what becomes of the 31st, and where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers import CalendarIntervalTrigger, CalendarUnit
from scheduling.triggers.words import calendar_words

pytestmark = pytest.mark.anydb


def local_times(trigger: CalendarIntervalTrigger, after: str, count: int) -> list[str]:
    zone = ZoneInfo(trigger.zone)
    moment = datetime.fromisoformat(after).replace(tzinfo=zone)
    found = []
    for _ in range(count):
        due = trigger.next_after(moment)
        assert due is not None
        found.append(f"{due.astimezone(zone):%Y-%m-%d %H:%M %z}")
        moment = due
    return found


@pytest.mark.parametrize(
    ("count", "unit", "first_day", "expected"),
    [
        (1, "days", date(2026, 5, 4), ["2026-05-04", "2026-05-05", "2026-05-06"]),
        (3, "days", date(2026, 4, 30), ["2026-04-30", "2026-05-03", "2026-05-06"]),
        (2, "weeks", date(2026, 5, 4), ["2026-05-04", "2026-05-18", "2026-06-01"]),
        (1, "months", date(2026, 1, 31), ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
        (1, "months", date(2028, 1, 30), ["2028-01-30", "2028-02-29", "2028-03-30"]),
        (3, "months", date(2026, 11, 30), ["2026-11-30", "2027-02-28", "2027-05-30"]),
        (1, "years", date(2028, 2, 29), ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        (2, "years", date(2026, 12, 31), ["2026-12-31", "2028-12-31"]),
    ],
)
def test_days_are_counted_from_the_first_and_the_last_of_a_month_stands_for_a_missing_one(
    count: int, unit: str, first_day: date, expected: list[str]
) -> None:
    trigger = CalendarIntervalTrigger(count, unit, time(6, 30), "Europe/Berlin", first_day)
    assert [text[:10] for text in local_times(trigger, "2020-01-01", len(expected))] == expected


@pytest.mark.parametrize(
    ("zone", "at", "after", "expected"),
    [
        ("Europe/Berlin", time(2, 30), "2026-03-28 12:00", ["2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"]),
        ("Europe/Berlin", time(2, 30), "2026-10-24 12:00", ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]),
        ("Australia/Lord_Howe", time(2, 15), "2026-10-03 12:00", ["2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"]),
        ("America/Santiago", time(0, 0), "2026-09-05 12:00", ["2026-09-06 01:00 -0300", "2026-09-07 00:00 -0300"]),
    ],
)
def test_a_time_in_the_gap_comes_right_after_it_and_a_repeated_one_once(
    zone: str, at: time, after: str, expected: list[str]
) -> None:
    assert local_times(CalendarIntervalTrigger(1, "days", at, zone, date(2026, 1, 1)), after, 2) == expected


def test_a_day_that_a_zone_left_out_gives_no_time_of_its_own() -> None:
    # Samoa had no 30 December 2011: its midnight and that of the 31st are the same moment.
    trigger = CalendarIntervalTrigger(1, "days", time(0), "Pacific/Apia", date(2011, 1, 1))
    assert local_times(trigger, "2011-12-28 12:00", 3) == [
        "2011-12-29 00:00 -1000",
        "2011-12-31 00:00 +1400",
        "2012-01-01 00:00 +1400",
    ]


@settings(derandomize=True, deadline=None)
@given(
    st.integers(1, 40),
    st.sampled_from(CalendarUnit),
    st.dates(date(2020, 1, 1), date(2028, 12, 31)),
    st.integers(0, 1439),
    st.integers(0, 3000),
)
def test_the_next_time_is_that_of_the_first_counted_day_that_is_later(
    count: int, unit: CalendarUnit, first_day: date, minute: int, days: int
) -> None:
    at = time(*divmod(minute, 60))
    moment = datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=days)
    day, number = first_day, 0
    while datetime.combine(day, at, UTC) <= moment:
        number += 1
        if unit in ("days", "weeks"):
            day = first_day + number * timedelta(**{unit.value: count})
            continue
        month = first_day.year * 12 + first_day.month - 1 + number * count * (12 if unit == "years" else 1)
        day = (date(month // 12, month % 12 + 1, 1) + timedelta(days=27)).replace(day=28)
        while day.day < first_day.day and (day + timedelta(days=1)).month == day.month:
            day += timedelta(days=1)
        day = day.replace(day=min(day.day, first_day.day))
    trigger = CalendarIntervalTrigger(count, unit, at, "UTC", first_day)
    assert trigger.next_after(moment) == datetime.combine(day, at, UTC)


def test_an_interval_beyond_the_calendar_ends() -> None:
    for unit in CalendarUnit:
        trigger = CalendarIntervalTrigger(10_000_000, unit, time(6), "UTC", date(2026, 5, 4))
        first = trigger.next_after(datetime(2026, 1, 1, tzinfo=UTC))
        assert first == datetime(2026, 5, 4, 6, tzinfo=UTC)
        assert trigger.next_after(first) is None


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got: 0"):
        CalendarIntervalTrigger(0, "days", time(6), "UTC", date(2026, 5, 4))
    with pytest.raises(ValueError, match="fortnights"):
        CalendarIntervalTrigger(1, "fortnights", time(6), "UTC", date(2026, 5, 4))


@pytest.mark.parametrize(
    ("count", "unit", "at", "first_day", "words"),
    [
        (1, "days", time(6, 30), date(2026, 5, 4), "Every day at 06:30"),
        (3, "days", time(6, 30, 15), date(2026, 5, 4), "Every 3 days at 06:30:15, from 4 May 2026"),
        (1, "weeks", time(6, 30), date(2026, 5, 4), "Every week on Monday at 06:30"),
        (2, "weeks", time(6, 30), date(2026, 5, 5), "Every 2 weeks on Tuesday at 06:30, from 5 May 2026"),
        (1, "months", time(0), date(2026, 5, 4), "Every month on day 4 at 00:00"),
        (1, "months", time(0), date(2026, 5, 31), "Every month on day 31 (the last day of shorter months) at 00:00"),
        (6, "months", time(0), date(2026, 5, 4), "Every 6 months on day 4 at 00:00, from 4 May 2026"),
        (1, "years", time(12), date(2026, 12, 24), "Every year on 24 December at 12:00"),
        (1, "years", time(12), date(2028, 2, 29), "Every year on 29 February (28 February in other years) at 12:00"),
    ],
)
def test_a_calendar_interval_in_words(count: int, unit: str, at: time, first_day: date, words: str) -> None:
    assert calendar_words(count, unit, at, first_day) == words
