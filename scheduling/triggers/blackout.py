"""Blackouts: local times of day and dates on which nothing is due."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from functools import lru_cache
from typing import Any

from scheduling.triggers.base import FARTHEST, SMALLEST_STEP, ScheduleTrigger
from scheduling.triggers.clocks import Stretch, stretch_at
from scheduling.triggers.daily import (
    DAY,
    SECOND,
    SECONDS,
    WHOLE_DAY,
    DailyTrigger,
    between,
    end_of_day,
    moved,
    second_of,
)
from scheduling.triggers.outlook import ChangeEffect


class BlackoutTrigger(DailyTrigger):
    """The due times of another trigger, without those whose local time lies in a blackout.

    `daily` are pairs (from, to) of times of day, `from` in it and `to` no longer; with `from` after `to` across
    midnight. `dates` are whole local days. What is left out is not made up for. Where `FARTHEST` holds no free due
    time, there is none.
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
        limit = moment + FARTHEST
        while (due := self.trigger.next_after(moment)) is not None and due <= limit:
            if self._is_free(due):
                return due
            if (free := self._first_from(due)) is not None:
                return free
            moment = end_of_day(due)
        return None

    def _is_free(self, moment: datetime) -> bool:
        wall = stretch_at(self.zone, moment).wall(moment)
        return wall.date() not in self.dates and not any(
            begin <= wall.time() < finish if begin < finish else not finish <= wall.time() < begin
            for begin, finish in self.daily
        )

    def _seconds(self, midnight: datetime) -> int:
        return self.trigger.seconds_of(midnight) & self._free_seconds(midnight)

    def _free_seconds(self, midnight: datetime) -> int:
        """Return the seconds of a UTC day that lie in no blackout, from one change of clock to the next."""
        free, moment, end = 0, midnight, midnight + DAY
        while moment < end:
            stretch = stretch_at(self.zone, moment)
            until = min(stretch.end, end)
            day, last = stretch.wall(moment).date(), stretch.wall(until - SMALLEST_STEP).date()
            while day <= last:
                if day not in self.dates:
                    begin = datetime.combine(day, time(), UTC) - stretch.offset
                    local = moved(_free_local_seconds(self.daily), (begin - midnight) // SECOND)
                    free |= between(local, midnight, moment - SMALLEST_STEP, until - SMALLEST_STEP)
                day += DAY
            moment = until
        return free

    def at_change(self, stretch: Stretch) -> ChangeEffect | None:
        """Return what the change of clock that begins a stretch does to a due time, unless a blackout holds then."""
        return self.trigger.at_change(stretch) if self._is_free(stretch.start) else None

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


@lru_cache(maxsize=256)
def _free_local_seconds(daily: tuple[tuple[time, time], ...]) -> int:
    """Return the seconds of a local day that lie in no daily blackout."""
    free = WHOLE_DAY
    for begin, finish in daily:
        first, end = second_of(begin), second_of(finish)
        for start, stop in ((first, end),) if first < end else ((first, SECONDS), (0, end)):
            free &= ~((1 << stop) - (1 << start)) if start < stop else WHOLE_DAY
    return free
