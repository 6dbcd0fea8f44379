"""The scheduler process: puts lock, scheduler, dispatcher, executors, bell and heartbeat together.

`runapscheduler` makes one `Engine` and calls `run()`. A process stands by until it holds the leader lock, leads until
it is told to stop or loses the lock, and then ends or stands by again.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Collection

import psutil
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import conf, leader, recovery, runs
from scheduling.changes import Bell
from scheduling.database import DatabaseAway, one_line
from scheduling.dispatcher import Dispatcher
from scheduling.executions import ExecutionLog
from scheduling.executors import Executor, ProcessExecutor, ThreadExecutor
from scheduling.fires import Fired
from scheduling.models import InstanceState, Run, RunStatus, SchedulerInstance
from scheduling.models.run import Held
from scheduling.scheduler import FireScheduler, end_event

logger = logging.getLogger(__name__)

STANDBY_SECONDS = 0.5
"""Seconds between two tries for the leader lock."""
RETRY_SECONDS = 1.0
"""Seconds before a database that is away is tried again."""
STANDING_BY = "Standing by: another scheduler process leads. This one takes over when it ends."


class Engine:
    """One scheduler process."""

    def __init__(self, grace_seconds: float | None = None, *, adopt: bool = False) -> None:
        """Take the seconds that running runs get to end at a stop (the setting's by default), and whether a database
        that belongs to another installation becomes this one's."""
        self._adopt = adopt
        self._grace = conf.grace_seconds() if grace_seconds is None else grace_seconds
        self._stop = threading.Event()
        self._heart_stopped = threading.Event()
        self._lock = leader.leader_lock()
        self._silence = leader.Silence()
        self._beaten_at = time.monotonic()
        self._scheduler: FireScheduler | None = None
        self._executors: list[Executor] = [
            executor(conf.parallel_runs(executor.alias), self._run_ended)
            for executor in (ProcessExecutor, ThreadExecutor)
        ]
        self._executions = ExecutionLog(self._is_crowded)

    def stop(self) -> None:
        """Ask the process to end (called by signal handlers: sets flags, takes no lock)."""
        self._stop.set()
        if self._scheduler is not None:
            self._scheduler.end()

    def run(self) -> None:
        """Stand by, lead, and end in order when told to; only a stop ends this, no error does."""
        for executor in self._executors:
            executor.start()
        self._instance = self._register()
        if self._instance is None:
            return
        self._dispatcher = Dispatcher(self._instance, self._executors, self._leadership_lost, self._run_ended)
        heart = threading.Thread(target=self._beat, name="heart", daemon=True)
        for thread in (heart, self._dispatcher, self._executions):
            thread.start()
        said = ""
        while not self._stop.is_set():
            why_not = self._why_copied() or ("" if self._try_lock() else STANDING_BY)
            if why_not:
                if why_not != said:
                    logger.log(logging.INFO if why_not == STANDING_BY else logging.ERROR, "%s", why_not)
                    self._note("" if why_not == STANDING_BY else why_not)
                self._stop.wait(STANDBY_SECONDS)
                self._break_silence()
            else:
                self._lead()
            said = why_not
        self._end()
        self._heart_stopped.set()
        heart.join()

    def _register(self) -> SchedulerInstance | None:
        """Insert this process's row, waiting for a database that is away; None when told to stop meanwhile."""
        while not self._stop.is_set():
            try:
                return SchedulerInstance.objects.create(
                    host=socket.gethostname(), pid=os.getpid(), process_started=psutil.Process().create_time()
                )
            except DatabaseAway as error:
                logger.warning(
                    "The database cannot be reached, trying again in %s s: %s", RETRY_SECONDS, one_line(error)
                )
                connection.close()
                self._stop.wait(RETRY_SECONDS)
        return None

    def _why_copied(self) -> str:
        """Return why this process may not lead on this database; empty if it may, or is told to adopt it."""
        try:
            return "" if self._adopt else leader.why_copied()
        except DatabaseAway as error:
            # Whoever takes over asks again, in the transaction of the take-over.
            logger.warning("The installation cannot be read now: %s", one_line(error))
            connection.close()
            return ""

    def _break_silence(self) -> None:
        """Take the lock from a leader that has not beaten for its lease: it sleeps or hangs, and nothing is fired."""
        try:
            if self._why_copied() or self._silence.seconds(self._beaten_at) < conf.lease_seconds():
                return
            logger.warning("The leader has been silent for %.0f s; its lock is broken off.", conf.lease_seconds())
            self._lock.break_off()
        except (DatabaseAway, OSError) as error:
            logger.warning("The leader's silence cannot be judged: %s", one_line(error))
            connection.close()
        # Whoever leads next gets a lease of its own; so does this process when the database was away.
        self._silence = leader.Silence()

    def _try_lock(self) -> bool:
        try:
            return self._lock.acquire()
        except (DatabaseAway, OSError) as error:
            logger.warning(
                "The leader lock cannot be asked for, trying again in %s s: %s", RETRY_SECONDS, one_line(error)
            )
            self._stop.wait(RETRY_SECONDS)
            return False

    def _lead(self) -> None:
        """Lead for one term: until told to stop, or until the lock or the epoch is lost."""
        assert self._instance is not None
        bell: Bell | None = None
        try:
            if self._adopt:
                logger.warning("This database is adopted by %s.", leader.adopt())
                self._adopt = False
            epoch = leader.take_over(self._instance)
            self._scheduler = FireScheduler(epoch, self._stop.is_set, self._fired, self._dispatcher.places)
            for run in recovery.recover(self._instance):
                self._tell_end(run)
            logger.info("Leading since %s (epoch %s).", timezone.now().isoformat(timespec="seconds"), epoch)
            bell = Bell(self._ring)
            bell.start()
            self._dispatcher.lead(epoch)
            self._scheduler.start()
        except leader.CopiedDatabase as error:
            logger.info("Not taking over: %s", error)
        except DatabaseAway as error:
            logger.warning("Leading was interrupted by the database: %s", one_line(error))
            connection.close()
            self._stop.wait(RETRY_SECONDS)
        finally:
            self._dispatcher.pause()
            if bell is not None:
                bell.stop()
            if self._scheduler is not None and self._scheduler.running:
                self._scheduler.shutdown(wait=False)
            self._scheduler = None
            if not self._stop.is_set():
                self._lock.release()
                self._say(InstanceState.STANDBY)

    def _ring(self, kinds: Collection[str]) -> None:
        """Let those look whom a change concerns: schedules the scheduler, runs the dispatcher, a hold both."""
        if self._scheduler is not None and kinds != {"run"}:
            self._scheduler.ring()
        if kinds != {"schedule"}:
            self._dispatcher.ring()

    def _fired(self, fired: Fired) -> None:
        if any(run.status == RunStatus.QUEUED for run in fired.runs):
            self._dispatcher.ring()
        self._executions.fired(fired.runs)

    def _is_crowded(self) -> bool:
        return any(executor.is_crowded() for executor in self._executors)

    def _leadership_lost(self) -> None:
        if self._scheduler is not None:
            self._scheduler.lost = True
            self._scheduler.end()

    def _run_ended(self, run_id: int, run: Run | None) -> None:
        """Tell how a run ended, and let the next one start."""
        if run is not None and not run.is_active:
            self._tell_end(run)
        self._dispatcher.place_is_free()

    def _tell_end(self, run: Run) -> None:
        self._executions.run_ended(run)
        if (scheduler := self._scheduler) is not None:
            scheduler.tell(end_event(one) for one in (run,))

    def _beat(self) -> None:
        """Write the heartbeat, and notice when the leader lock is gone."""
        assert self._instance is not None
        while not self._heart_stopped.wait(conf.heartbeat_seconds()):
            try:
                state = InstanceState.STOPPING if self._stop.is_set() else InstanceState.STANDBY
                if self._scheduler is not None:
                    if self._lock.is_held():
                        state = InstanceState.ACTIVE
                    else:
                        logger.warning("The leader lock is gone.")
                        self._leadership_lost()
                SchedulerInstance.objects.filter(pk=self._instance.pk).beat(leader.server_time(), state)
                self._beaten_at = time.monotonic()
            except DatabaseAway as error:
                logger.warning("The heartbeat cannot be written: %s", one_line(error))
                connection.close()
        connection.close()

    def _say(self, state: InstanceState) -> None:
        assert self._instance is not None
        ended = timezone.now() if state == InstanceState.STOPPED else None
        try:
            SchedulerInstance.objects.filter(pk=self._instance.pk).update(
                state=state, heartbeat_at=timezone.now(), ended_at=ended
            )
        except DatabaseAway as error:
            logger.warning("The state “%s” of this process cannot be written: %s", state, one_line(error))
            connection.close()

    def _note(self, sentence: str) -> None:
        """Tell on this process's row what it has to say."""
        assert self._instance is not None
        try:
            SchedulerInstance.objects.filter(pk=self._instance.pk).update(note=sentence)
        except DatabaseAway as error:
            logger.warning("The note of this process cannot be written: %s", one_line(error))
            connection.close()

    def _end(self) -> None:
        """End in order: free the lock for the next leader, let runs end, hand back what is left.

        1. The lock goes at once, so that a standing-by process fires on; our own runs are still ours.
        2. Runs get the grace to end by themselves.
        3. What is left is killed (a thread's late writes are refused) and goes back into the queue.
        """
        self._say(InstanceState.STOPPING)
        self._lock.release()
        deadline = time.monotonic() + self._grace
        reason = _("Handed back by a scheduler process that stopped; starts again with the next one.")
        if running := self._running():
            logger.info("Stopping: %s run(s) get %.0f s to end.", len(running), self._grace)
        while self._running() and time.monotonic() < deadline:
            time.sleep(0.05)
        # From here on nobody but this method judges what becomes of a run.
        self._dispatcher.stop()
        left = self._running()
        for executor in self._executors:
            executor.stop()
        for run in left:
            try:
                if runs.hand_back(run, reason):
                    logger.info("Run %s is handed back.", run.pk)
            except DatabaseAway as error:
                logger.warning(
                    "Run %s cannot be handed back, the next leader will find it: %s", run.pk, one_line(error)
                )
                connection.close()
        self._executions.stop()
        self._say(InstanceState.STOPPED)
        logger.info("Stopped.")

    def _running(self) -> list[Held]:
        return [run for executor in self._executors for run in executor.running()]
