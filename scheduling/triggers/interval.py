"""Intervals: every N seconds from an anchor, so that they never drift; elapsed time counts, whatever clocks do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import gcd
from typing import Any

from scheduling.triggers.base import SMALLEST_STEP, DueTimes, ScheduleTrigger
from scheduling.triggers.daily import DAY, SECONDS, WHOLE_DAY, between, moved

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        step, until = timedelta(seconds=self.seconds), self.last_moment(now)
        following = self.next_after(due)
        if following is None or following > until:
            return DueTimes(due, None, due, 1)
        steps = (until - following) // step
        latest = following + steps * step
        return DueTimes(due, latest - step if steps else due, latest, steps + 2)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) after one moment, up to and including another, faster than one at a time."""
        step, until = timedelta(seconds=self.seconds), self.last_moment(until)
        due = self.next_after(after)
        while due is not None and due <= until:
            yield due
            due += step

    def in_steps_of(self, step: timedelta, after: datetime, until: datetime) -> ScheduleTrigger:
        """Return the interval that counts from the earliest anchor whose due times fall into the same steps.

        With anchors moved within what the interval and the step can both be divided by, no due time leaves its step.
        """
        is_whole = self.first_moment(after) == after and self.last_moment(until) == until
        if self.anchor > after or not is_whole:
            return self
        common = timedelta(seconds=gcd(self.seconds, int(step.total_seconds())))
        phase = (self.anchor - EPOCH) % timedelta(seconds=self.seconds)
        return FixedIntervalTrigger(self.seconds, EPOCH + phase // common * common)

    def seconds_of(self, midnight: datetime) -> int:
        """Return the whole seconds of the UTC day from `midnight` at which it is due: bit n is second n."""
        due = self.next_from(midnight)
        if due is None or due.microsecond or due >= midnight + DAY:
            return 0
        bits = moved(_multiples(self.seconds), (due - midnight).seconds)
        return between(bits, midnight, midnight - SMALLEST_STEP, self.last_moment(midnight + DAY))

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "seconds": self.seconds, "anchor": self.anchor}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.seconds = state["seconds"]
        self.anchor = state["anchor"]

    def __str__(self) -> str:
        return f"interval[{self.seconds} s]"


@lru_cache(maxsize=256)
def _multiples(step: int) -> int:
    """Return the seconds of a day that are multiples of a step."""
    bits, length = 1, step
    while length < SECONDS:
        bits |= bits << length
        length *= 2
    return bits & WHOLE_DAY
