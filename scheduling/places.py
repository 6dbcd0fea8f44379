"""The places that a fire fills itself: runs that nothing stands against are inserted as claimed already, and handed
over right after the commit, so that they need no further transaction to begin.

Used by the store within a fire (`scheduling.store`, `scheduling.fires`); what a fire leaves queued, the dispatcher
claims.
"""

from __future__ import annotations

import copy
import uuid
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


class Places:
    """The free places of one scheduler process."""

    def __init__(self, instance_id: int, executors: Sequence[Executor]) -> None:
        """Take the process's row, and its executors."""
        self._instance_id = instance_id
        self._executors = {executor.alias: executor for executor in executors}
        #: Odd while a fire is under way: then rows may say of runs that they are claimed that no executor has yet.
        self.serial = 0

    @contextmanager
    def filling(self) -> Iterator[Claim]:
        """Yield the claim for one fire; within, also hand over what it claimed."""
        self.serial += 1
        try:
            yield Claim(
                self._instance_id,
                uuid.uuid4().hex,
                {alias: room for alias, one in self._executors.items() if (room := one.room_at_once()) is not None},
            )
        except BaseException:
            self._expect_more(False)
            raise
        finally:
            self.serial += 1

    def hand_over(self, claimed: Sequence[ClaimedRun], *, more: bool) -> None:
        """Let committed runs begin; `more` tells whether what else is due is fired next."""
        self._expect_more(more)
        for alias, executor in self._executors.items():
            if mine := [one for one in claimed if one.schedule.executor == alias]:
                executor.submit_claimed(mine)

    def _expect_more(self, more: bool) -> None:
        for executor in self._executors.values():
            executor.expects_more = more


@cache
def _defaults() -> dict[str, Any]:
    return {name: value for name, value in Run().__dict__.items() if name != "_state"}
