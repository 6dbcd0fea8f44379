"""What is coming up: the fires of the next days by hour, and those of one hour, of all schedules together.

The work is bounded: a schedule costs the reading of the columns that say when it is due. Triggers that are due in the
same quarters of hours are walked once, and no more than `MOST_FIRES` due times are walked at all; the schedules beyond
that are counted and said.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from statistics import median
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone

from scheduling.jobs import registry
from scheduling.models import Schedule, ScheduleState
from scheduling.models.timing import Timed
from scheduling.triggers import ScheduleTrigger, TriggerKind
from scheduling.triggers.base import SMALLEST_STEP

DAYS = 7
QUARTER = timedelta(minutes=15)
"""Zones begin their hours at one of these."""
MOST_FIRES = 400_000
"""So many due times are walked for one page at most: some half a second."""
MOST_LISTED = 1_000
"""So many due times of one hour are listed."""
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


class _Tally:
    """Fires by number of the quarter since one begins, up to the end of the week, and what was too many to walk."""

    def __init__(self, begin: datetime, until: datetime) -> None:
        self.begin, self.until = begin, until
        self.totals: Counter[int] = Counter()
        self.left_out: list[int] = []
        self._walked = 0

    def walk(self, trigger: ScheduleTrigger, after: datetime) -> Counter[int] | None:
        """Return the fires of a trigger after a moment; None where they are too many."""
        room = min(MOST_OF_ONE, MOST_FIRES - self._walked)
        times = islice(trigger.between(after, self.until), room + 1)
        quarters = Counter((due - self.begin) // QUARTER for due in times)
        self._walked += quarters.total()
        return quarters if quarters.total() <= room else None

    def add(self, quarters: Counter[int] | None, keys: list[int]) -> None:
        """Count the fires for each of these schedules; leave them out where there is no count."""
        if quarters is None:
            self.left_out += keys
            return
        for quarter, count in quarters.items():
            self.totals[quarter] += count * len(keys)


def week(now: datetime | None = None) -> Week:
    """Return the fires of today and the following days, from now on.

    1. In the rest of this quarter of an hour the fires of each trigger are counted by themselves.
    2. In the quarters after it many triggers have their fires in common; those are walked once for all of them.
    3. Schedules that end after some runs, or that wait for the end of a pause, are walked from where they begin.
    """
    now = now or timezone.now()
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    until = midnight + timedelta(days=DAYS) - SMALLEST_STEP
    tally = _Tally(now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0), until)
    rest = tally.begin + QUARTER - SMALLEST_STEP
    alike: dict[ScheduleTrigger, list[int]] = {}
    soon: Counter[ScheduleTrigger] = Counter()
    for firing in _firing(now):
        trigger, endless = firing.trigger, firing.endless
        if endless and firing.after == now:
            common = trigger.in_steps_of(QUARTER, rest, until)
            alike.setdefault(common, []).extend(endless)
            first = trigger.next_after(now)
            if first is not None and first <= rest:
                soon[common] += trigger.due_times(first, rest).count * len(endless)
            endless = []
        if endless or firing.ending:
            quarters = tally.walk(trigger, firing.after)
            tally.add(quarters, endless)
            for key, left in firing.ending:
                tally.add(None if quarters is None else _first(quarters, left), [key])
    for trigger, keys in alike.items():
        quarters = tally.walk(trigger, rest)
        tally.add(quarters, keys)
        tally.totals[0] += 0 if quarters is None else soon[trigger]
    left_out = list(Schedule.objects.filter(pk__in=tally.left_out).order_by("name")) if tally.left_out else []
    found = Week([(midnight + timedelta(days=number)).date() for number in range(DAYS)], left_out=left_out)
    for number, count in (+tally.totals).items():
        local = timezone.localtime(tally.begin + number * QUARTER)
        cell = (local.date(), local.hour)
        found.by_hour[cell] = found.by_hour.get(cell, 0) + count
    return found


def hour(start: datetime, now: datetime | None = None, most: int = MOST_LISTED) -> list[Fire]:
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
    schedules = Schedule.objects.only("name", "job", "parameters").in_bulk({key for _due, key in found})
    # A schedule that was deleted in between is due no more.
    fires = [Fire(due, schedules[key]) for due, key in found if key in schedules]
    return sorted(fires, key=lambda fire: (fire.due, fire.schedule.name))


_OTHERWISE_READ = ("jitter_seconds", "max_runs", "trigger_kind", "created_at")
_JSON = ("parts", "blackout_times", "blackout_dates")
_SAID = [one.name for one in Timed._meta.local_fields if one.name not in (*_OTHERWISE_READ, *_JSON)]
"""The columns that say when a schedule is due."""
_ANCHORED = (TriggerKind.INTERVAL, TriggerKind.ANY_OF, TriggerKind.ALL_OF)
"""The kinds for which it counts when the schedule was made."""
_NO_ANCHOR = datetime(2000, 1, 1, tzinfo=UTC)


def _firing(now: datetime) -> list[_Firing]:
    """Return the schedules that will be due by themselves: enabled, not broken, not paused for good."""
    fired = dict(ScheduleState.objects.filter(fired__gt=0).values_list("schedule_id", "fired"))
    found: dict[tuple[int, datetime], _Firing] = {}
    rows = Schedule.objects.enabled().exclude(trigger_kind=TriggerKind.MANUAL).order_by()
    # Lists and dates are compared as the text in which they are stored; only what is new is read.
    texts = [Cast(name, TextField()) for name in _JSON]
    for key, job, paused_at, paused_until, most, kind, created_at, *said in rows.values_list(
        "pk", "job", "paused_at", "paused_until", "max_runs", "trigger_kind", "created_at", *_SAID, *texts
    ):
        trigger = _trigger(kind, created_at if kind in _ANCHORED else _NO_ANCHOR, tuple(said))
        if trigger is None or job not in registry or (paused_at is not None and paused_until is None):
            continue
        after = max(now, paused_until) if paused_at and paused_until else now
        firing = found.setdefault((id(trigger), after), _Firing(trigger, after))
        if most is None:
            firing.endless.append(key)
        elif (left := most - fired.get(key, 0)) > 0:
            firing.ending.append((key, left))
    return list(found.values())


@lru_cache(maxsize=20_000)
def _trigger(kind: str, created_at: datetime, said: tuple[Any, ...]) -> ScheduleTrigger | None:
    """Return the trigger that columns say; None for one that is manual or cannot be understood.

    Kept by what they say, so that a page builds only what was not there before, and schedules that say the same share
    one.
    """
    values = dict(zip([*_SAID, *_JSON], said, strict=True))
    try:
        values |= {name: json.loads(values[name]) for name in _JSON}
        return Schedule(trigger_kind=kind, created_at=created_at, **values).trigger()
    except Exception:
        # What is wrong with it stands on its own row of the list.
        return None


def _first(quarters: Counter[int], left: int) -> Counter[int]:
    """Return the counts of the first `left` fires only."""
    found: Counter[int] = Counter()
    for quarter in sorted(quarters):
        found[quarter] = min(left, quarters[quarter])
        left -= found[quarter]
        if left <= 0:
            break
    return found
