"""What is coming up: the fires of the next days by hour, and those of one hour, of all schedules together.

The work is bounded: a schedule costs the reading of the columns that say when it is due, equal triggers are built and
walked once, and no more than `MOST_FIRES` due times are walked at all; the schedules beyond that are counted and said.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from statistics import median
from typing import Any

from django.utils import timezone

from scheduling.jobs import registry
from scheduling.models import Schedule, ScheduleState
from scheduling.models.timing import Timed
from scheduling.triggers import ScheduleTrigger, TriggerKind

DAYS = 7
MOST_FIRES = 400_000
"""So many due times are walked for one page at most: some half a second."""
MOST_OF_ONE = 130_000
"""So many due times of one trigger are walked; a schedule that is due more often is left out and said."""


@dataclass
class Week:
    """Fires by local day and hour of the active zone, and the schedules that were not counted."""

    days: list[date]
    by_hour: dict[tuple[date, int], int] = field(default_factory=dict)
    left_out: list[Schedule] = field(default_factory=list)

    @property
    def usual(self) -> float:
        """Return the median number of fires of the hours that have any."""
        return median(self.by_hour.values()) if self.by_hour else 0.0

    @property
    def total(self) -> int:
        """Return all fires that were counted."""
        return sum(self.by_hour.values())


@dataclass(frozen=True)
class Fire:
    """One due time of one schedule."""

    due: datetime
    schedule: Schedule


class _Firing:
    """Schedules with one trigger that counts from one moment on: their primary keys, each with its runs left."""

    def __init__(self, trigger: ScheduleTrigger, after: datetime) -> None:
        self.trigger = trigger
        self.after = after
        self.endless: list[int] = []
        self.ending: list[tuple[int, int]] = []

    def keys(self) -> list[int]:
        """Return the primary keys of its schedules."""
        return [*self.endless, *(key for key, _left in self.ending)]


def week(now: datetime | None = None) -> Week:
    """Return the fires of today and the following days, from now on."""
    now = now or timezone.now()
    first = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [(first + timedelta(days=number)).date() for number in range(DAYS)]
    until = first + timedelta(days=DAYS) - timedelta(microseconds=1)
    totals: Counter[datetime] = Counter()
    left_out: list[int] = []
    walked = 0
    for firing in _firing(now):
        room = min(MOST_OF_ONE, MOST_FIRES - walked)
        quarters = Counter(map(_quarter, islice(firing.trigger.between(firing.after, until), room + 1)))
        number = quarters.total()
        walked += number
        if number > room:
            left_out += firing.keys()
            continue
        for quarter, count in quarters.items():
            totals[quarter] += count * len(firing.endless)
        for _key, left in firing.ending:
            totals += _first(quarters, left)
    found = Week(days, left_out=list(Schedule.objects.filter(pk__in=left_out).order_by("name")) if left_out else [])
    for quarter, count in totals.items():
        local = timezone.localtime(quarter)
        cell = (local.date(), local.hour)
        found.by_hour[cell] = found.by_hour.get(cell, 0) + count
    return found


def hour(start: datetime, now: datetime | None = None, most: int = 5_000) -> list[Fire]:
    """Return the fires of the hour that begins at `start`, in order, `most` of them at most."""
    now = now or timezone.now()
    end = start + timedelta(hours=1) - timedelta(microseconds=1)
    found: list[tuple[datetime, int]] = []
    for firing in _firing(now):
        since = max(start - timedelta(microseconds=1), firing.after)
        times = list(islice(firing.trigger.between(since, end), most))
        found += [(due, key) for key in firing.endless for due in times]
        for key, left in firing.ending:
            before = sum(1 for _due in islice(firing.trigger.between(firing.after, since), left))
            found += [(due, key) for due in times[: left - before]]
    found = sorted(found)[:most]
    schedules = Schedule.objects.in_bulk({key for _due, key in found})
    # A schedule that was deleted in between is due no more.
    fires = [Fire(due, schedules[key]) for due, key in found if key in schedules]
    return sorted(fires, key=lambda fire: (fire.due, fire.schedule.name))


_SAID = [one.name for one in Timed._meta.local_fields if one.name not in ("jitter_seconds", "max_runs")]
"""The columns that say when a schedule is due."""


def _firing(now: datetime) -> list[_Firing]:
    """Return the schedules that will be due by themselves: enabled, not broken, not paused for good."""
    fired = dict(ScheduleState.objects.filter(fired__gt=0).values_list("schedule_id", "fired"))
    found: dict[tuple[ScheduleTrigger, datetime], _Firing] = {}
    rows = Schedule.objects.enabled().exclude(trigger_kind=TriggerKind.MANUAL).order_by()
    for key, job, paused_at, paused_until, most, *said in rows.values_list(
        "pk", "job", "paused_at", "paused_until", "max_runs", *_SAID
    ):
        trigger = _trigger(tuple(json.dumps(value) if isinstance(value, list | dict) else value for value in said))
        if trigger is None or job not in registry or (paused_at is not None and paused_until is None):
            continue
        after = max(now, paused_until) if paused_at and paused_until else now
        firing = found.setdefault((trigger, after), _Firing(trigger, after))
        if most is None:
            firing.endless.append(key)
        elif (left := most - fired.get(key, 0)) > 0:
            firing.ending.append((key, left))
    return list(found.values())


@lru_cache(maxsize=20_000)
def _trigger(said: tuple[Any, ...]) -> ScheduleTrigger | None:
    """Return the trigger that columns (JSON as text) say; None for one that is manual or cannot be understood.

    Kept by what they say, so that a page builds only what was not there before.
    """
    values = dict(zip(_SAID, said, strict=True))
    for name in ("parts", "blackout_times", "blackout_dates"):
        values[name] = json.loads(values[name]) if isinstance(values[name], str) else values[name]
    try:
        return Schedule(**values).trigger()
    except Exception:
        # What is wrong with it stands on its own row of the list.
        return None


def _quarter(moment: datetime) -> datetime:
    """Return the begin of the quarter of an hour: zones begin their hours at one of these."""
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def _first(quarters: Counter[datetime], left: int) -> Counter[datetime]:
    """Return the counts of the first `left` fires only."""
    found: Counter[datetime] = Counter()
    for quarter in sorted(quarters):
        found[quarter] = min(left, quarters[quarter])
        left -= found[quarter]
        if left <= 0:
            break
    return found
