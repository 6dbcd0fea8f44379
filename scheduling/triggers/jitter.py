"""Jitter: a delay that follows from schedule and due time, so that previews and the uniqueness of a fire hold."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

RESOLUTION = 1 << 32


def delay(schedule_id: int, due: datetime, jitter_seconds: int) -> timedelta:
    """Return the delay in [0, jitter_seconds) of one due time of one schedule; always the same for the same two."""
    if not jitter_seconds:
        return timedelta(0)
    key = f"{schedule_id}:{due.astimezone(UTC).isoformat()}".encode()
    share = int.from_bytes(hashlib.blake2b(key, digest_size=4).digest()) / RESOLUTION
    return timedelta(milliseconds=int(share * jitter_seconds * 1000))
