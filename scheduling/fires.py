"""The fire path: what is due becomes committed runs, in one transaction. Nothing is executed here.

Called by the store (`scheduling.store`), which brings the statements.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from django.db import transaction

from scheduling import leader
from scheduling.database import one_line
from scheduling.models import RunStatus, Schedule
from scheduling.places import Claim, ClaimedRun, Filling
from scheduling.policies import Active, Decision, Interruption, NewRun, Stretch, claimed_row, decide, find_stretches
from scheduling.triggers import ScheduleTrigger

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 2_500
"""So many due schedules are fired in one transaction at most, the earliest first: while the next ones are, the first
ones begin, and whoever waits for the database or edits a schedule gets a turn."""
LOCKED_RETRY = timedelta(milliseconds=50)
"""How soon a due schedule that an open edit holds locked is looked at again; sooner would spin."""


@dataclass(frozen=True, slots=True)
class Known:
    """A schedule as the scheduler last read it, with its trigger built once; equal triggers are one object."""

    schedule: Schedule
    trigger: ScheduleTrigger


class Due(NamedTuple):
    """A schedule that is due, locked until the end of the transaction."""

    schedule_id: int
    version: int
    due: datetime


class Move(NamedTuple):
    """A due job, and the time it moves to (None: it has no further due time)."""

    schedule_id: int
    due: datetime
    next_due: datetime | None


class FiredRun(NamedTuple):
    """A run that a fire has committed: enough to hand it over and to tell listeners."""

    pk: int
    schedule_id: int
    scheduled_for: datetime
    status: str


@dataclass
class Fired:
    """What a fire did: the rows that are new, and when to look again (None: nothing is due in sight)."""

    runs: list[FiredRun] = field(default_factory=list)
    next_due: datetime | None = None
    more: bool = False
    """Whether so much was due that only the earliest was fired."""


class FireStore(Protocol):
    """What the fire path needs of the store; each method is one statement, however many schedules are due."""

    def next_due(self) -> datetime | None:
        """Return the earliest due time of all schedules that are neither disabled nor paused."""

    def lock_due(self, now: datetime, most: int) -> list[Due]:
        """Lock and return the earliest of what is due, neither disabled nor paused, and not held by an open edit."""

    def known(self, due: Sequence[Due]) -> dict[int, Known]:
        """Return the schedules at exactly these versions; those that changed are read anew, broken ones left out."""

    def holds(self, since: datetime) -> list[Interruption] | None:
        """Return the holds that ended after a moment; None while everything is held."""

    def pauses(self, schedule_ids: Collection[int], since: datetime) -> dict[int, list[Interruption]]:
        """Return the pauses of these schedules that ended after a moment."""

    def active(self, schedule_ids: Collection[int]) -> dict[int, Active]:
        """Return the active runs of each schedule that has some."""

    def fired_before(self, schedule_ids: Collection[int]) -> Mapping[int, int]:
        """Return how many runs of each schedule were counted so far."""

    def ready(self, runs: list[NewRun], now: datetime, claim: Claim | None = None) -> list[Any] | None:
        """Return what `insert_ready` takes for these runs (no statement); those that are `running` are claimed."""

    def move(self, moves: list[Move], meanwhile: Callable[[], None] | None = None) -> set[int]:
        """Set the next times where the old one still stands; return the schedules that were moved.

        `meanwhile` is called when only the database has work to do.
        """

    def insert_ready(self, parameters: list[Any] | None) -> list[FiredRun]:
        """Insert runs, passing over due times that already have a row; return the new ones."""

    def count(self, fired: Mapping[int, int]) -> None:
        """Add to the counts of runs."""

    def replace(self, schedule_ids: Collection[int], now: datetime) -> None:
        """Cancel the active runs of these schedules that have a newer one (a few statements)."""


def fire_all(store: FireStore, now: datetime, epoch: int, filling: Filling | None = None) -> Fired:
    """Turn everything that is due at `now` into committed runs, in as many transactions (`fire`) as it takes.

    An error after the first one leaves what was committed to be returned; the next look meets it again.
    """
    whole = Fired(next_due=store.next_due(), more=True)
    while whole.more:
        try:
            part = fire(store, now, whole.next_due, epoch, filling)
        except Exception as error:
            if filling is not None:
                filling.doubt()
            if not whole.runs:
                raise
            logger.warning("%s runs are fired; then: %s", len(whole.runs), one_line(error))
            return Fired(whole.runs, now)
        whole = Fired(whole.runs + part.runs, part.next_due, part.more)
    return whole


def fire(store: FireStore, now: datetime, first: datetime | None, epoch: int, filling: Filling | None = None) -> Fired:
    """Turn what is due at `now`, the earliest `MOST_AT_ONCE`, into committed runs; return what is new.

    1. Take the earliest due time (`first`) as it was seen without a lock; mostly nothing is due (SQLite would take its
       write lock for nothing).
    2. Check the epoch: a leader that slept and woke up cannot fire.
    3. While everything is held, nothing is decided.
    4. Lock the due schedules; one that is disabled or paused stays as it is; one that an edit holds open, or whose
       trigger was edited and not brought into step yet, is left for the next look.
    5. Walk each trigger to the first time after `now`; apply the policies. A run that nothing stands against is
       claimed, where the executors have room (`filling`).
    6. Move the due times where the old one still stands; only moved schedules get their runs. What the transaction
       before has claimed begins now: all is ready, and it has Python to itself while the database is at work.
    7. Insert the runs; a due time that already has a row is passed over.
    8. Cancel the runs that they replace; count them where a schedule ends after so many. Schedules are locked first,
       then runs, then counts, each in the order of their ids, as an end does it (`scheduling.ends`).
    9. Find the next due time, and commit.

    Raises `LostLeadership`, or what the database raises; then nothing has happened.
    """
    if first is None or first > now:
        return Fired(next_due=first)
    claim = filling.claim if filling is not None else None
    with transaction.atomic():
        leader.check_epoch(epoch)
        holds = store.holds(first)
        if holds is None:
            return Fired()
        plan = plan_fires(store, store.lock_due(now, MOST_AT_ONCE), holds, now, claim)
        rows = store.ready(plan.rows, now, claim)
        moved = store.move(plan.moves, filling.begin if filling is not None else None)
        if len(moved) < len(plan.moves):
            rows = store.ready([row for row in plan.rows if row.schedule_id in moved], now, claim)
        new = store.insert_ready(rows)
        if plan.replacing:
            store.replace(plan.replacing, now)
        if plan.remaining:
            started = (run.schedule_id for run in new if run.status in RunStatus.active())
            store.count(Counter(started) & plan.remaining)
        next_due = store.next_due()
    is_left = next_due is not None and next_due <= now
    more = is_left and bool(moved) and len(plan.moves) >= MOST_AT_ONCE
    if is_left and not more:
        # An edit holds it locked, or was committed meanwhile and is brought into step next.
        next_due = now + LOCKED_RETRY
    if filling is not None:
        filling.committed(plan.claimed(new, filling.claim, now), more=more)
    return Fired(new, next_due, more)


@dataclass
class Plan:
    """What is to become of the due schedules."""

    moves: list[Move] = field(default_factory=list)
    rows: list[NewRun] = field(default_factory=list)
    remaining: Counter[int] = field(default_factory=Counter)
    """How many runs are left of the schedules that end after so many."""
    replacing: list[int] = field(default_factory=list)
    """The schedules whose new runs replace others."""
    known: Mapping[int, Known] = field(default_factory=dict)

    def claimed(self, runs: Iterable[FiredRun], claim: Claim, now: datetime) -> list[ClaimedRun]:
        """Return what was claimed of the runs that were inserted, with all that they need to begin."""
        token, instance_id, known = claim.token, claim.instance_id, self.known
        return [
            ClaimedRun(pk, token, instance_id, known[schedule_id].schedule, due, now)
            for pk, schedule_id, due, status in runs
            if status == RunStatus.RUNNING
        ]


def plan_fires(store: FireStore, due: list[Due], holds: list[Interruption], now: datetime, claim: Claim | None) -> Plan:
    """Return what is to become of due schedules at `now`, within the holds that ended since they were due."""
    known = store.known(due)
    since = min((one.due for one in due), default=now)
    pauses = store.pauses(known, since)
    # Where several may run at once, nobody asks how many do; there may be thousands.
    alone = {key for key, entry in known.items() if not entry.schedule.lets_several_run}
    active = store.active(alone) if alone else {}
    ending = [key for key, entry in known.items() if entry.schedule.max_runs is not None]
    before = store.fired_before(ending) if ending else {}
    plan = Plan(known=known)
    for ends in ending:
        plan.remaining[ends] = max(0, (known[ends].schedule.max_runs or 0) - before.get(ends, 0))
    # Equal triggers are one object, and their due times are found once.
    shared: dict[tuple[int, datetime], tuple[list[Stretch], datetime | None]] = {}
    for one in due:
        entry = known.get(one.schedule_id)
        decision = Decision()
        if entry is not None:
            try:
                key = (id(entry.trigger), one.due)
                mine = pauses.get(one.schedule_id)
                if mine or (found := shared.get(key)) is None:
                    found = _due_times(entry.trigger, one.due, now, [*holds, *(mine or ())])
                    if not mine:
                        shared[key] = found
                decision = decide(
                    entry.schedule,
                    entry.trigger,
                    *found,
                    now=now,
                    active=active.get(one.schedule_id),
                    remaining=plan.remaining.get(one.schedule_id),
                )
            except Exception:
                logger.exception("The trigger of schedule %s fails; it is left out until it is edited.", entry.schedule)
        plan.moves.append(Move(one.schedule_id, one.due, decision.next_due))
        plan.rows += decision.rows
        if claim is not None and entry is not None and one.schedule_id not in active and _may_begin(decision):
            room = claim.rooms.get(entry.schedule.executor)
            if room is not None and room.take(entry.schedule.job):
                plan.rows[-1] = claimed_row(plan.rows[-1])
        if decision.replaces:
            plan.replacing.append(one.schedule_id)
    return plan


def _may_begin(decision: Decision) -> bool:
    """Tell whether the last run of a decision, the only one to be queued, may begin at once.

    As `RunQuerySet.startable` has it: its time has come, and no other run of its schedule is before it, one of a
    backfill included (its caller sees to that). Where several are queued, the dispatcher sees to their order.
    """
    rows = decision.rows
    if decision.replaces or not rows:
        return False
    last = rows[-1]
    if last.status != RunStatus.QUEUED or last.not_before is not None:
        return False
    return len(rows) == 1 or sum(row.status == RunStatus.QUEUED for row in rows) == 1


def _due_times(
    trigger: ScheduleTrigger, first: datetime, now: datetime, interruptions: Sequence[Interruption]
) -> tuple[list[Stretch], datetime | None]:
    return find_stretches(trigger, first, now, interruptions), trigger.next_after(now)
