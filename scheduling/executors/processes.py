"""Runs in child processes, one each, forked from a forkserver that has everything imported.

A child can be stopped, killed and crash without taking anything else with it, and none outlives the scheduler: each
watches a pipe (its lifeline) whose other end only the scheduler holds.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import limits, runs
from scheduling.database import DatabaseAway, one_line
from scheduling.ends import Outcome
from scheduling.executors import child
from scheduling.executors.base import Ended, Executor
from scheduling.jobs import registry
from scheduling.jobs.spool import Spool
from scheduling.models import ExecutorAlias, Run, RunStatus

logger = logging.getLogger(__name__)

KILL_AFTER_SECONDS = 8.0
"""Seconds from asking a child to stop to killing it and all its own children."""


@dataclass
class Child:
    """A child process and the run that it executes; times are those of `time.monotonic()`."""

    run: Run
    process: ForkServerProcess
    lifeline: Connection
    #: A file with the log lines that the child has not written to the database yet.
    log: IO[bytes]
    #: When it is killed because it was cancelled and has not stopped.
    kill_at: float | None = None
    #: When it is killed because it has exceeded its time limit and has not stopped.
    late_at: float | None = None
    #: How its run ended, once it had to be killed for a limit.
    outcome: Outcome | None = None

    def deadlines(self) -> list[float]:
        """Return the times at which something is to be done about this child."""
        return [moment for moment in (self.kill_at, self.late_at) if moment is not None]


class _Inherited:
    """A file descriptor of this process that a child gets a copy of when it starts."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return _same, (reduction.DupFd(self._descriptor),)


def _same(value: Any) -> Any:
    return value


class ProcessExecutor(Executor):
    """A child process for each run, watched by one thread."""

    alias = ExecutorAlias.PROCESSES

    def __init__(self, limit: int, ended: Ended) -> None:
        super().__init__(limit, ended)
        self._context: Any = multiprocessing.get_context("forkserver")
        self._lock = threading.Lock()
        self._children: dict[int, Child] = {}
        self._wake_read, self._wake_write = self._context.Pipe(duplex=False)
        self._stopping = False
        self._warm = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="children", daemon=True)

    def start(self) -> None:
        """Start the forkserver (before there is any other thread) and the thread that watches the children."""
        self._context.set_forkserver_preload(["scheduling.preload"])
        # The forkserver is a fresh interpreter: it must find the project from whatever folder this one was started in.
        root = str(Path(settings.BASE_DIR))
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        if root not in paths:
            os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, paths)])
        from multiprocessing.forkserver import ensure_running

        ensure_running()
        self._watcher.start()
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    @property
    def is_warming(self) -> bool:
        """Tell whether the forkserver still imports: whoever asked for a child now would wait, perhaps for seconds."""
        return not self._warm.is_set()

    def room(self) -> int:
        """Return how many runs to claim now: none before the forkserver is ready."""
        return 0 if self.is_warming else self.free()

    def _warm_up(self) -> None:
        """Wait until the forkserver has forked a first child, which does nothing."""
        try:
            first = self._context.Process(target=child.nothing, name="warm-up", daemon=True)
            first.start()
            first.join()
        except (OSError, EOFError) as error:
            # Each run that is submitted tries again, and says what it met.
            logger.warning("The parent of child processes did not answer: %s", error)
        finally:
            self._warm.set()

    def submit(self, run: Run) -> None:
        """Begin to execute a claimed run in a child process; some 10 ms."""
        read, write = self._context.Pipe(duplex=False)
        starts_processes = run.job in registry and registry.get(run.job).starts_processes
        claimed = child.ClaimedRun(run.pk, run.schedule_id, run.claim_token, run.memory_limit_mb, starts_processes)
        log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed when the child has ended
        process = self._context.Process(
            target=child.main, args=(claimed, read, _Inherited(log.fileno())), name=f"run-{run.pk}", daemon=False
        )
        process.start()
        read.close()
        entry = Child(run, process, write, log)
        if run.time_limit_seconds is not None:
            entry.late_at = time.monotonic() + run.time_limit_seconds + run.kill_after_seconds
        with self._lock:
            self._children[run.pk] = entry
        self._wake()

    def running(self) -> list[Run]:
        """Return the runs that have a child process."""
        with self._lock:
            return [entry.run for entry in self._children.values()]

    def cancel(self, run_id: int) -> None:
        """Ask the child to stop; it is killed, with all that it started, when it has not ended in time."""
        with self._lock:
            entry = self._children.get(run_id)
            if entry is None or entry.kill_at is not None:
                return
            entry.kill_at = time.monotonic() + KILL_AFTER_SECONDS
            # Under the lock: the lifeline is not closed by the end of the child meanwhile.
            with contextlib.suppress(BrokenPipeError, OSError):
                entry.lifeline.send_bytes(b"stop")
        # For a job that has a handler of its own.
        self._signal(entry, signal.SIGTERM)
        self._wake()

    def stop(self) -> None:
        """Kill every child that is left, with its group, and end the watcher."""
        with self._lock:
            entries = list(self._children.values())
            self._stopping = True
        for entry in entries:
            self._kill(entry)
        self._wake()
        if self._watcher.is_alive():
            self._watcher.join(timeout=5)

    def _wake(self) -> None:
        self._wake_write.send_bytes(b"x")

    def _watch(self) -> None:
        """Wait for children to end and for deadlines to pass; measure those that have a memory limit."""
        while True:
            with self._lock:
                entries = list(self._children.values())
                if self._stopping and not entries:
                    return
            sentinels = {entry.process.sentinel: entry for entry in entries}
            for ready in wait([*sentinels, self._wake_read], timeout=_seconds_to_wait(entries)):
                if ready is self._wake_read:
                    self._wake_read.recv_bytes()
                else:
                    self._reap(sentinels.pop(ready))  # type: ignore[arg-type]
            for entry in sentinels.values():
                self._enforce(entry)

    def _enforce(self, entry: Child) -> None:
        """Kill a child that did not stop when it was asked to, or that takes more memory than it may."""
        now = time.monotonic()
        if entry.kill_at is not None and entry.kill_at <= now:
            logger.warning("Run %s did not stop when asked; its process is killed.", entry.run.pk)
            entry.kill_at = now + KILL_AFTER_SECONDS
        elif entry.late_at is not None and entry.late_at <= now:
            if (later := self._began_late(entry)) > 0:
                entry.late_at = now + later
                return
            entry.outcome = limits.took_too_long(entry.run, killed=True)
            entry.late_at = now + KILL_AFTER_SECONDS
            logger.warning("Run %s is killed: %s", entry.run.pk, entry.outcome.sentence)
        elif _takes_too_much(entry):
            entry.outcome = limits.took_too_much(entry.run)
            logger.warning("Run %s is killed: %s", entry.run.pk, entry.outcome.sentence)
        else:
            return
        self._kill(entry)

    def _began_late(self, entry: Child) -> float:
        """Return the seconds that are left of a run's time because its job began later than its process was asked for.

        The time limit counts from the begin of the job, which stands in the row; a busy machine may have delayed it.
        """
        limit = timedelta(seconds=(entry.run.time_limit_seconds or 0) + entry.run.kill_after_seconds)
        try:
            started = (
                Run.objects.filter(pk=entry.run.pk, pid__isnull=False).values_list("started_at", flat=True).first()
            )
        except DatabaseAway as error:
            logger.warning("When run %s began cannot be asked: %s", entry.run.pk, one_line(error))
            connection.close()
            return 0.0
        return (started + limit - timezone.now()).total_seconds() if started else 0.0

    def _reap(self, entry: Child) -> None:
        """Note the end of a child: its run has ended by itself, or is ended here."""
        entry.process.join()
        exit_code = entry.process.exitcode
        with self._lock:
            entry.lifeline.close()
        # What the job started itself must not outlive it.
        self._signal_group(entry, signal.SIGKILL)
        ended = None
        try:
            still_held = Run.objects.claimed(entry.run.pk, entry.run.claim_token).exists()
            if still_held:
                runs.keep_log(entry.run, Spool(entry.log.fileno()))
            if still_held and not self._stopping:
                ended = runs.end_dead(entry.run, entry.outcome or _died(exit_code))
            else:
                ended = Run.objects.filter(pk=entry.run.pk).first()
        except DatabaseAway as error:
            # The sweep for runs without a child, in the dispatcher, ends this one when the database is back.
            logger.warning("The end of run %s cannot be noted yet: %s", entry.run.pk, one_line(error))
            connection.close()
        entry.process.close()
        entry.log.close()
        with self._lock:
            self._children.pop(entry.run.pk, None)
        self._ended(entry.run.pk, ended)

    def _kill(self, entry: Child) -> None:
        """Kill a child, its group, and what it started in other groups."""
        family = limits.family(entry.process.pid) if entry.process.pid else []
        self._signal_group(entry, signal.SIGKILL)
        self._signal(entry, signal.SIGKILL)
        for process in family:
            limits.kill(process)

    def _signal(self, entry: Child, number: signal.Signals) -> None:
        try:
            if entry.process.pid and entry.process.is_alive():
                os.kill(entry.process.pid, number)
        except (ProcessLookupError, ValueError):
            logger.debug("The process of run %s has already ended.", entry.run.pk)

    def _signal_group(self, entry: Child, number: signal.Signals) -> None:
        """Signal the child's own process group; it has none yet in its first instants."""
        try:
            if entry.process.pid and entry.process.pid != os.getpgrp():
                os.killpg(entry.process.pid, number)
        except (ProcessLookupError, ValueError):
            logger.debug("The process group of run %s has already ended.", entry.run.pk)


def _seconds_to_wait(entries: list[Child]) -> float | None:
    """Return how long the watcher may wait for children to end, None for as long as it takes."""
    deadlines = [moment for entry in entries for moment in entry.deadlines()]
    if any(entry.run.memory_limit_mb for entry in entries):
        deadlines.append(time.monotonic() + limits.WATCH_SECONDS)
    return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None


def _takes_too_much(entry: Child) -> bool:
    limit = entry.run.memory_limit_mb
    if not limit or entry.outcome is not None or entry.process.pid is None:
        return False
    return limits.memory_of(entry.process.pid) > limit * limits.MEGABYTE


def _died(exit_code: int | None) -> Outcome:
    """Return the outcome of a run whose child did not write its end."""
    return Outcome(RunStatus.FAILED, _death(exit_code), error_class="process died")


def _death(exit_code: int | None) -> str:
    """Return in a sentence how a child ended that did not write its run's end."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return _("The child process was killed by signal %(number)d (%(name)s).") % {"number": -exit_code, "name": name}
    return _(
        "The child process ended unexpectedly with exit code %(code)s. The scheduler's log may tell more; after an "
        "upgrade the scheduler has to be started again."
    ) % {"code": exit_code}
