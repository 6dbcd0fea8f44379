"""Headers by which an answer is not sent twice, or not before its time: ETag, Last-Modified, Retry-After."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from django.utils import timezone

RETRY_AFTER_MAX = timedelta(days=1)
"""A host that asks for longer is asked again after this."""


def conditional_headers(etag: str, last_modified: str) -> dict[str, str]:
    """Return the request headers that ask for an answer only if it has changed (RFC 9110, 13.1)."""
    headers = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    return {name: value for name, value in headers.items() if value}


def validators_of(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return (ETag, Last-Modified) of an answer, empty where it has none."""
    return headers.get("ETag", "").strip(), headers.get("Last-Modified", "").strip()


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> timedelta | None:
    """Return how long the host asks to be left alone (RFC 9110, 10.2.3: seconds or a date), at most a day."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), RETRY_AFTER_MAX)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(moment - (now or timezone.now()), timedelta()), RETRY_AFTER_MAX)
