"""Policies as pure functions: what becomes of the due times of one schedule that are found together.

No database, no clock of their own: all that they need is handed in, and what they decide is returned. Called by the
fire path (`scheduling.fires`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.models import CatchUp, ConcurrencyPolicy, RunStatus, Schedule
from scheduling.triggers import DueTimes, ScheduleTrigger
from scheduling.triggers.base import SMALLEST_STEP


class NewRun(NamedTuple):
    """A row that is to be inserted; what it does not say is copied from its schedule."""

    schedule_id: int
    scheduled_for: datetime
    status: RunStatus = RunStatus.QUEUED
    not_before: datetime | None = None
    wait_reason: str = ""
    outcome: str = ""
    missed_until: datetime | None = None
    missed_count: int = 0


def claimed_row(row: NewRun) -> NewRun:
    """Return a row as one that is claimed by the fire that inserts it."""
    return NewRun(row.schedule_id, row.scheduled_for, RunStatus.RUNNING, *row[3:])


@dataclass(frozen=True, slots=True)
class Active:
    """The runs of a schedule that have not ended, those of backfills aside: the oldest, and how many.

    None and 0 where there are only some of backfills.
    """

    oldest: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Interruption:
    """A time in which nothing was to be run, from `start` up to but not including `end` (UTC), and why, in words."""

    start: datetime
    end: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Due times in a row that share one fate: all in the same interruption, or in none (None)."""

    times: DueTimes
    interruption: Interruption | None = None


@dataclass(slots=True)
class Decision:
    """What becomes of the due times found."""

    rows: list[NewRun] = field(default_factory=list)
    next_due: datetime | None = None
    """The due time after them, None if there is none."""
    replaces: bool = False
    """Whether the new runs replace active ones or one another."""


def decide(
    schedule: Schedule,
    trigger: ScheduleTrigger,
    stretches: Sequence[Stretch],
    next_due: datetime | None,
    *,
    now: datetime,
    active: Active | None = None,
    remaining: int | None = None,
) -> Decision:
    """Return what becomes of due times found together.

    1. A schedule that has had its `max_runs` (`remaining` is 0) has no due times any more.
    2. Those within an interruption (a pause, a hold) are one `missed` row for each, which says why.
    3. Of the others, catch-up chooses the latest ones; what it does not choose is a `missed` row.
    4. The chosen ones are subject to the concurrency policy: `queued` or `skipped`.
    5. When these are the last of `max_runs`, there is no next due time.
    """
    if remaining == 0:
        return Decision()
    if active is not None and not active.count:
        active = None
    if remaining is None and active is None and _is_plain(schedule, stretches):
        # What nearly always is the case comes out of the steps below too, but slower.
        return Decision([_queued(schedule, stretches[0].times.latest, "")], next_due)
    chosen = _chosen(schedule, trigger, [s.times for s in stretches if s.interruption is None], now)
    rows = []
    for stretch in stretches:
        if stretch.interruption is not None:
            rows.append(_missed(schedule, stretch.times, stretch.times.latest, stretch.times.count, _why(stretch)))
        elif (left := _left_out(trigger, stretch.times, chosen)) is not None:
            rows.append(_missed(schedule, stretch.times, *left, _late(schedule, left[1], stretch.times, now)))
    started = _overlap(schedule, chosen if remaining is None else chosen[:remaining], active)
    queued = sum(run.status == RunStatus.QUEUED for run in started)
    replaces = schedule.concurrency_policy == ConcurrencyPolicy.REPLACE and queued + bool(active) > 1
    return Decision(rows + started, None if remaining is not None and queued >= remaining else next_due, replaces)


def find_stretches(
    trigger: ScheduleTrigger, first: datetime, now: datetime, interruptions: Iterable[Interruption] = ()
) -> list[Stretch]:
    """Cut the due times from `first` (itself one) up to and including `now` where interruptions begin and end."""
    found = []
    due: datetime | None = first
    for interruption in sorted(interruptions, key=lambda one: one.start):
        for end, within in ((interruption.start, None), (interruption.end, interruption)):
            if due is None or due > now or due >= end:
                continue
            last = min(end - SMALLEST_STEP, now)
            found.append(Stretch(trigger.due_times(due, last), within))
            due = trigger.next_after(last)
    if due is not None and due <= now:
        found.append(Stretch(trigger.due_times(due, now)))
    return found


def latest_times(trigger: ScheduleTrigger, times: DueTimes, most: int) -> list[datetime]:
    """Return the last ones of due times found together, oldest first, at most so many.

    Looks back from the latest in windows that double, so that the last ten of 600,000 cost no more than some tens.
    """
    if most <= 0:
        return []
    if most == 1:
        return [times.latest]
    before = times.first - SMALLEST_STEP
    window = (times.latest - before) / times.count * most
    while True:
        after = max(before, times.latest - window - SMALLEST_STEP)
        last = deque(trigger.between(after, times.latest), maxlen=most)
        if len(last) == most or after == before:
            break
        window *= 2
    # The first one may be due by an earlier trigger that was edited since.
    if len(last) < most and times.first not in last:
        last.appendleft(times.first)
    return list(last)


def _is_plain(schedule: Schedule, stretches: Sequence[Stretch]) -> bool:
    """Tell whether one due time was found, and nothing that could keep it from being run."""
    return (
        len(stretches) == 1
        and stretches[0].interruption is None
        and stretches[0].times.count == 1
        and schedule.catch_up != CatchUp.SKIP
    )


def _chosen(schedule: Schedule, trigger: ScheduleTrigger, free: Sequence[DueTimes], now: datetime) -> list[datetime]:
    """Return the due times that catch-up lets run, oldest first."""
    if not free:
        return []
    latest = free[-1]
    match schedule.catch_up:
        case CatchUp.SKIP:
            return [latest.latest] if now - latest.latest <= grace(schedule) else []
        case CatchUp.EACH:
            chosen: list[datetime] = []
            for times in reversed(free):
                chosen = latest_times(trigger, times, schedule.catch_up_limit - len(chosen)) + chosen
            return chosen
    return [latest.latest]


def grace(schedule: Schedule) -> timedelta:
    """Return how late a run may be with the catch-up `skip`; no run is ever started before its due time."""
    return timedelta(seconds=max(1, schedule.misfire_grace_time))


def _left_out(trigger: ScheduleTrigger, times: DueTimes, chosen: Sequence[datetime]) -> tuple[datetime, int] | None:
    """Return the last due time that was not chosen and how many were not; those chosen are the latest ones."""
    mine = sum(times.first <= due <= times.latest for due in chosen)
    if mine == times.count:
        return None
    if mine == 0:
        return times.latest, times.count
    if mine == 1 and times.before_latest is not None:
        return times.before_latest, times.count - 1
    return latest_times(trigger, times, mine + 1)[0], times.count - mine


def _missed(schedule: Schedule, times: DueTimes, until: datetime, count: int, why: str) -> NewRun:
    return NewRun(schedule.pk, times.first, RunStatus.MISSED, missed_until=until, missed_count=count, outcome=why)


def _why(stretch: Stretch) -> str:
    assert stretch.interruption is not None
    return ngettext(
        "One due time was not run: %(why)s.", "%(count)d due times were not run: %(why)s.", stretch.times.count
    ) % {"count": stretch.times.count, "why": stretch.interruption.why}


def _late(schedule: Schedule, count: int, times: DueTimes, now: datetime) -> str:
    """Return why catch-up left due times out."""
    passed = ngettext(
        "One due time passed while no scheduler could run it",
        "%(count)d due times passed while no scheduler could run them",
        count,
    ) % {"count": count}
    match schedule.catch_up:
        case CatchUp.SKIP if count == times.count:
            because = _("%(late)d s late, more than the misfire grace time of %(grace)d s") % {
                "late": (now - times.latest).total_seconds(),
                "grace": grace(schedule).total_seconds(),
            }
            return f"{passed}: {because}."
        case CatchUp.EACH:
            because = ngettext(
                "only the latest one was run", "only the latest %(limit)d were run", schedule.catch_up_limit
            ) % {"limit": schedule.catch_up_limit}
            return f"{passed}; {because}."
    instead = _("the latest one was run instead")
    return f"{passed}; {instead}."


def _overlap(schedule: Schedule, chosen: Sequence[datetime], active: Active | None) -> list[NewRun]:
    """Return the rows of the due times that are to run: queued, or skipped where the concurrency policy says so.

    Runs that are caught up together count as one another's predecessors, not as active ones: they are all queued, and
    unless the policy is `allow` each starts when the one before it has ended. Under `replace` a later one replaces
    them.
    """
    room, reason, wait = len(chosen), "", ""
    if active is not None and schedule.concurrency_policy != ConcurrencyPolicy.ALLOW:
        wait = _("Waits until run %(run)s of the same schedule has ended.") % {"run": active.oldest}
    match schedule.concurrency_policy:
        case ConcurrencyPolicy.FORBID if active is not None:
            room = 0
            reason = _("Skipped: run %(run)s of this schedule had not ended yet.") % {"run": active.oldest}
        case ConcurrencyPolicy.QUEUE:
            room = max(0, 1 + schedule.queue_limit - (active.count if active else 0))
            reason = _("Skipped: %(limit)d runs of this schedule wait already, which is its limit.") % {
                "limit": schedule.queue_limit
            }
    queued = (_queued(schedule, due, wait) for due in chosen[:room])
    skipped = (NewRun(schedule.pk, due, RunStatus.SKIPPED, outcome=reason) for due in chosen[room:])
    return [*queued, *skipped]


def _queued(schedule: Schedule, due: datetime, wait: str) -> NewRun:
    if not schedule.jitter_seconds:
        return NewRun(schedule.pk, due, wait_reason=wait)
    return NewRun(
        schedule.pk,
        due,
        not_before=due + schedule.delay(due),
        wait_reason=wait or _("Waits for its jitter to pass."),
    )
