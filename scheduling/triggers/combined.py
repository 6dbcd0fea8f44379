"""Triggers made of triggers: any of them, all of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from scheduling.triggers.base import FARTHEST, SMALLEST_STEP, ScheduleTrigger

MOST_STEPS = 10_000
"""So many times a search for a due time looks further; one that then has none counts as one that never fires."""

CHUNK = timedelta(days=1)
"""So much time is intersected at once."""


class _CombinedTrigger(ScheduleTrigger):
    def __init__(
        self, triggers: Iterable[ScheduleTrigger], *, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        """Take at least one trigger; each keeps its own window. Raises `ValueError` for none."""
        super().__init__(start=start, end=end)
        self.triggers = tuple(triggers)
        if not self.triggers:
            raise ValueError("a combination needs at least one trigger")

    def _merged(self, after: datetime, until: datetime) -> Iterator[tuple[datetime, int]]:
        """Yield the times at which any is due after one moment, up to and including another, and how many are."""
        times = heapq.merge(*(trigger.between(after, until) for trigger in self.triggers))
        return ((due, sum(1 for _same in several)) for due, several in groupby(times))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "triggers": self.triggers}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.triggers = state["triggers"]


class AnyOfTrigger(_CombinedTrigger):
    """Due whenever one of its triggers is, once where several are at the same time."""

    def _after(self, moment: datetime) -> datetime | None:
        return min((due for trigger in self.triggers if (due := trigger.next_after(moment)) is not None), default=None)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) after one moment, up to and including another."""
        return (due for due, _count in self._merged(self.first_moment(after), self.last_moment(until)))

    def __str__(self) -> str:
        return f"any[{'; '.join(map(str, self.triggers))}]"


class AllOfTrigger(_CombinedTrigger):
    """Due when all of its triggers are at the same time; never, if that does not come within `MOST_STEPS` looks or
    `FARTHEST` after the moment asked for.
    """

    def _after(self, moment: datetime) -> datetime | None:
        times = [trigger.next_after(moment) for trigger in self.triggers]
        for _step in range(MOST_STEPS):
            known = [due for due in times if due is not None]
            if len(known) < len(times) or (latest := max(known)) > moment + FARTHEST:
                return None
            if min(known) == latest:
                return latest
            times = [
                due if due == latest else trigger.next_after(latest - SMALLEST_STEP)
                for trigger, due in zip(self.triggers, known, strict=True)
            ]
        return None

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) after one moment, up to and including another."""
        until = self.last_moment(until)
        while (due := self.next_after(after)) is not None and due <= until:
            end = min(due + CHUNK, until)
            yield from (due for due, count in self._merged(due - SMALLEST_STEP, end) if count == len(self.triggers))
            after = end

    def __str__(self) -> str:
        return f"all[{'; '.join(map(str, self.triggers))}]"
