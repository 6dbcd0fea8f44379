"""The next large fire, made ready before it is due: a moment before, its runs are inserted and its jobs moved in a
transaction that stays open, so that when the time has come little more than the commit is left to do.

Nothing is decided too early. When the time has come the schedules are locked, as by any fire, and what was made ready
counts only if each of them stands as it was read, nothing is held, and none that runs alone got another run meanwhile.
Else it is rolled back, and the fire goes its ordinary way (`scheduling.fires`); so it is when a change is noted before.
Until then nobody sees anything. On PostgreSQL nobody waits but who locks a schedule as if to delete it, for a moment:
foreign keys are checked already. SQLite's one write lock is held earlier than by the fire itself, and a little longer.

Called by the store (`scheduling.store`), between two looks of the scheduler, in steps so short that an edit finds it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import transaction

from scheduling import leader
from scheduling.fires import Due, FiredRun, FireStore, Plan, plan_fires
from scheduling.places import Claim, ClaimedRun, Filling, Places

FEWEST = 100
"""Fires of fewer schedules are quick enough as they are."""
MOST = 10_000
"""So many schedules are made ready at most; the others follow, fired the ordinary way."""
PART = 500
"""Schedules that are planned, and written, in one step."""
HORIZON_SECONDS = 2.5
"""So long before the due time the planning begins."""
GUESSED_SECONDS = 0.00006
"""Seconds that it takes to write one run, until it has been measured."""
SPARE_FACTOR, SPARE_SECONDS = 1.5, 0.1
"""The writing begins so much earlier than it is expected to take: this machine may have other things to do."""
LATEST_SECONDS = 1.0
"""What was made ready counts until so long after its due time: no schedule is due again sooner."""
CROWDED_SECONDS = 0.05
"""Seconds until the next look while the runs of the fire before wait to begin: they go first."""
MOST_TRIES = 2
"""So often one due time is prepared for: where schedules are edited all the time, it is in vain."""


class AheadStore(FireStore, Protocol):
    """What this module asks of the store beside what a fire does; each method is one statement."""

    def due_ahead(self, at: datetime, most: int) -> list[Due]:
        """Return schedules that will be due at a moment, unlocked, and as they were last read."""

    def wait_for_nobody(self) -> None:
        """Let this transaction fail sooner than wait for what others hold locked, and leave no check to its commit."""

    def confirm(self, due: Sequence[Due]) -> bool:
        """Lock these schedules; tell whether all are as they were read, and none is held by an open edit."""

    def crowded(self, schedule_ids: Collection[int]) -> bool:
        """Tell whether one of these schedules has more than one active run."""


@dataclass
class _Prepared:
    """What has been made ready for one due time."""

    due: datetime
    unplanned: list[Due]
    alone: set[int]
    """The schedules that do not let several of their runs be active."""
    filling: Filling | None
    planned: list[tuple[list[Due], Plan, list[Any] | None]] = field(default_factory=list)
    transaction: ExitStack | None = None
    until: float = float("inf")
    seconds: float = 0.0
    schedules: list[Due] = field(default_factory=list)
    runs: list[FiredRun] = field(default_factory=list)
    claimed: list[ClaimedRun] = field(default_factory=list)

    @property
    def claim(self) -> Claim | None:
        """Return in whose name runs are claimed, if at all."""
        return self.filling.claim if self.filling is not None else None


class Ahead:
    """Prepares the next large fire of one scheduler."""

    def __init__(self, store: AheadStore, epoch: int, places: Places | None) -> None:
        self._store = store
        self._epoch = epoch
        self._places = places
        self._prepared: _Prepared | None = None
        self._seconds_a_run = GUESSED_SECONDS
        self._tried: datetime | None = None
        self._tries = 0

    @property
    def is_begun(self) -> bool:
        """Tell whether something is being made ready."""
        return self._prepared is not None

    @property
    def open_until(self) -> datetime | None:
        """Return the due time for which a transaction is open on this thread's connection; None while there is none."""
        prepared = self._prepared
        return prepared.due if prepared is not None and prepared.transaction is not None else None

    def go_on(self, next_due: datetime | None, now: datetime) -> float | None:
        """Take one step towards the fire at `next_due`; return the seconds until the next one is due (None: no more).

        1. Long before, nothing. 2. Look how many schedules will be due: for few it is not worth it.
        3. Plan them, a part in each step; no transaction is open yet. 4. Just in time, write them, again in parts.

        Raises what the database raises; then nothing of it is left.
        """
        prepared = self._prepared
        if prepared is not None and (prepared.due != next_due or time.monotonic() > prepared.until):
            # Something else comes first, or the clock was set back.
            self.discard()
            prepared = None
        if next_due is None or next_due <= now:
            return None
        seconds = (next_due - now).total_seconds()
        if self._places is not None and self._places.are_crowded():
            return CROWDED_SECONDS
        if prepared is None:
            if next_due == self._tried and self._tries >= MOST_TRIES:
                return None
            if seconds > HORIZON_SECONDS:
                return seconds - HORIZON_SECONDS
            self._prepared = self._begin(next_due)
            return 0.0 if self._prepared else None
        if prepared.unplanned:
            self._plan(prepared)
            return 0.0
        if not prepared.planned:
            return None
        runs = sum(len(part) for part, _plan, _rows in prepared.planned)
        begin = SPARE_SECONDS + SPARE_FACTOR * self._seconds_a_run * runs
        if prepared.transaction is None and seconds > begin:
            return seconds - begin
        try:
            self._write(prepared, seconds)
        except BaseException:
            self.discard()
            raise
        return 0.0

    def commit(self, now: datetime, filling: Filling | None) -> list[FiredRun]:
        """Commit what was made ready, if it still holds, let what it claimed begin by `filling`, and return the runs.

        Raises what the database raises; then nothing has happened.
        """
        prepared = self._prepared
        if prepared is None or now < prepared.due:
            return []
        self._prepared = None
        if prepared.transaction is None:
            return []
        try:
            with prepared.transaction:
                holds = self._still_holds(prepared, now, filling)
                if not holds:
                    transaction.set_rollback(True)
        except BaseException:
            if prepared.filling is not None:
                prepared.filling.doubt()
            raise
        if not holds:
            return []
        if filling is not None:
            filling.committed(prepared.claimed, more=False)
            filling.begin()
        return prepared.runs

    def discard(self) -> None:
        """Forget what was made ready; as far as it is written, it is rolled back."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None and prepared.transaction is not None:
            with prepared.transaction:
                transaction.set_rollback(True)

    def _begin(self, at: datetime) -> _Prepared | None:
        """Return what is to be made ready: what nothing but an edit can change; None where that is too little."""
        self._tries = self._tries + 1 if self._tried == at else 1
        self._tried = at
        due = self._store.due_ahead(at, MOST)
        if len(due) < FEWEST or self._store.holds(at) != []:
            self._tries = MOST_TRIES
            return None
        known = self._store.known(due)
        alone = {key for key, entry in known.items() if not entry.schedule.lets_several_run}
        active = self._store.active(alone) if alone else {}
        sure = [
            one
            for one in due
            if one.due == at
            and one.schedule_id not in active
            and (entry := known.get(one.schedule_id)) is not None
            and entry.schedule.max_runs is None
        ]
        if len(sure) < FEWEST:
            self._tries = MOST_TRIES
            return None
        filling = self._places.new_filling() if self._places is not None else None
        return _Prepared(at, sure, alone.intersection(one.schedule_id for one in sure), filling)

    def _plan(self, prepared: _Prepared) -> None:
        part, prepared.unplanned = prepared.unplanned[:PART], prepared.unplanned[PART:]
        plan = plan_fires(self._store, part, [], prepared.due, prepared.claim)
        prepared.planned.append((part, plan, self._store.ready(plan.rows, prepared.due, prepared.claim)))

    def _write(self, prepared: _Prepared, seconds: float) -> None:
        """Write one planned part, in the transaction that stays open; `seconds` are left until it is due."""
        began = time.monotonic()
        if prepared.transaction is None:
            opened = ExitStack()
            opened.enter_context(transaction.atomic())
            prepared.transaction = opened
            prepared.until = began + seconds + LATEST_SECONDS
            self._store.wait_for_nobody()
            leader.check_epoch(self._epoch)
        part, plan, rows = prepared.planned.pop(0)
        if len(self._store.move(plan.moves)) < len(plan.moves):
            # A job's row was changed by somebody else: the fire sees to it.
            self.discard()
            return
        new = self._store.insert_ready(rows)
        prepared.schedules += part
        prepared.runs += new
        if prepared.claim is not None:
            prepared.claimed += plan.claimed(new, prepared.claim, prepared.due)
        prepared.seconds += time.monotonic() - began
        self._seconds_a_run = prepared.seconds / len(prepared.schedules)

    def _still_holds(self, prepared: _Prepared, now: datetime, filling: Filling | None) -> bool:
        """Tell whether the fire would do now what was made ready.

        The schedules are locked first, so that none is edited, started by hand or given another run until the commit.
        A part that was not written in time is left to the fire.
        """
        if not timedelta(0) <= now - prepared.due < timedelta(seconds=LATEST_SECONDS):
            return False
        claimed = {one.schedule.executor for one in prepared.claimed}
        if claimed and (filling is None or not claimed <= filling.claim.rooms.keys()):
            # Older runs stand in the queue meanwhile; they come first.
            return False
        return (
            self._store.confirm(prepared.schedules)
            and self._store.holds(prepared.due) == []
            and not (prepared.alone and self._store.crowded(prepared.alone))
        )
