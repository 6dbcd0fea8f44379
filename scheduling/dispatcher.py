"""The dispatcher: a thread of the active scheduler that starts committed runs, and passes on requests to cancel them.

It only ever starts what stands in the database as `queued`, so that a crash between commit and start loses nothing:
the next look finds it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import runs
from scheduling.database import DatabaseAway, one_line
from scheduling.ends import Outcome
from scheduling.executors import Executor
from scheduling.leader import LostLeadership
from scheduling.models import Run, RunStatus, SchedulerInstance

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 1.0
"""Seconds after which the dispatcher looks again, bell or no bell."""


class Dispatcher(threading.Thread):
    """Claims runs for executors that have room, while it is told to lead."""

    def __init__(self, instance: SchedulerInstance, executors: Sequence[Executor], lost: Callable[[], None]) -> None:
        """Take this process's row, its executors, and what to call when leadership turns out to be lost."""
        super().__init__(name="dispatcher", daemon=True)
        self._instance = instance
        self._executors = executors
        self._lost = lost
        self._bell = threading.Event()
        self._epoch: int | None = None
        self._ended = False

    def lead(self, epoch: int) -> None:
        """Begin to claim runs under this epoch."""
        self._epoch = epoch
        self.ring()

    def pause(self) -> None:
        """Claim no more runs; what runs goes on."""
        self._epoch = None

    def ring(self) -> None:
        """Look now."""
        self._bell.set()

    def stop(self) -> None:
        """End the thread."""
        self._ended = True
        self.ring()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Look whenever rung, at a waiting run's time, and each second; survive a database that is away."""
        wait = 0.0
        while not self._ended:
            self._bell.wait(wait)
            self._bell.clear()
            wait = LONGEST_WAIT_SECONDS
            try:
                wait = self._look(timezone.now())
            except LostLeadership as error:
                logger.warning("The dispatcher stops claiming: %s", one_line(error))
                self._epoch = None
                self._lost()
            except DatabaseAway as error:
                logger.warning("The dispatcher cannot reach the database, trying again: %s", one_line(error))
                connection.close()
            except Exception:
                logger.exception("The dispatcher met an unexpected error and goes on.")
                connection.close()
        connection.close()

    def _look(self, now: datetime) -> float:
        """Pass on cancellations, end runs without a process, start what may start; return seconds to the next look."""
        self._pass_on_cancellations()
        self._sweep()
        epoch = self._epoch
        if epoch is None:
            return LONGEST_WAIT_SECONDS
        for executor in self._executors:
            room = executor.free()
            for run in runs.claim(executor.alias, room, self._instance, epoch, now):
                self._submit(executor, run)
            if not executor.free():
                runs.say_wait(executor.alias, executor.limit, now)
        due = runs.waiting_since(now)
        if due is None:
            return LONGEST_WAIT_SECONDS
        return min(LONGEST_WAIT_SECONDS, max(0.0, (due - timezone.now()).total_seconds()))

    def _submit(self, executor: Executor, run: Run) -> None:
        try:
            executor.submit(run)
        except Exception as error:
            logger.exception("Run %s could not be started; it goes back into the queue.", run.pk)
            runs.hand_back(run, _("Could not be started, will be tried again: %(error)s") % {"error": error})

    def _pass_on_cancellations(self) -> None:
        held = {run.pk for executor in self._executors for run in executor.running()}
        if not held:
            return
        for run_id in Run.objects.cancel_requested().filter(instance=self._instance).values_list("pk", flat=True):
            for executor in self._executors:
                executor.cancel(run_id)

    def _sweep(self) -> None:
        """End the runs that say this process executes them while no executor has them (the database was away)."""
        orphans = Run.objects.running().filter(instance=self._instance)
        # First the rows, then the executors: a run that ends between the two is then not taken for an orphan.
        rows = list(orphans)
        if not rows:
            return
        held = {run.pk for executor in self._executors for run in executor.running()}
        for run in rows:
            if run.pk not in held:
                sentence = _("Its process ended while the database could not be reached.")
                runs.end_dead(run, Outcome(RunStatus.FAILED, sentence))
