"""Jitter: a delay that follows from schedule and due time, so that previews and the uniqueness of a fire hold."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

RESOLUTION = 1 << 32


def delay(schedule_id: int, due: datetime, jitter_seconds: int) -> timedelta:
    """Return the delay in [0, jitter_seconds) of one due time of one schedule; always the same for the same two."""
    if not jitter_seconds:
        return timedelta(0)
    key = f"{schedule_id}:{due.astimezone(UTC).isoformat()}"
    return timedelta(milliseconds=int(share(key) * jitter_seconds * 1000))


def share(key: str) -> float:
    """Return a number in [0, 1) that looks random and is always the same for the same key."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest()) / RESOLUTION
