"""Runs in child processes, one each, forked from a forkserver that has everything imported.

A child can be stopped, killed and crash without taking anything else with it, and none outlives the scheduler: each
watches a pipe (its lifeline) whose other end only the scheduler holds.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from scheduling import runs
from scheduling.database import DatabaseAway, one_line
from scheduling.executors import child
from scheduling.executors.base import Ended, Executor
from scheduling.models import ExecutorAlias, Run

logger = logging.getLogger(__name__)

KILL_AFTER_SECONDS = 8.0
"""Seconds from asking a child to stop to killing it and all its own children."""


@dataclass
class Child:
    """A child process and the run that it executes."""

    run: Run
    process: ForkServerProcess
    lifeline: Connection
    kill_at: float | None = None


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

    def submit(self, run: Run) -> None:
        """Begin to execute a claimed run in a child process; some 10 ms."""
        read, write = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=child.main, args=(run.schedule_id, run.pk, run.claim_token, read), name=f"run-{run.pk}", daemon=False
        )
        process.start()
        read.close()
        with self._lock:
            self._children[run.pk] = Child(run, process, write)
        self._wake()

    def running(self) -> list[Run]:
        """Return the runs that have a child process."""
        with self._lock:
            return [entry.run for entry in self._children.values()]

    def cancel(self, run_id: int) -> None:
        """Ask the child to stop by SIGTERM; it is killed with its group when it has not ended in time."""
        with self._lock:
            entry = self._children.get(run_id)
            if entry is None or entry.kill_at is not None:
                return
            entry.kill_at = time.monotonic() + KILL_AFTER_SECONDS
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
        """Wait for children to end and for deadlines to pass."""
        while True:
            with self._lock:
                sentinels = {entry.process.sentinel: entry for entry in self._children.values()}
                deadlines = [entry.kill_at for entry in self._children.values() if entry.kill_at is not None]
                if self._stopping and not sentinels:
                    return
            timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            for ready in wait([*sentinels, self._wake_read], timeout=timeout):
                if ready is self._wake_read:
                    self._wake_read.recv_bytes()
                else:
                    self._reap(sentinels[ready])  # type: ignore[index]
            now = time.monotonic()
            with self._lock:
                late = [entry for entry in self._children.values() if entry.kill_at and entry.kill_at <= now]
            for entry in late:
                logger.warning("Run %s did not stop when asked; its process is killed.", entry.run.pk)
                self._kill(entry)
                entry.kill_at = now + KILL_AFTER_SECONDS

    def _reap(self, entry: Child) -> None:
        """Note the end of a child: its run has ended by itself, or is ended here."""
        entry.process.join()
        exit_code = entry.process.exitcode
        entry.lifeline.close()
        # What the job started itself must not outlive it.
        self._signal_group(entry, signal.SIGKILL)
        ended = None
        try:
            still_held = Run.objects.claimed(entry.run.pk, entry.run.claim_token).exists()
            if still_held and not self._stopping:
                ended = runs.end_dead(entry.run, _death(exit_code))
            else:
                ended = Run.objects.filter(pk=entry.run.pk).first()
        except DatabaseAway as error:
            # The sweep for runs without a child, in the dispatcher, ends this one when the database is back.
            logger.warning("The end of run %s cannot be noted yet: %s", entry.run.pk, one_line(error))
            connection.close()
        entry.process.close()
        with self._lock:
            self._children.pop(entry.run.pk, None)
        self._ended(entry.run.pk, ended)

    def _kill(self, entry: Child) -> None:
        self._signal_group(entry, signal.SIGKILL)
        self._signal(entry, signal.SIGKILL)

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


def _death(exit_code: int | None) -> str:
    """Return in a sentence how a child ended that did not write its run's end."""
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return _("The child process was killed by signal %(number)d (%(name)s).") % {"number": -exit_code, "name": name}
    return _("The child process ended unexpectedly with exit code %(code)s.") % {"code": exit_code}
