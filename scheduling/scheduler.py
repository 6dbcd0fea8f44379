"""Our `BlockingScheduler`: APScheduler's, with a fire path of its own for the persistent store.

Its other stores (housekeeping, and whatever listeners and jobs people add) go on as APScheduler has them.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler import events
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.base import STATE_STOPPED
from apscheduler.schedulers.blocking import BlockingScheduler
from django.db import connection

from scheduling import housekeeping
from scheduling.database import DatabaseAway, one_line
from scheduling.fires import Fired, FiredRun
from scheduling.leader import LostLeadership
from scheduling.models import Run, RunStatus, ScheduleChange
from scheduling.places import Places
from scheduling.store import ScheduleJobStore
from scheduling.sync import Sync

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 5.0
"""A wait never exceeds this, so that a changed clock is noticed."""
RETRY_SECONDS = 1.0
"""Seconds before a database that went away is tried again."""
SEARCH_THRESHOLDS = (50_000, 20, 20)
"""After so many new objects Python looks for cycles among them; see `gc.set_threshold`."""
STORE = "default"
"""The alias of the persistent store."""


class FireScheduler(BlockingScheduler):  # type: ignore[misc]
    """Fires the schedules of one term of leadership; blocks in `start()` until `should_end()` or leadership is lost."""

    def __init__(
        self,
        epoch: int,
        should_end: Callable[[], bool],
        fired: Callable[[Fired], None],
        places: Places | None = None,
    ) -> None:
        """Take the epoch, a question asked at each round, what to call when new runs are committed, and the places that
        a fire may fill itself (none by default: then all runs stay queued)."""
        super().__init__(timezone=UTC)
        self.lost = False
        self._should_end = should_end
        self._fired = fired
        self._changed = True
        self._full_sync = True
        self._warm = False
        self._store = ScheduleJobStore(epoch, places)
        self._sync = Sync(self, self._store)
        self.add_jobstore(self._store, STORE)
        self.add_jobstore(MemoryJobStore(), housekeeping.STORE)
        housekeeping.add_jobs(self, self.reconcile, lambda: self.lost or should_end())

    def ring(self) -> None:
        """Look for changed schedules now (called from any thread)."""
        self._changed = True
        self.wakeup()

    def reconcile(self) -> None:
        """Compare all schedules with all jobs at the next round: heals what a lost notification missed."""
        self._full_sync = True
        self.ring()

    def tell(self, events_: Iterable[Any]) -> None:
        """Dispatch APScheduler's events; where nobody listens, they are not even made."""
        if self._listeners:
            for event in events_:
                self._dispatch_event(event)

    def end(self) -> None:
        """Wake the main loop, which asks whether it should end."""
        self.wakeup()

    def wakeup(self) -> None:
        """Wake the main loop; does nothing before `start()`."""
        if self._event is not None:
            self._event.set()

    def _main_loop(self) -> None:
        wait = 0.0
        try:
            while self.state != STATE_STOPPED and not self._should_end() and not self.lost:
                self._event.wait(min(wait, LONGEST_WAIT_SECONDS))
                self._event.clear()
                wait = self._process_jobs()
        finally:
            self._store.ahead.discard()

    def _process_jobs(self) -> float:
        """Deal with what changed and what is due; return the seconds until the next look.

        1. Changed schedules become jobs first, so that an edit counts before the next fire.
        2. What is due becomes committed runs, in one transaction; those that it could claim itself are handed over.
        3. Who made this scheduler is told of them (the dispatcher starts the others), then APScheduler's listeners.
        4. A large fire that comes next is made ready, by a step.
        5. The other stores follow, as APScheduler does it.

        No error of the database ends the scheduler: it is logged, and tried again after `RETRY_SECONDS`.
        """
        if self._should_end():
            return 0.0
        try:
            self._apply_changes()
            fired = self._store.fire(datetime.now(UTC))
        except LostLeadership as error:
            logger.warning("This process no longer leads: %s", one_line(error))
            self.lost = True
            return 0.0
        except DatabaseAway as error:
            logger.warning("The database cannot be used, trying again in %s s: %s", RETRY_SECONDS, one_line(error))
            self._give_up_connection()
            return RETRY_SECONDS
        except Exception:
            logger.exception("The fire path met an unexpected error and goes on in %s s.", RETRY_SECONDS)
            self._give_up_connection()
            return RETRY_SECONDS
        if fired.runs:
            self._fired(fired)
            self.tell(map(fire_event, fired.runs))
        return min(self._seconds_until(fired), self._go_ahead(fired))

    def _go_ahead(self, fired: Fired) -> float:
        """Take a step towards the next fire where it will be a large one, then see to the other stores; return the
        seconds until either wants to be looked at again."""
        try:
            wait = self._store.ahead.go_on(fired.next_due, datetime.now(UTC))
        except LostLeadership as error:
            logger.warning("This process no longer leads: %s", one_line(error))
            self.lost = True
            return 0.0
        except Exception as error:
            # The fire itself meets it too, if it stays.
            logger.warning("The next fire cannot be made ready before it is due: %s", one_line(error))
            self._give_up_connection()
            wait = None
        if self._store.ahead.open_until is not None:
            # The other stores wait for the commit, which is near: their look for what is next would be part of it.
            return LONGEST_WAIT_SECONDS if wait is None else wait
        if self._full_sync:
            wait = 0.0
        return min(LONGEST_WAIT_SECONDS if wait is None else wait, self._process_other_stores())

    def _give_up_connection(self) -> None:
        self._store.ahead.discard()
        connection.close()

    def _apply_changes(self) -> None:
        now = datetime.now(UTC)
        ahead = self._store.ahead
        # The flags fall first: a change that rings meanwhile is looked at in the next round. They rise again on error.
        changed, full = self._changed, self._full_sync
        self._changed = self._full_sync = False
        try:
            if ahead.is_begun and changed and ScheduleChange.objects.exists():
                ahead.discard()
            if ahead.open_until is not None:
                # A look at everything can wait until the transaction is over, which is soon.
                self._full_sync |= full
            elif full and not self._warm:
                self._warm_up(now)
            elif full:
                self._sync.everything(now)
            elif changed:
                self._sync.changes(now)
        except Exception:
            self._changed, self._full_sync = True, full or self._full_sync
            raise

    def _warm_up(self, now: datetime) -> None:
        """Bring everything into step for the first time.

        The schedules that are read stay for good. Python's search for cycles leaves them out from here on: walking
        through thousands of them again and again took a fifth of each fire. And it searches less often, since a burst
        makes thousands of objects that live until their runs have ended, and then go by themselves.
        """
        enabled = gc.isenabled()
        gc.disable()
        try:
            self._sync.everything(now)
            self._warm = True
        finally:
            gc.freeze()
            gc.set_threshold(*SEARCH_THRESHOLDS)
            if enabled:
                gc.enable()

    def _process_other_stores(self) -> float:
        wait = super()._process_jobs()
        return LONGEST_WAIT_SECONDS if wait is None else float(wait)

    def _seconds_until(self, fired: Fired) -> float:
        if fired.next_due is None:
            return LONGEST_WAIT_SECONDS
        return max(0.0, (fired.next_due - datetime.now(UTC)) / timedelta(seconds=1))


def fire_event(run: FiredRun) -> Any:
    """Return APScheduler's event for a run that a fire has just committed."""
    job_id = f"schedule-{run.schedule_id}"
    if run.status == RunStatus.SKIPPED:
        return events.JobSubmissionEvent(events.EVENT_JOB_MAX_INSTANCES, job_id, STORE, [run.scheduled_for])
    if run.status == RunStatus.MISSED:
        return events.JobExecutionEvent(events.EVENT_JOB_MISSED, job_id, STORE, run.scheduled_for)
    return events.JobSubmissionEvent(events.EVENT_JOB_SUBMITTED, job_id, STORE, [run.scheduled_for])


def end_event(run: Run) -> Any:
    """Return APScheduler's event for a run that has ended; a run by hand counts at the time it was asked for."""
    job_id = f"schedule-{run.schedule_id}" if run.schedule_id else f"run-{run.pk}"
    moment = run.scheduled_for or run.queued_at
    if run.status in (RunStatus.SUCCEEDED, RunStatus.PARTIAL):
        return events.JobExecutionEvent(events.EVENT_JOB_EXECUTED, job_id, STORE, moment, retval=run.summary)
    error = RuntimeError(f"{run.get_status_display()}: {run.outcome}")
    return events.JobExecutionEvent(
        events.EVENT_JOB_ERROR, job_id, STORE, moment, exception=error, traceback=run.traceback or None
    )
