"""What runs in a child process: one run, and the lifeline that ends the child when its scheduler is gone."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from scheduling import limits
from scheduling.forkservers import stand_ready
from scheduling.jobs.context import RunContext
from scheduling.jobs.execution import execute_scheduled_scraping
from scheduling.jobs.spool import Spool

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
"""The request of prctl(2) for a signal at the parent's death (linux/prctl.h)."""


@dataclass(frozen=True)
class ClaimedRun:
    """What a child must know before it can read the run's row."""

    pk: int
    schedule_id: int | None
    claim_token: str
    memory_limit_mb: int | None
    #: Whether its job starts processes of its own (`Job.starts_processes`).
    starts_processes: bool = False


class Watch(threading.Thread):
    """Watches the lifeline, and passes a request to stop on to the job once it has begun.

    The scheduler asks by a message on the lifeline, which also reaches a child that is not ready for signals yet;
    others ask by SIGTERM. A signal handler runs between any two instructions of the main thread, which may hold any
    lock; so the handler only writes to a pipe, and this thread does what it asks for.
    """

    def __init__(self, lifeline: Connection) -> None:
        super().__init__(name="lifeline", daemon=True)
        self._lifeline = lifeline
        self._asked, self._ask = os.pipe()
        self._stop = threading.Event()
        self._context: RunContext | None = None
        os.set_blocking(self._ask, False)

    def on_sigterm(self, _number: int, _frame: Any) -> None:
        """Note the signal (a handler: takes no lock)."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._ask, b"x")

    def begin(self, context: RunContext) -> None:
        """Take the context of the run that now begins; a request from before reaches it too."""
        self._context = context
        if self._stop.is_set():
            context.request_cancel()

    def run(self) -> None:
        """Wait for either; when the lifeline's other end is gone, so is this process, with all that it started."""
        while True:
            for ready in wait([self._lifeline, self._asked]):
                if ready is self._lifeline:
                    try:
                        self._lifeline.recv_bytes()
                    except (EOFError, OSError):
                        die()
                else:
                    os.read(self._asked, 4096)
                self._stop.set()
                if self._context is not None:
                    self._context.request_cancel()


def main(run: ClaimedRun, lifeline: Connection, spool: Any) -> None:
    """Execute one claimed run in this process and exit: 0 when its end stands in the database, 1 otherwise.

    1. The child leads a session of its own: Ctrl-C at a terminal is the scheduler's to handle, and the whole group,
       with what the job started itself, can be killed at once.
    2. It dies when its scheduler is gone: a thread watches the lifeline, a pipe whose other end only the scheduler
       holds; and the kernel kills it with the forkserver, also while a library holds the interpreter's lock for long.
    3. A message on the lifeline, or SIGTERM, asks the job to stop.
    4. What the job logs also goes to `spool`, the scheduler's file (as a `DupFd`).
    5. Memory far beyond the limit is refused by the kernel.
    6. Where the job starts processes of its own, one that has everything imported stands ready to fork them.
    """
    os.setsid()
    _die_with_parent()
    if run.memory_limit_mb:
        limits.bound_memory(run.memory_limit_mb)
    # Before there is any thread.
    dismiss = stand_ready() if run.starts_processes else None
    watch = Watch(lifeline)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, watch.on_sigterm)
    watch.start()
    _check_preload()
    try:
        ended = execute_scheduled_scraping(
            run.schedule_id, run.pk, run.claim_token, on_context=watch.begin, spool=Spool(spool.detach())
        )
    except Exception:
        logger.exception("Run %s could not be executed.", run.pk)
        ended = None
    sys.stdout.flush()
    sys.stderr.flush()
    if dismiss is not None:
        dismiss()
    # Threads that a job left behind must not keep the child alive.
    os._exit(0 if ended is not None else 1)


def nothing() -> None:
    """End at once: that a child runs at all proves that its parent is ready."""


def die() -> None:
    """Kill this process's group and everything else that it started."""
    for process in limits.family(os.getpid())[1:]:
        limits.kill(process)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent, the forkserver, dies; elsewhere the lifeline alone has to do."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            logger.error("The kernel was not asked to end this child with its parent: errno %s", ctypes.get_errno())


def _check_preload() -> None:
    """Tell what the forkserver could not import; it swallows such errors, and every child then starts slowly."""
    preload = sys.modules.get("scheduling.preload")
    if preload is None:
        logger.error("The parent of child processes could not import scheduling.preload; runs start slowly.")
        return
    for name, error in preload.FAILED.items():
        logger.error("The parent of child processes could not import %s: %s", name, error)
