"""The fire path: what is due becomes committed runs, in one transaction. Nothing is executed here.

Called by the store (`scheduling.store`), which brings the statements that differ between databases.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from django.db import transaction

from scheduling import leader
from scheduling.models import Run, Schedule
from scheduling.policies import runs_for
from scheduling.triggers import ScheduleTrigger

logger = logging.getLogger(__name__)

LOCKED_RETRY = timedelta(milliseconds=50)
"""How soon a due schedule that an open edit holds locked is looked at again; sooner would spin."""


@dataclass(frozen=True, slots=True)
class Known:
    """A schedule as the scheduler last read it, with its trigger built once."""

    schedule: Schedule
    trigger: ScheduleTrigger


@dataclass(frozen=True, slots=True)
class Move:
    """A due job, and the time it moves to (None: it has no further due time)."""

    schedule_id: int
    due: datetime
    next_due: datetime | None


@dataclass
class Fired:
    """What a fire did: the rows that are new, and the next due time."""

    runs: list[Run] = field(default_factory=list)
    next_due: datetime | None = None


class FireStore(Protocol):
    """What the fire path needs of the store; each method is one statement (or a constant number)."""

    def due(self, now: datetime) -> list[tuple[int, datetime]]:
        """Return (schedule id, due time) of all jobs that are due, oldest first."""

    def lock(self, schedule_ids: list[int]) -> dict[int, int]:
        """Lock the enabled schedules among these that nobody else holds; return their versions."""

    def known(self, versions: dict[int, int]) -> dict[int, Known]:
        """Return the schedules at exactly these versions; those that changed are read anew, broken ones left out."""

    def active_runs(self, schedule_ids: Iterable[int]) -> dict[int, int]:
        """Return the oldest active run of each schedule that has one."""

    def move(self, moves: list[Move]) -> set[int]:
        """Set the next times where the old one still stands; return the schedules that were moved."""

    def insert(self, runs: list[Run]) -> list[Run]:
        """Insert runs, passing over due times that already have a row; return the new ones with their ids."""

    def next_due(self) -> datetime | None:
        """Return the earliest due time of all jobs."""


def fire(store: FireStore, now: datetime, epoch: int) -> Fired:
    """Turn everything that is due at `now` into committed runs; return what is new.

    1. Look without a lock; mostly nothing is due (SQLite would take its write lock for nothing).
    2. Check the epoch: a leader that slept and woke up cannot fire.
    3. Lock the due schedules and keep those that are enabled; one that an edit holds open is left for the next look.
    4. Walk each trigger to the first time after `now`; apply the policies.
    5. Move the due times where the old one still stands; only moved schedules get their runs.
    6. Insert the runs; a due time that already has one is passed over.
    7. Find the next due time, and commit.

    Raises `LostLeadership`, or what the database raises; then nothing has happened.
    """
    if not store.due(now):
        return Fired(next_due=store.next_due())
    with transaction.atomic():
        leader.check_epoch(epoch)
        due = dict(store.due(now))
        known = store.known(store.lock(list(due)))
        active = store.active_runs(known)
        moves, runs = _plan(known, due, active, now)
        moved = store.move(moves)
        new = store.insert([run for run in runs if run.schedule_id in moved])
        next_due = store.next_due()
    if len(known) < len(due):
        next_due = max(next_due or now, now + LOCKED_RETRY)
    return Fired(new, next_due)


def _plan(
    known: dict[int, Known], due: dict[int, datetime], active: dict[int, int], now: datetime
) -> tuple[list[Move], list[Run]]:
    moves, runs = [], []
    for schedule_id, entry in known.items():
        first = due[schedule_id]
        try:
            times = entry.trigger.due_times(first, now)
            following = entry.trigger.next_after(times.latest)
        except Exception:
            logger.exception("Schedule %s has a trigger that fails; it is left out until it is edited.", schedule_id)
            moves.append(Move(schedule_id, first, None))
            continue
        moves.append(Move(schedule_id, first, following))
        runs += runs_for(entry.schedule, times, now, active.get(schedule_id))
    return moves, runs
