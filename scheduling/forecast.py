"""What is coming up: the fires of the next days by hour, and those of one hour, of all schedules together.

The work is bounded: equal triggers are walked once, and no more than `MOST_FIRES` due times are walked at all; the
schedules beyond that are counted and said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from statistics import median

from django.utils import timezone

from scheduling.models import Schedule, ScheduleState
from scheduling.triggers import ScheduleTrigger

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


def firing(now: datetime) -> list[Schedule]:
    """Return the schedules that will be due by themselves: enabled, not broken, not paused for good.

    Without what does not tell when they are due: it may be long, and there may be thousands of them.
    """
    schedules = Schedule.objects.enabled().defer("description", "parameters", "pause_reason")
    return [
        schedule
        for schedule in schedules
        if not schedule.problem() and not (schedule.is_paused(now) and schedule.paused_until is None)
    ]


def week(now: datetime | None = None) -> Week:
    """Return the fires of today and the following days, from now on."""
    now = now or timezone.now()
    first = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [(first + timedelta(days=number)).date() for number in range(DAYS)]
    until = first + timedelta(days=DAYS) - timedelta(microseconds=1)
    found = Week(days)
    counts: Counter[tuple[date, int]] = Counter()
    walked = 0
    for trigger, schedules in _by_trigger(firing(now), now):
        room = min(MOST_OF_ONE, MOST_FIRES - walked)
        hours: Counter[datetime] = Counter()
        number = 0
        for due in islice(trigger[0].between(trigger[1], until), room + 1):
            hours[due.replace(minute=0, second=0, microsecond=0)] += 1
            number += 1
        walked += number
        if number > room:
            found.left_out += [schedule for schedule, _left in schedules]
            continue
        for _schedule, left in schedules:
            _count(counts, hours, left if left is not None and left < number else None)
    found.by_hour = dict(counts)
    return found


def hour(start: datetime, now: datetime | None = None, most: int = 5_000) -> list[Fire]:
    """Return the fires of the hour that begins at `start`, in order, `most` of them at most."""
    now = now or timezone.now()
    end = start + timedelta(hours=1) - timedelta(microseconds=1)
    fires: list[Fire] = []
    for (trigger, after), schedules in _by_trigger(firing(now), now):
        since = max(start - timedelta(microseconds=1), after)
        times = list(islice(trigger.between(since, end), most))
        for schedule, left in schedules:
            before = 0 if left is None else sum(1 for _due in islice(trigger.between(after, since), left))
            fires += [Fire(due, schedule) for due in (times if left is None else times[: left - before])]
    return sorted(fires, key=lambda fire: (fire.due, fire.schedule.name))[:most]


def _by_trigger(
    schedules: Iterable[Schedule], now: datetime
) -> list[tuple[tuple[ScheduleTrigger, datetime], list[tuple[Schedule, int | None]]]]:
    """Return each different (trigger, moment from which on it counts) with its schedules and their runs left."""
    fired = dict(ScheduleState.objects.filter(fired__gt=0).values_list("schedule_id", "fired"))
    groups: dict[tuple[ScheduleTrigger, datetime], list[tuple[Schedule, int | None]]] = {}
    for schedule in schedules:
        trigger = schedule.trigger()
        if trigger is None:
            continue
        left = None if schedule.max_runs is None else max(0, schedule.max_runs - fired.get(schedule.pk, 0))
        after = max(now, schedule.paused_until) if schedule.paused_until else now
        groups.setdefault((trigger, after), []).append((schedule, left))
    return list(groups.items())


def _count(counts: Counter[tuple[date, int]], hours: Counter[datetime], left: int | None) -> None:
    """Add the fires of one schedule, of which only `left` will still start a run, by local day and hour."""
    for moment in sorted(hours):
        number = hours[moment] if left is None else min(left, hours[moment])
        local = timezone.localtime(moment)
        counts[local.date(), local.hour] += number
        if left is not None:
            left -= number
            if left <= 0:
                return
