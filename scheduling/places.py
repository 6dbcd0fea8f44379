"""The places that a fire fills itself: runs that nothing stands against are inserted as claimed already, and handed
over right after the commit, so that they need no further transaction to begin.

Used by the store within a fire (`scheduling.store`, `scheduling.fires`); what a fire leaves queued, the dispatcher
claims.
"""

from __future__ import annotations

import copy
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS
from django.db.models.base import ModelState

from scheduling.executors import Executor
from scheduling.executors.base import Room
from scheduling.models import Cause, Run, RunStatus, Schedule
from scheduling.models.run import FROM_SCHEDULE

MOST_IN_DOUBT = 1_000
"""So many claims in doubt are remembered, the latest."""


class Claim(NamedTuple):
    """In whose name a fire claims runs, and how many each executor takes."""

    instance_id: int
    token: str
    rooms: dict[str, Room]


class ClaimedRun(NamedTuple):
    """A run that a fire has inserted as claimed: all that it needs to begin, without a look at its row."""

    pk: int
    claim_token: str
    instance_id: int
    schedule: Schedule
    scheduled_for: datetime
    claimed_at: datetime

    @property
    def job(self) -> str:
        """Return the name of its job."""
        return self.schedule.job

    def run(self) -> Run:
        """Return the run as it stands in the database; its parameters are its own.

        By hand, since thousands a second pass through here and a model's constructor takes longer than a short job.
        """
        run = Run.__new__(Run)
        values = run.__dict__
        values.update(_defaults())
        schedule = self.schedule.__dict__
        for field, column in FROM_SCHEDULE.items():
            values[field] = schedule[column]
        values.update(
            id=self.pk,
            parameters=copy.deepcopy(self.schedule.parameters) if self.schedule.parameters else {},
            summary={},
            cause=Cause.SCHEDULE.value,
            status=RunStatus.RUNNING.value,
            scheduled_for=self.scheduled_for,
            queued_at=self.claimed_at,
            started_at=self.claimed_at,
            claim_token=self.claim_token,
            instance_id=self.instance_id,
        )
        run._state = ModelState()
        run._state.adding, run._state.db = False, DEFAULT_DB_ALIAS
        return run


class Filling:
    """What a fire claims, and how it begins."""

    def __init__(self, instance_id: int, executors: Sequence[Executor], in_doubt: deque[str]) -> None:
        """Take in whose name it claims, the executors that have a say in how much, and where claims in doubt go."""
        self._executors = executors
        self._in_doubt = in_doubt
        self._ready: Sequence[ClaimedRun] = ()
        rooms = {one.alias: room for one in executors if (room := one.room_at_once()) is not None}
        self.claim = Claim(instance_id, uuid.uuid4().hex, rooms)

    def committed(self, claimed: Sequence[ClaimedRun], *, more: bool) -> None:
        """Keep what a transaction has claimed until `begin`; `more` tells whether the fire goes on with another."""
        self._ready = claimed
        self.expect_more(more)

    def begin(self) -> None:
        """Let what was committed begin."""
        ready, self._ready = self._ready, ()
        for executor in self._executors:
            if mine := [one for one in ready if one.schedule.executor == executor.alias]:
                executor.submit_claimed(mine)

    def doubt(self) -> None:
        """Note that a transaction ended in an error: what it claimed may stand in the database, and will not begin."""
        self._in_doubt.append(self.claim.token)

    def expect_more(self, more: bool) -> None:
        """Tell the executors whether the fire goes on."""
        for executor in self._executors:
            executor.expects_more = more


class Places:
    """The free places of one scheduler process."""

    def __init__(self, instance_id: int, executors: Sequence[Executor]) -> None:
        """Take the process's row, and its executors."""
        self._instance_id = instance_id
        self._executors = executors
        #: Odd while a fire is under way: then rows may say of runs that they are claimed that no executor has yet.
        self.serial = 0
        #: Tokens of claims whose transaction ended in an error: it may be committed, and then nobody has its runs.
        self.in_doubt: deque[str] = deque(maxlen=MOST_IN_DOUBT)

    def new_filling(self) -> Filling:
        """Return what a fire that is made ready beforehand claims with; those begin by the one that commits them."""
        return Filling(self._instance_id, self._executors, self.in_doubt)

    def are_crowded(self) -> bool:
        """Tell whether so many runs wait for their turn that whatever can wait should."""
        return any(executor.is_crowded() for executor in self._executors)

    @contextmanager
    def filling(self) -> Iterator[Filling]:
        """Yield what one fire claims with; at its end, also by an error, all that it has committed begins."""
        self.serial += 1
        try:
            filling = self.new_filling()
            try:
                yield filling
            finally:
                filling.expect_more(False)
                filling.begin()
        finally:
            self.serial += 1


@cache
def _defaults() -> dict[str, Any]:
    return {name: value for name, value in Run().__dict__.items() if name != "_state"}
