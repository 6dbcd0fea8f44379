"""Crontab expressions: what is refused and how it is said, and when the others fire, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSimError
from django.core.exceptions import ValidationError
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers import CrontabTrigger, validate_crontab
from scheduling.triggers.crontab import MACROS

pytestmark = pytest.mark.anydb


def local_times(expression: str, zone: str, after: str, count: int) -> list[str]:
    """Return the first due times after a local time, as local times with their offset."""
    moment = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone))
    trigger = CrontabTrigger(expression, zone)
    found = []
    for _ in range(count):
        due = trigger.next_after(moment)
        assert due is not None
        found.append(f"{due.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S %z}")
        moment = due
    return found


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "this one has 0"),
        ("* * * *", "this one has 4"),
        ("* * * * * * *", "this one has 7"),
        ("@reboot", "@reboot has no due time"),
        ("@REBOOT", "@reboot has no due time"),
        ("@fortnightly", "@fortnightly is not known; use one of @yearly, @annually"),
        ("60 * * * *", "The field for the minute cannot be “60”: use 0–59"),
        ("* 24 * * *", "The field for the hour cannot be “24”: use 0–23"),
        ("* * 0 * *", "The field for the day of the month cannot be “0”: use 1–31, L"),
        ("* * 32 * *", "The field for the day of the month cannot be “32”"),
        ("* * 1,,2 * *", "The field for the day of the month cannot be “1,,2”"),
        ("* * ² * *", "The field for the day of the month cannot be “²”"),
        ("* * 15W * *", "The field for the day of the month cannot be “15W”"),
        ("* * * 13 *", "The field for the month cannot be “13”: use 1–12 or JAN–DEC"),
        ("* * * JANUARY *", "The field for the month cannot be “JANUARY”"),
        ("* * * * 8", "The field for the day of the week cannot be “8”: use 0–7"),
        ("* * * * MON#6", "The field for the day of the week cannot be “MON#6”"),
        ("* * * * FRI-MON", "The field for the day of the week cannot be “FRI-MON”"),
        ("61 * * * * *", "The field for the second cannot be “61”: use 0–59"),
        ("*/0 * * * *", "The field for the minute cannot be “*/0”"),
        ("5-1 * * * *", "The field for the minute cannot be “5-1”"),
        ("a b c d e", "The field for the minute cannot be “a”"),
        ("0 0 30 2 *", "This expression never fires: none of its months has a day 30."),
        ("0 0 31 2,4,6 *", "This expression never fires: none of its months has a day 31."),
        ("0 0 30-31 2 *", "This expression never fires: none of its months has a day 30-31."),
        ("0 0 */30 * 1#2", "This expression never fires: no such date exists."),
    ],
)
def test_what_cannot_be_a_crontab_expression_is_refused_in_words(expression: str, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate_crontab(expression)
    assert words in refused.value.messages[0]
    assert "%" not in refused.value.messages[0]


@settings(derandomize=True, deadline=None)
@given(st.text(alphabet="0123456789*/,-#?LWJANMONSUN ²é@\t", max_size=30))
def test_any_text_is_either_refused_or_has_a_due_time(text: str) -> None:
    try:
        validate_crontab(text)
    except ValidationError:
        return
    assert CrontabTrigger(text, "Europe/Berlin").next_after(datetime(2026, 1, 1, tzinfo=UTC)) is not None


def test_a_bad_expression_makes_no_trigger() -> None:
    with pytest.raises(CronSimError):
        CrontabTrigger("0 25 * * *", "UTC")


@pytest.mark.parametrize("macro", MACROS)
def test_a_nickname_fires_as_what_it_stands_for(macro: str) -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    written_out = CrontabTrigger(MACROS[macro], "UTC")
    assert CrontabTrigger(f" {macro.upper()} ", "UTC") == written_out
    assert CrontabTrigger(macro, "UTC").next_after(moment) == written_out.next_after(moment)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("*/15 * * * *", "2026-05-04 03:02:01", ["05-04 03:15", "05-04 03:30", "05-04 03:45", "05-04 04:00"]),
        ("*/25 * * * *", "2026-05-04 03:02:01", ["05-04 03:25", "05-04 03:50", "05-04 04:00", "05-04 04:25"]),
        ("30 6 * * 1-5", "2026-05-08 06:30:00", ["05-11 06:30", "05-12 06:30"]),
        ("30 6 * * MON,wed", "2026-05-04 06:30:00", ["05-06 06:30", "05-11 06:30"]),
        ("0 0 1 JAN,jul *", "2026-05-04 00:00:00", ["07-01 00:00", "01-01 00:00"]),
        ("0 0 * * 0", "2026-05-04 00:00:00", ["05-10 00:00", "05-17 00:00"]),
        ("0 0 * * 7", "2026-05-04 00:00:00", ["05-10 00:00", "05-17 00:00"]),
        ("0 0 * * 5-7", "2026-05-04 00:00:00", ["05-08 00:00", "05-09 00:00", "05-10 00:00", "05-15 00:00"]),
        ("0 0 13 * 5", "2026-05-01 00:00:00", ["05-08 00:00", "05-13 00:00", "05-15 00:00"]),
        ("0 0 */2 * 1", "2026-05-01 00:00:00", ["05-11 00:00", "05-25 00:00"]),
        ("0 0 L * *", "2026-02-01 00:00:00", ["02-28 00:00", "03-31 00:00"]),
        ("0 0 LW * *", "2026-05-01 00:00:00", ["05-29 00:00", "06-30 00:00"]),
        ("0 0 * * 5#3", "2026-05-01 00:00:00", ["05-15 00:00", "06-19 00:00"]),
        ("0 0 * * 5L", "2026-05-01 00:00:00", ["05-29 00:00", "06-26 00:00"]),
        ("0 0 29 2 *", "2026-05-01 00:00:00", ["02-29 00:00"]),
        ("59 59 23 31 12 *", "2026-05-01 00:00:00", ["12-31 23:59"]),
    ],
)
def test_an_expression_fires_as_cron_would(expression: str, after: str, expected: list[str]) -> None:
    assert [text[5:16] for text in local_times(expression, "UTC", after, len(expected))] == expected


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        # Clocks go forward: a fixed time in the gap fires once, right after it; by `*` time is simply missing.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28 12:00", ["2026-03-29 03:00:00 +0200", "2026-03-30 02:30:00 +0200"]),
        (
            "Europe/Berlin",
            "0,30 2,3 * * *",
            "2026-03-29 00:00",
            ["2026-03-29 03:00:00 +0200", "2026-03-29 03:30:00 +0200"],
        ),
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-03-29 01:30",
            ["2026-03-29 03:00:00 +0200", "2026-03-29 03:30:00 +0200"],
        ),
        ("Europe/Berlin", "30 */2 * * *", "2026-03-29 00:30", ["2026-03-29 04:30:00 +0200"]),
        (
            "America/New_York",
            "30 2 8 3 *",
            "2026-03-01 00:00",
            ["2026-03-08 03:00:00 -0400", "2027-03-08 02:30:00 -0500"],
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-04 00:00",
            ["2026-10-04 02:30:00 +1100", "2026-10-05 02:15:00 +1100"],
        ),
        (
            "Antarctica/Troll",
            "0 1,2 * * *",
            "2026-03-29 00:00",
            ["2026-03-29 03:00:00 +0200", "2026-03-30 01:00:00 +0200"],
        ),
        (
            "America/Santiago",
            "0 0 * * *",
            "2026-09-05 00:00",
            ["2026-09-06 01:00:00 -0300", "2026-09-07 00:00:00 -0300"],
        ),
        ("Pacific/Apia", "0 6 30 12 *", "2011-12-01 00:00", ["2011-12-31 00:00:00 +1400", "2012-12-30 06:00:00 +1400"]),
        # Clocks go back: a fixed time that comes twice fires the first time; by `*` time goes on.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24 12:00", ["2026-10-25 02:30:00 +0200", "2026-10-26 02:30:00 +0100"]),
        (
            "Europe/Berlin",
            "*/30 2 * * *",
            "2026-10-25 02:00",
            ["2026-10-25 02:30:00 +0200", "2026-10-25 02:00:00 +0100", "2026-10-25 02:30:00 +0100"],
        ),
        (
            "Europe/Berlin",
            "30 * * * *",
            "2026-10-25 01:30",
            ["2026-10-25 02:30:00 +0200", "2026-10-25 02:30:00 +0100", "2026-10-25 03:30:00 +0100"],
        ),
        (
            "Europe/Berlin",
            "0 30 2 * * *",
            "2026-10-25 00:00",
            ["2026-10-25 02:30:00 +0200", "2026-10-25 02:30:00 +0100", "2026-10-26 02:30:00 +0100"],
        ),
        (
            "America/New_York",
            "30 1 * * *",
            "2026-10-31 12:00",
            ["2026-11-01 01:30:00 -0400", "2026-11-02 01:30:00 -0500"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-05 00:00",
            ["2026-04-05 01:45:00 +1100", "2026-04-06 01:45:00 +1030"],
        ),
        (
            "Australia/Lord_Howe",
            "45 * * * *",
            "2026-04-05 00:45",
            ["2026-04-05 01:45:00 +1100", "2026-04-05 01:45:00 +1030", "2026-04-05 02:45:00 +1030"],
        ),
    ],
)
def test_a_change_of_clock_neither_loses_nor_doubles_a_due_time(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    assert local_times(expression, zone, after, len(expected)) == expected


def test_a_moment_in_the_repeated_hour_does_not_fire_the_past_again() -> None:
    zone = ZoneInfo("Europe/Berlin")
    moment = datetime(2026, 10, 25, 2, 10, tzinfo=zone, fold=1)
    assert CrontabTrigger("30 2 * * *", zone.key).next_after(moment) == datetime(2026, 10, 26, 2, 30, tzinfo=zone)


def test_a_window_that_begins_in_the_gap_has_the_due_time_right_after_it() -> None:
    start = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    trigger = CrontabTrigger("30 2 * * *", "Europe/Berlin", start=start, end=start + timedelta(hours=1))
    assert trigger.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == start
    assert trigger.next_after(start) is None
