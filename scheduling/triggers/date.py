"""One-off dates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from scheduling.triggers.base import ScheduleTrigger


class OneOffTrigger(ScheduleTrigger):
    """The one due time at `run_at`."""

    def __init__(self, run_at: datetime, *, start: datetime | None = None, end: datetime | None = None) -> None:
        super().__init__(start=start, end=end)
        self.run_at = run_at.astimezone(UTC)

    def _after(self, moment: datetime) -> datetime | None:
        return self.run_at if self.run_at > moment else None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "run_at": self.run_at}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.run_at = state["run_at"]

    def __str__(self) -> str:
        return f"date[{self.run_at:%Y-%m-%d %H:%M:%S} UTC]"
