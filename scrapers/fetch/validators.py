"""Headers by which an answer is not sent twice, or not before its time: validators, freshness, Retry-After."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.utils import timezone

RETRY_AFTER_MAX = timedelta(days=1)
"""A host that asks for longer is asked again after this."""
FRESH_MAX = timedelta(days=1)
"""An answer that says it stays fresh for longer is asked for again after this."""
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d+)", re.IGNORECASE)


def conditional_headers(etag: str, last_modified: str) -> dict[str, str]:
    """Return the request headers that ask for an answer only if it has changed (RFC 9110, 13.1)."""
    headers = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    return {name: value for name, value in headers.items() if value}


def validators_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return (ETag, Last-Modified) of an answer, empty where it has none that could be sent back."""
    return _sendable(headers.get("ETag", "")), _sendable(headers.get("Last-Modified", ""))


def _sendable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # Bytes that are no UTF-8.
        return ""
    return text.strip()


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """Return how long the host asks to be left alone (RFC 9110, 10.2.3: seconds or a date), at most a day."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), RETRY_AFTER_MAX)
    moment = _moment(text)
    if moment is None:
        return None
    return min(max(moment - (now or timezone.now()), timedelta()), RETRY_AFTER_MAX)


def fresh_for(headers: Mapping[str, str], now: datetime | None = None) -> timedelta:
    """Return how long an answer stays fresh (RFC 9111, 4.2: max-age less Age, else Expires less Date), at most a day.

    Zero without such headers, and for one that is not to be stored.
    """
    control = headers.get("Cache-Control", "").lower()
    if "no-cache" in control or "no-store" in control:
        return timedelta()
    if match := _MAX_AGE.search(control):
        age = headers.get("Age", "").strip()
        seconds = int(match[1][:9]) - (int(age[:9]) if age.isascii() and age.isdigit() else 0)
        return min(max(timedelta(seconds=seconds), timedelta()), FRESH_MAX)
    expires = _moment(headers.get("Expires", ""))
    if expires is None:
        return timedelta()
    sent = _moment(headers.get("Date", "")) or now or timezone.now()
    return min(max(expires - sent, timedelta()), FRESH_MAX)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
