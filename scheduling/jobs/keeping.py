"""What housekeeping removes for an app: rules registered beside its jobs, and the way to remove rows in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.db.models import QuerySet

PAUSE_SECONDS = 0.02
"""Seconds between two transactions, in which others may write."""

Stopped = Callable[[], bool]
"""Asked between two batches: whether to leave the rest to another time."""
Remover = Callable[[datetime, Stopped], int]
"""Removes what is no longer kept at an instant; returns how many rows."""

_removers: dict[str, Remover] = {}
removers: Mapping[str, Remover] = MappingProxyType(_removers)
"""What apps registered, by what they remove in words."""


def removes(rows: str) -> Callable[[Remover], Remover]:
    """Register the decorated function as what removes such rows; raises `ValueError` if there is one already."""

    def register(remover: Remover) -> Remover:
        if rows in _removers:
            raise ValueError(f"two rules remove {rows}")
        _removers[rows] = remover
        return remover

    return register


def remove_rows(rows: QuerySet[Any], batch: int, stopped: Stopped) -> int:
    """Remove rows by primary key from the lowest on, so many in a transaction; return how many."""
    removed = 0
    while not stopped():
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:batch])
        if not keys:
            break
        # One statement, or with what hangs on the rows one transaction, by Django.
        rows.model._default_manager.filter(pk__in=keys).delete()
        removed += len(keys)
        time.sleep(PAUSE_SECONDS)
    return removed
