"""Blackouts: local times of day and dates on which nothing is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from scheduling.triggers.base import FARTHEST, SMALLEST_STEP, DueTimes, ScheduleTrigger
from scheduling.triggers.clocks import stretch_at
from scheduling.triggers.combined import MOST_STEPS

DAY = timedelta(days=1)


class BlackoutTrigger(ScheduleTrigger):
    """The due times of another trigger, without those whose local time lies in a blackout.

    `daily` are pairs (from, to) of times of day, `from` in it and `to` no longer; with `from` after `to` across
    midnight. `dates` are whole local days. What is left out is not made up for. Where `MOST_STEPS` blackouts in a row
    or `FARTHEST` hold no free due time, there is none.
    """

    def __init__(
        self,
        trigger: ScheduleTrigger,
        zone: str,
        *,
        daily: Iterable[tuple[time, time]] = (),
        dates: Iterable[date] = (),
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        """Raise `ValueError` for a blackout that ends when it begins."""
        super().__init__(start=start, end=end)
        self.trigger = trigger
        self.zone = zone
        self.daily = tuple(sorted(set(daily)))
        self.dates = frozenset(dates)
        for begin, finish in self.daily:
            if begin == finish:
                raise ValueError(f"a daily blackout must end at another time than it begins, got: {begin}")

    def _after(self, moment: datetime) -> datetime | None:
        due = self.trigger.next_after(moment)
        for _step in range(MOST_STEPS):
            if due is None or due > moment + FARTHEST:
                return None
            end = self._blackout_end(due)
            if end is None:
                return due
            due = self.trigger.next_after(end - SMALLEST_STEP)
        return None

    def _blackout_end(self, moment: datetime) -> datetime | None:
        """Return when a blackout that holds at a moment ends, None where none holds.

        At a change of clock it is to be looked at anew: the clock may show a free time once more.
        """
        stretch = stretch_at(self.zone, moment)
        wall = stretch.wall(moment)
        if wall.date() in self.dates:
            ends = [datetime.combine(wall.date() + DAY, time())]
        else:
            now = wall.time()
            ends = [
                datetime.combine(wall.date() + DAY if now >= finish else wall.date(), finish)
                for begin, finish in self.daily
                if (begin <= now < finish if begin < finish else now >= begin or now < finish)
            ]
        return min([stretch.end, max(map(stretch.moment, ends))]) if ends else None

    def _free_until(self, moment: datetime) -> datetime:
        """Return until when no blackout can begin after a moment in none; a change of clock is looked at anew."""
        stretch = stretch_at(self.zone, moment)
        wall = stretch.wall(moment)
        begins = [begin for begin, _finish in self.daily] + ([time()] if self.dates else [])
        walls = [datetime.combine(wall.date() + (DAY if wall.time() >= begin else 0 * DAY), begin) for begin in begins]
        return min([stretch.end, *map(stretch.moment, walls)])

    def _spans(self, after: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield spans (first due time, last moment) in which all due times of the other trigger are free."""
        until = self.last_moment(until)
        while (due := self.next_after(after)) is not None and due <= until:
            after = min(self._free_until(due) - SMALLEST_STEP, until)
            yield due, after

    def due_times(self, due: datetime, now: datetime) -> DueTimes:
        """Return the due times from `due` up to `now`, as fast as the other trigger does for each span."""
        latest, before_latest, count = due, None, 1
        for first, last in self._spans(due, now):
            part = self.trigger.due_times(first, last)
            before_latest = latest if part.before_latest is None else part.before_latest
            latest = part.latest
            count += part.count
        return DueTimes(due, before_latest, latest, count)

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the due times (UTC) after one moment, up to and including another."""
        for first, last in self._spans(after, until):
            yield first
            yield from self.trigger.between(first, last)

    def __getstate__(self) -> dict[str, Any]:
        return {
            **super().__getstate__(),
            "trigger": self.trigger,
            "zone": self.zone,
            "daily": self.daily,
            "dates": self.dates,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.trigger = state["trigger"]
        self.zone = state["zone"]
        self.daily = state["daily"]
        self.dates = state["dates"]

    def __str__(self) -> str:
        daily = [f"{begin:%H:%M}-{finish:%H:%M}" for begin, finish in self.daily]
        return f"{self.trigger} without [{', '.join([*daily, *map(str, sorted(self.dates))])}, {self.zone}]"
