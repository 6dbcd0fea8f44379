"""What runs in a child process: one run, and the lifeline that ends the child when its scheduler is gone."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

logger = logging.getLogger(__name__)


def main(schedule_id: int | None, run_id: int, claim_token: str, lifeline: Connection) -> None:
    """Execute one claimed run in this process and exit: 0 when its end stands in the database, 1 otherwise.

    1. The child leads a session of its own: Ctrl-C at a terminal is the scheduler's to handle, and the whole group,
       with what the job started itself, can be killed at once.
    2. A thread watches the lifeline, a pipe whose other end only the scheduler holds; when it closes, the group dies.
    3. SIGTERM asks the job to stop.
    """
    os.setsid()
    threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _check_preload()

    from scheduling.jobs.context import RunContext
    from scheduling.jobs.execution import execute_scheduled_scraping

    def cancel_on_sigterm(context: RunContext) -> None:
        def handler(_number: int, _frame: Any) -> None:
            context.request_cancel()

        signal.signal(signal.SIGTERM, handler)

    try:
        ended = execute_scheduled_scraping(schedule_id, run_id, claim_token, on_context=cancel_on_sigterm)
    except Exception:
        logger.exception("Run %s could not be executed.", run_id)
        ended = None
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that a job left behind must not keep the child alive.
    os._exit(0 if ended is not None else 1)


def _check_preload() -> None:
    """Tell what the forkserver could not import; it swallows such errors, and every child then starts slowly."""
    preload = sys.modules.get("scheduling.preload")
    if preload is None:
        logger.error("The parent of child processes could not import scheduling.preload; runs start slowly.")
        return
    for name, error in preload.FAILED.items():
        logger.error("The parent of child processes could not import %s: %s", name, error)


def _watch(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os.killpg(os.getpgrp(), signal.SIGKILL)
