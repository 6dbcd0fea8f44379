"""What a job function is handed: progress, log and cancellation of its run.

Everything a job reports is buffered and written by a thread of its own, so that a job may call these methods from
anywhere, async code included, and never waits for the database. Every write is guarded by the run's claim token: a
process that lost its run writes nothing more.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import cached_property
from typing import Any, TypeVar

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling.database import DatabaseAway, one_line
from scheduling.jobs.spool import Entry, Spool
from scheduling.models import Run, RunLog, Schedule
from scheduling.storable import storable_json, storable_progress, storable_text

T = TypeVar("T")

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
"""Seconds after which reported progress and log lines stand in the database at the latest."""
CLAIM_CHECK_SECONDS = 5.0
"""Seconds after which a run that reports nothing looks whether it is still its process's."""


class StopReason(Enum):
    """Why a run is asked to stop."""

    #: Somebody cancelled it.
    CANCELLED = auto()
    #: It exceeded its time limit.
    TIME_LIMIT = auto()
    #: Its claim is another's, or it has been ended: nothing that it writes is accepted any more.
    NOT_HELD = auto()


class RunCancelled(Exception):
    """The run was asked to stop."""


@dataclass(frozen=True)
class LastSuccess:
    """When a schedule last did its work; all times UTC."""

    run_id: int
    scheduled_for: datetime | None
    """Its due time; None for a run by hand."""
    started_at: datetime
    finished_at: datetime


class RunContext:
    """The handle of one run, used by the job function; see the methods."""

    def __init__(self, run: Run, spool: Spool | None = None) -> None:
        self.run_id: int = run.pk
        self.schedule_name: str = run.schedule_name
        self.scheduled_for: datetime | None = run.scheduled_for
        self.cause: str = run.cause
        self.parameters: dict[str, Any] = run.parameters
        self._schedule_id: int | None = run.schedule_id
        self._queued_at: datetime = run.queued_at
        self._token: str = run.claim_token
        self._lock = threading.Lock()
        self._lines: list[Entry] = []
        self._spool = spool
        self._progress: dict[str, Any] = {}
        self.stop_reason: StopReason | None = None
        self._limit: int | None = run.time_limit_seconds
        self._deadline = float("inf")
        self._cancelled: threading.Event | None = None
        self._wake: threading.Event | None = None
        self._closed = False
        self._claim_checked = time.monotonic()
        self._writer: threading.Thread | None = None
        self._is_open = False

    @property
    def cancelled(self) -> bool:
        """Tell whether the run was asked to stop; a long job looks at this between two pieces of work."""
        return self.stop_reason is not None

    @cached_property
    def window(self) -> tuple[datetime | None, datetime]:
        """Return (start, end), UTC: the time since the due time before, which this run is to deal with.

        It ends with the due time of this run (of one by hand, when it was asked for) and begins with the schedule's due
        time before, by its present trigger; None where there is none, or no schedule.
        """
        end = self.scheduled_for or self._queued_at
        return self._from_database(lambda: Schedule.objects.due_before(self._schedule_id, end)), end

    @cached_property
    def last_success(self) -> LastSuccess | None:
        """Return what is known of the last run of the same schedule that succeeded, None where none did."""
        return self._from_database(self._last_success)

    def _last_success(self) -> LastSuccess | None:
        if self._schedule_id is None:
            return None
        runs = Run.objects.succeeded().filter(schedule=self._schedule_id).order_by("-queued_at", "-id")
        last = runs.only("scheduled_for", "started_at", "finished_at").first()
        if last is None or last.started_at is None or last.finished_at is None:
            return None
        return LastSuccess(last.pk, last.scheduled_for, last.started_at, last.finished_at)

    @staticmethod
    def _from_database(read: Callable[[], T]) -> T:
        """Return what a query gives, also where an event loop runs, in whose thread Django allows none."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return read()

        def read_and_close() -> T:
            try:
                return read()
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(read_and_close).result()

    def check_cancelled(self) -> None:
        """Raise `RunCancelled` if the run was asked to stop."""
        if self.cancelled:
            raise RunCancelled

    def wait(self, seconds: float) -> bool:
        """Sleep for some seconds, or until the run is asked to stop; return whether it was."""
        with self._lock:
            self._cancelled = cancelled = self._cancelled or threading.Event()
            if self.stop_reason is not None:
                return True
        return cancelled.wait(seconds)

    def request_cancel(self, reason: StopReason = StopReason.CANCELLED) -> None:
        """Ask the job to stop; of several reasons the first counts (called by the executor, never in a signal handler).

        What it has logged is written at once: it may be killed soon.
        """
        with self._lock:
            self.stop_reason = self.stop_reason or reason
            if self._cancelled is not None:
                self._cancelled.set()
        self._wake_writer()

    def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Report how much of the work is done, of how much if known, and what is being done now."""
        with self._lock:
            self._progress |= {
                "progress_done": storable_progress(done),
                "progress_message": storable_text(message)[:200],
            }
            if total is not None:
                self._progress["progress_total"] = storable_progress(total)
        self._start_writer()

    def count(self, **counts: int | str) -> None:
        """Report counts by name (they replace those of the same name), shown while the run goes on."""
        with self._lock:
            self._progress["summary"] = {**self._progress.get("summary", {}), **storable_json(counts)}
        self._start_writer()

    def log(self, message: str, level: int = logging.INFO) -> None:
        """Write a line to the run's log; `level` as in `logging`."""
        with self._lock:
            entry = (timezone.now(), RunLog.Level.of(level), storable_text(message))
            self._lines.append(entry)
            if self._spool is not None:
                try:
                    self._spool.append(entry)
                except OSError as error:
                    logger.warning("Run %s: its log would not survive a kill: %s", self.run_id, error)
                    self._spool = None
        self._start_writer()

    def flush(self) -> None:
        """Write what is buffered; keeps it for the next time when the database does not answer.

        With nothing to write it still looks now and then whether the run is held: one that was taken for lost stops.
        """
        with self._lock:
            lines, progress = self._lines, dict(self._progress)
            self._lines = []
        if not lines and not progress and time.monotonic() - self._claim_checked < CLAIM_CHECK_SECONDS:
            return
        try:
            with transaction.atomic():
                # The update also locks the row, so that the claim cannot change until the lines are in.
                held = Run.objects.claimed(self.run_id, self._token).update(**progress or {"claim_token": self._token})
                if held:
                    RunLog.objects.bulk_create(RunLog.lines(self.run_id, lines), batch_size=500)
        except DatabaseAway as error:
            logger.warning(
                "Run %s: its log could not be written, will be tried again: %s", self.run_id, one_line(error)
            )
            connection.close()
            with self._lock:
                self._lines = lines + self._lines
            return
        self._claim_checked = time.monotonic()
        with self._lock:
            if self._spool is not None:
                self._spool.replace(self._lines)
            for key in [
                key for key, value in progress.items() if key != "summary" and self._progress.get(key) == value
            ]:
                del self._progress[key]
        if not held:
            logger.warning("Run %s is no longer held by this process; it stops.", self.run_id)
            self.request_cancel(StopReason.NOT_HELD)

    def open(self, *, lazily: bool = False) -> None:
        """Begin to write what the job reports, and to watch its time limit (called by the executor).

        `lazily`, where somebody else watches whether the run is held: only once there is something to write or watch,
        so that a short job costs no thread.
        """
        self._is_open = True
        if self._limit is not None:
            self._deadline = time.monotonic() + self._limit
        if not lazily or self._limit is not None:
            self._start_writer()

    def _start_writer(self) -> None:
        with self._lock:
            if self._is_open and self._writer is None:
                self._wake = threading.Event()
                name = f"run-{self.run_id}-log"
                self._writer = threading.Thread(
                    target=self._write_until_closed, args=(self._wake,), name=name, daemon=True
                )
                self._writer.start()

    def _wake_writer(self) -> None:
        if self._wake is not None:
            self._wake.set()

    def close(self) -> None:
        """Write the rest and end the writer (called by the executor)."""
        self._closed = True
        self._wake_writer()
        if self._writer is not None:
            self._writer.join()
        self.flush()

    def _write_until_closed(self, wake: threading.Event) -> None:
        try:
            while not self._closed:
                wake.wait(max(0.0, min(FLUSH_SECONDS, self._deadline - time.monotonic())))
                wake.clear()
                if time.monotonic() >= self._deadline:
                    self._deadline = float("inf")
                    self.request_cancel(StopReason.TIME_LIMIT)
                if not self._closed:
                    self.flush()
        finally:
            connection.close()

    def __str__(self) -> str:
        return _("Run %(number)s") % {"number": self.run_id}
