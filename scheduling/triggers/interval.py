"""Intervals: every N seconds from an anchor, so that they never drift; elapsed time counts, whatever clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scheduling.triggers.base import DueTimes, ScheduleTrigger


class FixedIntervalTrigger(ScheduleTrigger):
    """Due times at anchor + k · interval, for every whole k ≥ 0."""

    def __init__(
        self, seconds: int, anchor: datetime, *, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        """Take an interval in whole seconds, at least 1."""
        super().__init__(start=start, end=end)
        if seconds < 1:
            raise ValueError(f"an interval must be at least 1 second, got: {seconds}")
        self.seconds = seconds
        self.anchor = anchor.astimezone(UTC)

    def _after(self, moment: datetime) -> datetime | None:
        step = timedelta(seconds=self.seconds)
        if moment < self.anchor:
            return self.anchor
        return self.anchor + ((moment - self.anchor) // step + 1) * step

    def due_times(self, due: datetime, now: datetime) -> DueTimes:
        """Return the due times from `due` up to `now` by arithmetic: a week of seconds costs no more than one."""
        step = timedelta(seconds=self.seconds)
        last = min(now, self.end) if self.end else now
        steps = max(0, (last - due) // step)
        return DueTimes(due, due + (steps - 1) * step if steps else None, due + steps * step, steps + 1)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "seconds": self.seconds, "anchor": self.anchor}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.seconds = state["seconds"]
        self.anchor = state["anchor"]

    def __str__(self) -> str:
        return f"interval[{self.seconds} s]"
