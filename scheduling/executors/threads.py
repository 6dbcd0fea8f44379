"""Runs in threads of the scheduler process: for short, trusted jobs. They can be asked to stop, not made to."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from scheduling.executors.base import Executor
from scheduling.jobs.context import RunContext
from scheduling.jobs.execution import execute_scheduled_scraping
from scheduling.models import ExecutorAlias, Run

logger = logging.getLogger(__name__)


class ThreadExecutor(Executor):
    """A pool of threads."""

    alias = ExecutorAlias.THREADS

    def start(self) -> None:
        """Make the pool."""
        self._pool = ThreadPoolExecutor(self.limit, thread_name_prefix="run")
        self._lock = threading.Lock()
        self._runs: dict[int, Run] = {}
        self._contexts: dict[int, RunContext] = {}

    def submit(self, run: Run) -> None:
        """Begin to execute a claimed run in a thread."""
        with self._lock:
            self._runs[run.pk] = run
        self._pool.submit(self._execute, run)

    def running(self) -> list[Run]:
        """Return the runs in the pool's hands."""
        with self._lock:
            return list(self._runs.values())

    def cancel(self, run_id: int) -> None:
        """Ask the job to stop; it looks at its context when it likes."""
        with self._lock:
            context = self._contexts.get(run_id)
        if context is not None:
            context.request_cancel()

    def stop(self) -> None:
        """Take no more runs; threads that do not end are left to the end of the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _execute(self, run: Run) -> None:
        def keep(context: RunContext) -> None:
            with self._lock:
                self._contexts[run.pk] = context

        ended = None
        try:
            ended = execute_scheduled_scraping(run.schedule_id, run.pk, run.claim_token, on_context=keep)
        except Exception:
            logger.exception("Run %s could not be executed.", run.pk)
        finally:
            # Errors may have left the connection unusable; the next run makes its own.
            connection.close()
            with self._lock:
                self._runs.pop(run.pk, None)
                self._contexts.pop(run.pk, None)
            self._ended(run.pk, ended)
