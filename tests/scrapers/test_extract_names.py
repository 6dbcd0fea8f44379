"""Names in bylines, and times as pages write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapers.extract.names import split_names
from scrapers.extract.times import has_time_of_day, parse_time

pytestmark = pytest.mark.anydb


@pytest.mark.parametrize(
    ("byline", "names"),
    [
        ("Ann Lee", ["Ann Lee"]),
        ("By Ann Lee and Bo Ek", ["Ann Lee", "Bo Ek"]),
        ("Written by: Ann Lee", ["Ann Lee"]),
        ("Von Ann Lee, Bo Ek und Cy Orr", ["Ann Lee", "Bo Ek", "Cy Orr"]),
        ("Av Ann Lee og Bo Ek", ["Ann Lee", "Bo Ek"]),
        ("Por Ann Lee y Bo Ek", ["Ann Lee", "Bo Ek"]),
        ("José Ortega y Gasset", ["José Ortega y Gasset"]),
        ("Ursula von der Leyen", ["Ursula von der Leyen"]),
        ("Von Miller", ["Von Miller"]),
        ("von der Leyen", ["von der Leyen"]),
        ("Robert De Niro", ["Robert De Niro"]),
        ("Ann Lee (Courier), Bo Ek [London]", ["Ann Lee", "Bo Ek"]),
        ("Ann Lee | Bo Ek", ["Ann Lee", "Bo Ek"]),
        ("Martin King, Jr.", ["Martin King, Jr."]),
        ("Text: Ann Lee; Fotos", ["Ann Lee", "Fotos"]),
        ("https://social.example/by/ann", []),
        ("", []),
    ],
)
def test_a_byline_is_split_into_its_names(byline: str, names: list[str]) -> None:
    assert list(split_names(byline)) == names


@given(st.text())
def test_no_byline_breaks_the_splitting(byline: str) -> None:
    assert all(name and name == name.strip() for name in split_names(byline))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-05-03T15:47:00+0200", "2026-05-03T15:47:00+02:00"),
        ("2026-05-03 15:47:00.123 CEST", "2026-05-03T15:47:00+02:00"),
        ("May 3, 2026 3:47 PM EDT", "2026-05-03T15:47:00-04:00"),
        ("Sun May 03 2026 15:47:00 GMT+0200 (Central European Summer Time)", "2026-05-03T15:47:00+02:00"),
        ("1777815000", "2026-05-03T13:30:00+00:00"),
        ("1777815000000", "2026-05-03T13:30:00+00:00"),
        ("2026/05/03 15:47", "2026-05-03T15:47:00+00:00"),
        ("3 May 2026", "2026-05-03T00:00:00+00:00"),
        # Which of both is the month?
        ("03/05/2026", None),
        # What is left out is not made up.
        ("15:47", None),
        ("May 2026", None),
        ("Monday", None),
        ("9" * 60, None),
    ],
)
def test_times_are_read_as_pages_write_them(text: str, instant: str | None) -> None:
    found, _ = parse_time(text)
    assert (found.isoformat() if found else None) == instant


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-05-03", False),
        ("2026-05-03T15:47", True),
        ("3 May 2026", False),
        ("1777815000", True),
        ("3 May 2026 3:47 PM", True),
    ],
)
def test_a_day_is_told_from_a_time_of_day(text: str, says: bool) -> None:
    assert has_time_of_day(text) is says


@given(st.integers(631152000, 1900000000), st.integers(-14 * 60, 14 * 60), st.sampled_from(" T"))
def test_what_python_writes_is_read_back(seconds: int, offset: int, separator: str) -> None:
    instant = datetime.fromtimestamp(seconds, timezone(timedelta(minutes=offset)))
    assert parse_time(instant.isoformat(separator)) == (instant, True)
