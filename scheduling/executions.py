"""django-apscheduler's own execution rows, since its users look there: written in batches from APScheduler's events.

The rows are a copy for reading; `Run` is what counts. So they are written by a thread of their own, and a database
that is away delays them without holding up a fire.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from apscheduler import events
from django.db import connection, transaction
from django.utils import timezone
from django_apscheduler.models import DjangoJob, DjangoJobExecution

from scheduling.database import DatabaseAway, one_line
from scheduling.statements import CHUNK

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
"""Seconds after an event within which its row is written."""
KEEP = 100_000
"""Events kept while the database is away; older ones are dropped, with a line in the log."""

STATUSES = {
    events.EVENT_JOB_SUBMITTED: DjangoJobExecution.SENT,
    events.EVENT_JOB_EXECUTED: DjangoJobExecution.SUCCESS,
    events.EVENT_JOB_ERROR: DjangoJobExecution.ERROR,
    events.EVENT_JOB_MISSED: DjangoJobExecution.MISSED,
    events.EVENT_JOB_MAX_INSTANCES: DjangoJobExecution.MAX_INSTANCES,
}


class ExecutionLog(threading.Thread):
    """Listens to a scheduler's events and keeps `DjangoJobExecution` in step."""

    def __init__(self) -> None:
        super().__init__(name="executions", daemon=True)
        self._lock = threading.Lock()
        self._events: list[tuple[Any, datetime]] = []
        self._ended = threading.Event()

    def listen(self, event: Any) -> None:
        """Note an event (an APScheduler listener; quick, whatever the database does)."""
        now = timezone.now()
        with self._lock:
            self._events.append((event, now))
            if len(self._events) > KEEP:
                logger.error(
                    "%s events for execution rows are dropped: the database is away.", len(self._events) - KEEP
                )
                del self._events[:-KEEP]

    def stop(self) -> None:
        """Write what is left and end the thread."""
        self._ended.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Write what was noted, each half second."""
        while True:
            last = self._ended.wait(FLUSH_SECONDS)
            self.flush()
            if last:
                connection.close()
                return

    def flush(self) -> None:
        """Write what was noted: a later event of the same job and time overwrites the earlier one's row."""
        with self._lock:
            noted, self._events = self._events, []
        if not noted:
            return
        rows = (_row(event, moment, now) for event, now in noted for moment in _run_times(event))
        latest = {(row.job_id, row.run_time): row for row in rows}
        try:
            self._write(latest.values())
        except DatabaseAway as error:
            logger.warning("Execution rows cannot be written yet: %s", one_line(error))
            connection.close()
            with self._lock:
                self._events = noted + self._events

    def _write(self, rows: Iterable[DjangoJobExecution]) -> None:
        rows = list(rows)
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            with transaction.atomic():
                jobs = DjangoJob.objects.filter(pk__in={row.job_id for row in chunk}).values_list("pk", flat=True)
                known = set(jobs)
                DjangoJobExecution.objects.bulk_create(
                    [row for row in chunk if row.job_id in known],
                    update_conflicts=True,
                    unique_fields=["job_id", "run_time"],
                    update_fields=["status", "duration", "finished", "exception", "traceback"],
                )


def _run_times(event: Any) -> list[datetime]:
    return getattr(event, "scheduled_run_times", None) or [event.scheduled_run_time]


def _row(event: Any, run_time: datetime, now: datetime) -> DjangoJobExecution:
    ended = event.code in (events.EVENT_JOB_EXECUTED, events.EVENT_JOB_ERROR)
    exception = getattr(event, "exception", None)
    return DjangoJobExecution(
        job_id=event.job_id,
        run_time=run_time,
        status=STATUSES[event.code],
        duration=round((now - run_time).total_seconds(), 2) if ended else None,
        finished=round(now.timestamp(), 2) if ended else None,
        exception=str(exception)[:1000] if exception else None,
        traceback=getattr(event, "traceback", None) or None,
    )
