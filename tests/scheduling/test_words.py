"""Triggers in words: a table of what people read, and the law that the words follow the meaning."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from cronsim import CronSim, CronSimError
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.triggers.pattern import parse
from scheduling.triggers.words import crontab_words, date_words, interval_words

pytestmark = pytest.mark.anydb


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "Every minute"),
        ("*/1 * * * *", "Every minute"),
        ("*/2 * * * *", "Every 2 minutes"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/25 * * * *", "At minutes 0, 25 and 50 of every hour"),
        ("*/90 * * * *", "At the start of every hour"),
        ("5/15 * * * *", "At minutes 5, 20, 35 and 50 of every hour"),
        ("0/15 * * * *", "Every 15 minutes"),
        ("0-59/15 * * * *", "Every 15 minutes"),
        ("5-59/15 * * * *", "At minutes 5, 20, 35 and 50 of every hour"),
        ("0 * * * *", "At the start of every hour"),
        ("30 * * * *", "At minute 30 of every hour"),
        ("0,30 * * * *", "Every 30 minutes"),
        ("1-5 * * * *", "Every minute from minute 1 through 5 of every hour"),
        ("0 */2 * * *", "Every 2 hours"),
        ("0 */5 * * *", "Every 5 hours from 00:00 through 20:00"),
        ("30 */2 * * *", "Every 2 hours from 00:30 through 22:30"),
        ("15 2/4 * * *", "Every 4 hours from 02:15 through 22:15"),
        ("* */2 * * *", "Every minute of hours 0, 2, 4 … 22"),
        ("*/10 */2 * * *", "Every 10 minutes of hours 0, 2, 4 … 22"),
        ("*/5 9-17 * * *", "Every 5 minutes from 09:00 through 17:55"),
        ("*/7 9-17 * * *", "At minutes 0, 7, 14 … 56 of hours 9 through 17"),
        ("*/5 9-17 * * 1-5", "Every 5 minutes from 09:00 through 17:55 on Monday through Friday"),
        ("0 9-17 * * *", "Every hour from 09:00 through 17:00"),
        ("30 9-17 * * 1-5", "Every hour from 09:30 through 17:30 on Monday through Friday"),
        ("0 9-17/2 * * *", "Every 2 hours from 09:00 through 17:00"),
        ("0 0-23 * * *", "At the start of every hour"),
        ("0,30 9-17 * * *", "Every 30 minutes from 09:00 through 17:30"),
        ("* 9-17 * * *", "Every minute from 09:00 through 17:59"),
        ("*/15 6 * * *", "At 06:00, 06:15, 06:30 and 06:45 every day"),
        ("* 6 * * *", "Every minute from 06:00 through 06:59"),
        ("10-20 6 * * *", "Every minute from 06:10 through 06:20"),
        ("10-20 0 * * *", "Every minute from 00:10 through 00:20"),
        ("30 6 * * *", "At 06:30 every day"),
        ("30 6 * * 1-5", "At 06:30 on Monday through Friday"),
        ("30 6 * * 1,3", "At 06:30 on Monday and Wednesday"),
        ("30 6 * * 0", "At 06:30 on Sunday"),
        ("30 6 * * 7", "At 06:30 on Sunday"),
        ("30 6 * * 0,7", "At 06:30 on Sunday"),
        ("30 6 * * 6,0", "At 06:30 on Saturday and Sunday"),
        ("30 6 * * 6-7", "At 06:30 on Saturday and Sunday"),
        ("30 6 * * 5-7", "At 06:30 on Friday through Sunday"),
        ("30 6 * * 0-6", "At 06:30 every day"),
        ("30 6 * * 1-7", "At 06:30 every day"),
        ("30 6 * * 0-7", "At 06:30 every day"),
        ("30 6 * * */2", "At 06:30 on Tuesday, Thursday, Saturday and Sunday"),
        ("30 6 * * 5#3", "At 06:30 on the third Friday of the month"),
        ("30 6 * * 5L", "At 06:30 on the last Friday of the month"),
        ("30 6 * * 1#1,1#3", "At 06:30 on the first Monday of the month and the third Monday of the month"),
        ("30 6 * * FRI#5", "At 06:30 on the fifth Friday of the month"),
        ("30 6,18 * * *", "At 06:30 and 18:30 every day"),
        ("0 6,12,18 * * *", "At 06:00, 12:00 and 18:00 every day"),
        ("0,30 6,12,18 * * *", "Every 30 minutes of hours 6, 12 and 18"),
        ("0 0,3,6,9,12,15,18,21 * * *", "Every 3 hours"),
        ("0 0 1 * *", "At 00:00 on day 1 of every month"),
        ("0 0 2 * *", "At 00:00 on day 2 of every month"),
        ("0 0 3 * *", "At 00:00 on day 3 of every month"),
        ("0 0 11 * *", "At 00:00 on day 11 of every month"),
        ("0 0 21 * *", "At 00:00 on day 21 of every month"),
        ("0 0 22 * *", "At 00:00 on day 22 of every month"),
        ("0 0 23 * *", "At 00:00 on day 23 of every month"),
        ("0 0 31 * *", "At 00:00 on day 31 of every month that has one"),
        ("0 0 1,15 * *", "At 00:00 on days 1 and 15 of every month"),
        ("0 0 1-7 * *", "At 00:00 on days 1 through 7 of every month"),
        ("0 0 */2 * *", "At 00:00 on days 1, 3, 5 … 31 of every month"),
        ("0 0 L * *", "At 00:00 on the last day of every month"),
        ("0 0 LW * *", "At 00:00 on the last working day (Monday to Friday) of every month"),
        ("0 0 1,L * *", "At 00:00 on day 1 and the last day of every month"),
        ("0 0 1 1 *", "At 00:00 on 1 January"),
        ("0 0 1 1,7 *", "At 00:00 on day 1 of January and July"),
        ("0 0 1 */3 *", "At 00:00 on day 1 of January, April, July and October"),
        ("0 0 1 1-3 *", "At 00:00 on day 1 of January through March"),
        ("0 0 1 JAN-MAR MON", "At 00:00 on day 1 of January through March, or on Monday in January through March"),
        ("0 0 * 2 *", "At 00:00 every day in February"),
        ("0 0 * 1-3 *", "At 00:00 every day in January through March"),
        ("0 0 13 * 5", "At 00:00 on day 13 of every month, or on Friday"),
        ("0 0 1,15 * 1-5", "At 00:00 on days 1 and 15 of every month, or on Monday through Friday"),
        ("0 0 */2 * 1", "At 00:00 on days 1, 3, 5 … 31 of every month, but only on Monday"),
        ("0 0 13 * */5", "At 00:00 on day 13 of every month, but only on Friday and Sunday"),
        ("0 0 1-7 * 1#1", "At 00:00 on days 1 through 7 of every month, or on the first Monday of the month"),
        ("*/5 * 13 * 5", "Every 5 minutes on day 13 of every month, or on Friday"),
        ("* * * * * *", "Every second"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("*/7 * * * * *", "At seconds 0, 7, 14 … 56 of every minute"),
        ("0 * * * * *", "Every minute"),
        ("30 * * * * *", "At second 30 of every minute"),
        ("0,30 * * * * *", "Every 30 seconds"),
        ("0 */5 * * * *", "Every 5 minutes"),
        ("30 */5 * * * *", "At second 30 of minutes 0, 5, 10 … 55 of every hour"),
        ("*/10 */5 * * * *", "Every 10 seconds of minutes 0, 5, 10 … 55 of every hour"),
        ("*/10 * 9-17 * * *", "Every 10 seconds from 09:00:00 through 17:59:50"),
        ("15 30 6 * * *", "At 06:30:15 every day"),
        ("0 30 6 * * *", "At 06:30 every day"),
        ("10-20 * * * * *", "Every second from second 10 through 20 of every minute"),
        ("@hourly", "At the start of every hour"),
        ("@daily", "At 00:00 every day"),
        ("@weekly", "At 00:00 on Sunday"),
        ("@monthly", "At 00:00 on day 1 of every month"),
        ("@yearly", "At 00:00 on 1 January"),
        ("1,1,1 * * * *", "At minute 1 of every hour"),
        ("*,5 * * * *", "Every minute"),
        ("*/15,7 * * * *", "At minutes 0, 7, 15, 30 and 45 of every hour"),
        ("30 6 */7 * *", "At 06:30 on days 1, 8, 15, 22 and 29 of every month"),
        ("0 22-23,0-5 * * *", "At 00:00, 01:00, 02:00, 03:00, 04:00, 05:00, 22:00 and 23:00 every day"),
        ("0 0 * * 1/2", "At 00:00 on Monday, Wednesday, Friday and Sunday"),
        ("0 0 31 2,3 *", "At 00:00 on day 31 of February and March"),
        ("0 0 L 2 *", "At 00:00 on the last day of February"),
        ("0 0 LW * 5", "At 00:00 on the last working day (Monday to Friday) of every month, or on Friday"),
        ("0 0 29 2 *", "At 00:00 on 29 February"),
    ],
)
def test_a_crontab_expression_reads_as_what_it_means(expression: str, words: str) -> None:
    assert crontab_words(expression) == words


@pytest.mark.parametrize("expression", ["", "what?", "0 24 * * *", "* * * *", "@reboot", "0 0 30 2 *"])
def test_what_is_no_expression_has_no_words(expression: str) -> None:
    with pytest.raises(ValueError, match=r"Bad|Wrong"):
        crontab_words(expression)


def field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    """Return a strategy of fields: `*`, steps, ranges, lists."""
    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, highest)
    return st.one_of(
        st.just("*"),
        step.map("*/{}".format),
        st.tuples(span, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.lists(st.one_of(number.map(str), span), min_size=1, max_size=3).map(",".join),
    )


weekdays = st.one_of(field(0, 7), st.sampled_from(["5L", "1#1,3#3", "MON-FRI", "0,7", "2#5,6"]))
days = st.one_of(field(1, 31), st.sampled_from(["L", "LW", "1,L", "15,LW"]))
crontabs = st.tuples(field(0, 59), field(0, 59), field(0, 23), days, field(1, 12), weekdays).map(" ".join)


@settings(derandomize=True, deadline=None)
@given(crontabs)
def test_every_expression_has_words(expression: str) -> None:
    try:
        parse(expression)
    except CronSimError:
        return
    words = crontab_words(expression)
    assert words
    assert "%" not in words


MINUTES = ["*", "0", "7", "0,30", "15,45", "1-5", "1-4", "10-20", "50-59", "1,2,3,9", *(f"*/{n}" for n in range(2, 60))]
HOURS = ["*", "0", "6", "6,18", "5-8", "9-17", "9-17/2", "22-23,0-5", "1/2", *(f"*/{n}" for n in range(2, 24))]
DAYS = ["*", "1", "31", "1,15", "1-7", "1-31", "*/2", "*/31", "L", "LW", "1,L", "L,LW"]
MONTHS = ["*", "1", "2", "1-3", "*/3", "1,7"]
WEEKDAYS = ["*", "1", "0", "7", "0-6", "1-5", "6,0", "*/2", "*/5", "5#3", "5L", "1#1,3", "5#5"]


def test_different_times_of_day_never_read_the_same() -> None:
    meanings: dict[str, object] = {}
    for seconds in ("0", "30", "*/10", "*/7"):
        for minutes in MINUTES:
            for hours in HOURS:
                expression = f"{seconds} {minutes} {hours} * * *"
                pattern = parse(expression)
                meaning = (pattern.seconds, pattern.minutes, pattern.hours)
                assert meanings.setdefault(crontab_words(expression), meaning) == meaning


def test_different_days_never_read_the_same() -> None:
    year = [date(2028, 1, 1) + timedelta(days=n) for n in range(366)]
    meanings: dict[str, object] = {}
    for fields in product(DAYS, MONTHS, WEEKDAYS):
        expression = f"0 0 {' '.join(fields)}"
        try:
            matches = CronSim(expression, datetime(2028, 1, 1, tzinfo=UTC)).match_day
        except CronSimError:
            continue
        meaning = [day for day in year if day.month in parse(expression).months and matches(day)]
        assert meanings.setdefault(crontab_words(expression), meaning) == meaning


def test_words_can_be_translated() -> None:
    with translation.override("de"):
        assert "Montag" in crontab_words("30 6 * * 1")
        assert "März" in crontab_words("30 6 1 3 *")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "Every second"),
        (45, "Every 45 seconds"),
        (60, "Every minute"),
        (90, "Every 90 seconds"),
        (900, "Every 15 minutes"),
        (3600, "Every hour"),
        (5400, "Every 90 minutes"),
        (86_400, "Every day"),
        (172_800, "Every 2 days"),
        (604_800, "Every week"),
        (1_209_600, "Every 2 weeks"),
        (86_401, "Every 86401 seconds"),
    ],
)
def test_an_interval_reads_in_the_largest_unit_that_divides_it(seconds: int, words: str) -> None:
    assert interval_words(seconds) == words


def test_a_one_off_date_reads_in_its_zone() -> None:
    run_at = datetime(2026, 12, 24, 5, 30, tzinfo=UTC)
    assert date_words(run_at, "Europe/Berlin") == "Once, on 24 December 2026 at 06:30"
    assert date_words(run_at, "Asia/Kathmandu") == "Once, on 24 December 2026 at 11:15"
