"""Jitter: a delay that follows from schedule and due time alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers.jitter import delay

pytestmark = pytest.mark.anydb

DUE = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)


@settings(derandomize=True, deadline=None)
@given(
    st.integers(1, 2**62),
    st.timedeltas(timedelta(0), timedelta(days=2000)).map(datetime(2024, 1, 1, tzinfo=UTC).__add__),
    st.integers(1, 7 * 86_400),
)
def test_the_delay_lies_in_its_range_and_is_the_same_for_the_same_due_time(key: int, due: datetime, most: int) -> None:
    found = delay(key, due, most)
    assert timedelta(0) <= found < timedelta(seconds=most)
    assert found == delay(key, due.astimezone(ZoneInfo("Australia/Lord_Howe")), most)


def test_no_jitter_is_no_delay() -> None:
    assert delay(1, DUE, 0) == timedelta(0)


def test_a_delay_stays_what_it_was_in_earlier_versions() -> None:
    # Runs that wait in the database were given theirs by the version before.
    assert delay(1, DUE, 3600) == timedelta(seconds=94.561)


def test_the_delays_of_many_schedules_at_one_time_are_spread_evenly() -> None:
    tenths = [int(delay(key, DUE, 1000) / timedelta(seconds=100)) for key in range(10_000)]
    assert all(850 < tenths.count(tenth) < 1150 for tenth in range(10))


def test_the_delays_of_one_schedule_at_many_times_are_spread_evenly() -> None:
    tenths = [int(delay(7, DUE + timedelta(minutes=n), 1000) / timedelta(seconds=100)) for n in range(10_000)]
    assert all(850 < tenths.count(tenth) < 1150 for tenth in range(10))
