"""django-apscheduler's own execution rows, since its users look there: written in batches as runs are fired and end.

The rows are a copy for reading; `Run` is what counts. So they are written by a thread of their own, and a database
that is away delays them without holding up a fire.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.utils import timezone
from django_apscheduler.models import DjangoJobExecution

from scheduling.database import DatabaseAway, one_line
from scheduling.fires import FiredRun
from scheduling.models import Run, RunStatus
from scheduling.models.schedule import JOB_ID_PREFIX
from scheduling.statements import CHUNK, write_executions

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
"""Seconds after an event within which its row is written."""
CROWDED_SECONDS = 1.0
"""Seconds that rows wait longer at most while runs are waiting to begin: those go first."""
KEEP = 100_000
"""Rows kept while the database is away; older ones are dropped, with a line in the log."""

SENT, SUCCESS, ERROR, MISSED, MAX_INSTANCES = (
    str(status)
    for status in (
        DjangoJobExecution.SENT,
        DjangoJobExecution.SUCCESS,
        DjangoJobExecution.ERROR,
        DjangoJobExecution.MISSED,
        DjangoJobExecution.MAX_INSTANCES,
    )
)


class Row(NamedTuple):
    """What is to stand in a row, by the columns of `DjangoJobExecution`."""

    job_id: str
    run_time: datetime
    status: str
    duration: float | None = None
    finished: float | None = None
    exception: str | None = None
    traceback: str | None = None


class ExecutionLog(threading.Thread):
    """Keeps `DjangoJobExecution` in step with what is fired and what ends."""

    def __init__(self, crowded: Callable[[], bool] = lambda: False) -> None:
        """Take a question: whether many runs are waiting to begin right now."""
        super().__init__(name="executions", daemon=True)
        self._lock = threading.Lock()
        self._crowded = crowded
        self._rows: list[Row | FiredRun] = []
        self._ended = threading.Event()

    def fired(self, runs: Sequence[FiredRun]) -> None:
        """Note runs that a fire has committed (quick, whatever the database does)."""
        self._note(runs)

    def run_ended(self, run: Run) -> None:
        """Note the end of a run; one without a schedule has no job, and no row."""
        if run.schedule_id is None:
            return
        now = timezone.now()
        moment = run.scheduled_for or run.queued_at
        good = run.status in RunStatus.good()
        self._note(
            [
                Row(
                    f"{JOB_ID_PREFIX}{run.schedule_id}",
                    moment,
                    _status(run.status),
                    round((now - moment).total_seconds(), 2),
                    round(now.timestamp(), 2),
                    None if good else _clean(f"{run.get_status_display()}: {run.outcome}")[:1000],
                    _clean(run.traceback) or None,
                )
            ]
        )

    def stop(self) -> None:
        """Write what is left and end the thread."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Write what was noted, each half second."""
        while True:
            last = self._ended.wait(FLUSH_SECONDS)
            until = time.monotonic() + CROWDED_SECONDS
            while not last and self._crowded() and time.monotonic() < until:
                last = self._ended.wait(0.05)
            self.flush()
            if last:
                connection.close()
                return

    def flush(self) -> None:
        """Write what was noted: of the same job and time, an end, or else what was noted last."""
        with self._lock:
            kept, self._rows = self._rows, []
        noted = [row if isinstance(row, Row) else _beginning(row) for row in kept]
        latest: dict[tuple[str, datetime], Row] = {}
        for row in noted:
            key = (row.job_id, row.run_time)
            if row.finished is not None or key not in latest or latest[key].finished is None:
                latest[key] = row
        rows = list(latest.values())
        try:
            for start in range(0, len(rows), CHUNK):
                write_executions(rows[start : start + CHUNK])
        except DatabaseAway as error:
            logger.warning("Execution rows cannot be written yet: %s", one_line(error))
            connection.close()
            with self._lock:
                self._rows = kept + self._rows

    def _note(self, rows: Sequence[Row | FiredRun]) -> None:
        with self._lock:
            self._rows += rows
            if len(self._rows) > KEEP:
                logger.error("%s execution rows are dropped: the database is away.", len(self._rows) - KEEP)
                del self._rows[:-KEEP]


def _beginning(run: FiredRun) -> Row:
    return Row(f"{JOB_ID_PREFIX}{run.schedule_id}", run.scheduled_for, _status(run.status))


def _status(status: str) -> str:
    if status in RunStatus.active():
        return SENT
    if status in RunStatus.good():
        return SUCCESS
    if status == RunStatus.SKIPPED:
        return MAX_INSTANCES
    return MISSED if status == RunStatus.MISSED else ERROR


def _clean(text: str) -> str:
    """Return text as PostgreSQL takes it."""
    return text.replace("\0", "")
