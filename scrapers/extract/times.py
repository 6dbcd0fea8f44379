"""Instants, as feeds and pages write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from dateutil import parser as dateutil_parser

#: Seconds east of UTC of the zones that outlets name by letters; those with several meanings (IST, CST, BST as
#: Bangladesh's) have the one that news in English mean.
_ZONES = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 3600, "BST": 3600, "CET": 3600, "CEST": 7200, "MEZ": 3600,
    "MESZ": 7200, "EET": 7200, "EEST": 10800, "MSK": 10800, "IST": 19800, "JST": 32400, "KST": 32400, "SAST": 7200,
    "AEST": 36000, "AEDT": 39600, "NZST": 43200, "NZDT": 46800, "EST": -18000, "EDT": -14400, "ET": -18000,
    "CST": -21600, "CDT": -18000, "MST": -25200, "MDT": -21600, "PST": -28800, "PDT": -25200,
}  # fmt: skip
_EPOCH = re.compile(r"1\d{9}(\d{3})?(\.\d+)?")
_JAVASCRIPT = re.compile(r"GMT([+-]\d{4})\s*(\(.*\))?$")
_RFC_822 = re.compile(r"(?:[A-Za-z]+,? )?\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{2,4} \d{1,2}:\d{2}(?::\d{2})?(?: [+-]?\w+)?$")
_FRACTION = re.compile(r"(\d{2}:\d{2}:\d{2})[.,]\d+")
#: A day in words or with the year first; others ("03/05/2024") mean one day here and another there.
_PLAIN_ORDER = re.compile(r"^\D{0,12}\d{4}\D|[^\W\d_]{3,}")
_MAX_LENGTH = 80


def parse_time(text: str) -> tuple[datetime | None, bool]:
    """Return a written time as (aware datetime, whether its zone was written), or (None, False).

    Read are ISO 8601, RFC 822, seconds and milliseconds since 1970, and times in English words, with offsets or the
    usual letters for zones. A time without a zone is returned as if in UTC. What leaves the order of day and month
    open is not read.
    """
    text = " ".join(text.split())
    if not text or len(text) > _MAX_LENGTH:
        return None, False
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(float(text) / (1000 if len(text.partition(".")[0]) == 13 else 1), UTC), True
    for parse in (datetime.fromisoformat, parsedate_to_datetime if _RFC_822.match(text) else _in_words):
        try:
            instant = parse(text)
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
            continue
        zoned = instant.tzinfo is not None
        instant = instant if zoned else instant.replace(tzinfo=UTC)
        try:
            instant.astimezone(UTC)
        except (OverflowError, ValueError):
            return None, False
        return instant, zoned
    return None, False


def has_time_of_day(text: str) -> bool:
    """Tell whether a written time says more than the day."""
    return bool(_EPOCH.fullmatch(text.strip()) or re.search(r"\d{1,2}[:.h]\d{2}|T\d{4}", text))


def _in_words(text: str) -> datetime:
    first: datetime
    second: datetime
    if not _PLAIN_ORDER.search(text):
        raise ValueError("the order of day and month is open")
    text = _JAVASCRIPT.sub(r"\1", _FRACTION.sub(r"\1", text))
    # Two defaults that differ in each part show what the text left out.
    first, second = (
        dateutil_parser.parse(text, default=default, tzinfos=_ZONES)
        for default in (datetime(2000, 1, 1), datetime(2001, 2, 2))  # noqa: DTZ001 - parts of a default, no instants
    )
    if first != second:
        raise ValueError("no full date")
    return first
