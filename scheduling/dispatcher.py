"""The dispatcher: a thread of the active scheduler that starts committed runs, and passes on requests to cancel them.

It only ever starts what stands in the database as `queued`, so that a crash between commit and start loses nothing:
the next look finds it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import recovery, runs
from scheduling.database import DatabaseAway, one_line
from scheduling.ends import Outcome
from scheduling.executors import Executor
from scheduling.executors.base import Ended
from scheduling.leader import LostLeadership
from scheduling.models import Run, RunStatus, SchedulerInstance
from scheduling.places import Places

logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 1.0
"""Seconds after which the dispatcher looks again, bell or no bell."""
WARMING_SECONDS = 0.1
"""Seconds until it looks again while an executor is about to be ready."""
CROWDED_SECONDS = 0.5
"""Seconds by which what can wait is put off at most while an executor is crowded."""
CALM_SECONDS = 0.05
"""Seconds for which the ends of runs bring on no other look after one that found nothing to start: those of a burst
come by the hundred."""
UNHELD_SECONDS = 5.0
"""Seconds after which a run that is no longer this process's is stopped; one that has just ended may take a moment."""
RECOVERY_SECONDS = 5.0
"""Seconds between two looks for runs whose process has died."""


class Dispatcher(threading.Thread):
    """Claims runs for executors that have room, while it is told to lead."""

    def __init__(
        self, instance: SchedulerInstance, executors: Sequence[Executor], lost: Callable[[], None], ended: Ended
    ) -> None:
        """Take this process's row, its executors, what to call when leadership is lost, and when it has ended a run."""
        super().__init__(name="dispatcher", daemon=True)
        self._instance = instance
        self._executors = executors
        self.places = Places(instance.pk, executors)
        self._lost = lost
        self._run_ended = ended
        self._recovered = 0.0
        self._full_at = 0.0
        self._unheld: dict[int, float] = {}
        self._bell = threading.Event()
        self._rung = threading.Event()
        self._calm_until = 0.0
        self._epoch: int | None = None
        self._ended = False

    def lead(self, epoch: int) -> None:
        """Begin to claim runs under this epoch."""
        self._recovered = time.monotonic()
        self._epoch = epoch
        self.ring()

    def pause(self) -> None:
        """Claim no more runs; what runs goes on."""
        self._epoch = None

    def ring(self) -> None:
        """Look now, at everything: something has changed in the database."""
        self._full_at = min(self._full_at, time.monotonic())
        self._rung.set()
        self._bell.set()

    def place_is_free(self) -> None:
        """Look soon, for what may start: a run has ended."""
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
            if self._bell.wait(wait) and (calm := self._calm_until - time.monotonic()) > 0:
                self._rung.wait(calm)
            self._bell.clear()
            self._rung.clear()
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
        crowded = [executor for executor in self._executors if executor.is_crowded()]
        full_at = self._full_at + (CROWDED_SECONDS if crowded else 0.0)
        in_full = time.monotonic() >= full_at
        if in_full:
            self._pass_on_cancellations()
            self._sweep()
            self._full_at = time.monotonic() + LONGEST_WAIT_SECONDS
        epoch = self._epoch
        if epoch is None:
            return LONGEST_WAIT_SECONDS
        self._recover()
        self._calm_until = time.monotonic() + CALM_SECONDS
        for executor in self._executors:
            if executor in crowded and not in_full:
                continue
            if back := executor.take_back():
                runs.hand_back_all(back, runs.no_place(executor.alias, executor.limit))
                executor.given_back(back)
            room = executor.room()
            token = uuid.uuid4().hex
            try:
                claimed = runs.claim(executor.alias, room, self._instance, epoch, now, token=token)
            except DatabaseAway:
                self.places.in_doubt.append(token)
                raise
            executor.has_backlog = len(claimed) >= room
            if claimed:
                self._calm_until = 0.0
            for run in claimed:
                self._submit(executor, run)
            if in_full and not executor.free() and not executor.room():
                runs.say_wait(executor.alias, executor.limit, now)
        wait = LONGEST_WAIT_SECONDS if in_full else full_at - time.monotonic()
        if any(executor.is_warming for executor in self._executors):
            wait = min(wait, WARMING_SECONDS)
        if due := runs.waiting_since(now):
            wait = min(wait, (due - timezone.now()).total_seconds())
        return max(0.0, wait)

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

    def _recover(self) -> None:
        """End the runs of schedulers that have died since this one took over, a stopping or standing by one, say."""
        if time.monotonic() - self._recovered < RECOVERY_SECONDS:
            return
        self._recovered = time.monotonic()
        for run in recovery.recover(self._instance):
            self._run_ended(run.pk, run)

    def _sweep(self) -> None:
        """Let what the rows say and what the executors do become one.

        1. Runs that say this process executes them while no executor has them are ended (the database was away). Where
           their claim was in doubt, nobody was told of it and they never began: they go back into the queue.
        2. Runs that an executor has while the row says otherwise are stopped (this process slept, and was taken for
           dead). A run that has just ended is among these until its process is gone, so only what stays so counts.

        What a fire has claimed and not handed over yet is neither: while one is under way, nothing is concluded.
        """
        serial = self.places.serial
        now = timezone.now()
        # First the rows, then the executors: a run that ends between the two is then not taken for an orphan.
        rows = set(Run.objects.running().filter(instance=self._instance).values_list("pk", flat=True))
        for executor in self._executors:
            executor.confirm(rows, now)
        held = {run.pk: executor for executor in self._executors for run in executor.running()}
        if serial % 2 or serial != self.places.serial:
            return
        for run in Run.objects.running().filter(pk__in=rows - held.keys(), instance=self._instance):
            if run.claim_token in self.places.in_doubt:
                if runs.hand_back(run, _("Goes back into the queue: the database went away as the run was claimed.")):
                    logger.warning("%s goes back into the queue: the database went away as it was claimed.", run)
                continue
            sentence = _("Its process ended while the database could not be reached.")
            if ended := runs.end_dead(run, Outcome(RunStatus.FAILED, sentence)):
                self._run_ended(run.pk, ended)
        at = time.monotonic()
        self._unheld = {run_id: self._unheld.get(run_id, at) for run_id in held.keys() - rows}
        for run_id, since in self._unheld.items():
            if at - since >= UNHELD_SECONDS:
                logger.warning("Run %s is no longer this process's; it is stopped.", run_id)
                held[run_id].cancel(run_id)
