"""What all systems measure with: the clock of a burst, lags in figures, memory, statements."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

PERIOD_SECONDS = 10
"""Seconds from one burst to the next."""


def next_start(lead: float) -> datetime:
    """Return the whole second that is at least `lead` seconds ahead."""
    return datetime.fromtimestamp(math.ceil(time.time() + lead), UTC)


def lags(values: Iterable[float]) -> dict[str, float]:
    """Return the percentiles of lags in seconds."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {
        "p50": round(percentile(ordered, 0.50), 4),
        "p95": round(percentile(ordered, 0.95), 4),
        "p99": round(percentile(ordered, 0.99), 4),
        "max": round(ordered[-1], 4),
    }


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def rss_mb(pid: int | None = None) -> float:
    """Return the memory of a process and of all below it."""
    import psutil

    top = psutil.Process(pid)
    return round(sum(one.memory_info().rss for one in [top, *top.children(recursive=True)]) / 1e6, 1)


class Statements:
    """Counts the statements that Django executes on any connection of this thread's."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        return execute(sql, params, many, context)
