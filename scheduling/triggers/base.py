"""What every trigger of a schedule can do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.triggers.base import BaseTrigger

from scheduling.triggers.clocks import Stretch
from scheduling.triggers.outlook import ChangeEffect

SMALLEST_STEP = timedelta(microseconds=1)

END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC)
"""Nothing is due after this; Python's calendar ends with the year 9999, and cronsim looks 50 years ahead."""


FARTHEST = timedelta(days=5 * 366)
"""So far ahead (or back) a search for a due time looks where arithmetic alone does not find it."""


@dataclass(frozen=True, slots=True)
class DueTimes:
    """Due times found together: the first, the last but one, the last (all UTC), and how many."""

    first: datetime
    before_latest: datetime | None
    latest: datetime
    count: int


class ScheduleTrigger(BaseTrigger):  # type: ignore[misc]
    """A trigger with a window of validity; equal triggers yield equal times for ever.

    Subclasses give `_after(moment)`: the first due time strictly after `moment`, or None, window aside.
    """

    def __init__(self, *, start: datetime | None = None, end: datetime | None = None) -> None:
        self.start = start.astimezone(UTC) if start else None
        self.end = end.astimezone(UTC) if end else None

    @abstractmethod
    def _after(self, moment: datetime) -> datetime | None:
        """Return the first due time (UTC) strictly after `moment` (UTC), or None when there is none."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time (UTC) strictly after `moment` within [start, end], or None."""
        moment = self.first_moment(moment)
        if moment >= END_OF_TIME:
            return None
        due = self._after(moment)
        if due is None or (self.end is not None and due > self.end):
            return None
        return due

    def next_from(self, moment: datetime) -> datetime | None:
        """Return the first due time (UTC) that is not before `moment`, within [start, end], or None."""
        return self.next_after(moment - SMALLEST_STEP)

    def last_before(self, moment: datetime) -> datetime | None:
        """Return the last due time (UTC) strictly before `moment` within [start, end], or None.

        It is looked for in spans that grow up to `FARTHEST`; what lies further back counts as none.
        """
        until, span = moment.astimezone(UTC) - SMALLEST_STEP, timedelta(hours=1)
        while True:
            first = self.next_after(until - span)
            if first is not None and first <= until:
                return self.due_times(first, until).latest
            if span == FARTHEST:
                return None
            span = min(span * 4, FARTHEST)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return APScheduler's answer: the due time after the previous one, or the first that is not before `now`."""
        if previous_fire_time is not None:
            return self.next_after(previous_fire_time)
        return self.next_from(now)

    def due_times(self, due: datetime, now: datetime) -> DueTimes:
        """Return the due times from `due` (itself one) up to and including `now`."""
        before_latest, latest, count = None, due, 1
        for following in self.between(due, now):
            before_latest, latest = latest, following
            count += 1
        return DueTimes(due, before_latest, latest, count)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) after one moment, up to and including another."""
        due = self.next_after(after)
        while due is not None and due <= until:
            yield due
            due = self.next_after(due)

    def in_steps_of(self, step: timedelta, after: datetime, until: datetime) -> ScheduleTrigger:
        """Return a trigger that is due as often in each step of the clock between two moments that begin and end one.

        Many triggers have one in common, which then says for all of them how many fires an hour has. Steps are counted
        from the epoch.
        """
        return self

    def seconds_of(self, midnight: datetime) -> int:
        """Return the whole seconds of the UTC day from `midnight` at which it is due: bit n is second n."""
        until = midnight + timedelta(days=1) - SMALLEST_STEP
        times = [due - midnight for due in self.between(midnight - SMALLEST_STEP, until) if not due.microsecond]
        return sum(1 << passed.seconds for passed in times)

    def at_change(self, stretch: Stretch) -> ChangeEffect | None:
        """Return what the change of clock with which a stretch begins does to a due time; None: nothing to speak of."""
        return None

    def first_moment(self, after: datetime) -> datetime:
        """Return the later of a moment and the one just before the window, in UTC."""
        after = after.astimezone(UTC)
        return max(after, self.start - SMALLEST_STEP) if self.start else after

    def last_moment(self, until: datetime) -> datetime:
        """Return the earlier of a moment and the end of the window, in UTC."""
        until = min(until.astimezone(UTC), END_OF_TIME)
        return min(until, self.end) if self.end else until

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *self.__getstate__().values()))

    def __getstate__(self) -> dict[str, Any]:
        return {"start": self.start, "end": self.end}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.start = state["start"]
        self.end = state["end"]
