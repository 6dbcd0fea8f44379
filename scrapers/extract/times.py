"""Instants, as feeds and pages write them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_time(text: str) -> tuple[datetime | None, bool]:
    """Return an ISO 8601 or RFC 822 time as (aware datetime, whether its zone was written), or (None, False)."""
    text = text.strip()
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            instant = parse(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        zoned = instant.tzinfo is not None
        instant = instant if zoned else instant.replace(tzinfo=UTC)
        try:
            instant.astimezone(UTC)
        except OverflowError:
            return None, False
        return instant, zoned
    return None, False
