"""django-apscheduler's execution rows: in step with runs, in batches, however late the database answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django_apscheduler.models import DjangoJob, DjangoJobExecution

from scheduling import executions
from scheduling.executions import ExecutionLog
from scheduling.fires import FiredRun
from scheduling.models import Run, RunStatus, Schedule
from tests import factories

DUE = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def schedule(db: None) -> Schedule:
    schedule = factories.schedule()
    DjangoJob.objects.create(id=schedule.job_id, next_run_time=DUE, job_state=b"")
    return schedule


def fired(schedule: Schedule, status: str = RunStatus.RUNNING, due: datetime = DUE) -> FiredRun:
    return FiredRun(1, schedule.pk, due, status)


def ended(schedule: Schedule | None, status: RunStatus = RunStatus.SUCCEEDED, **values: object) -> Run:
    return Run(pk=1, schedule=schedule, scheduled_for=DUE, status=status, **values)


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("queued", "Started execution"),
        ("running", "Started execution"),
        ("skipped", "Max instances!"),
        ("missed", "Missed!"),
    ],
)
def test_what_is_fired_has_a_row_in_the_words_of_django_apscheduler(schedule: Schedule, status: str, word: str) -> None:
    log = ExecutionLog()
    log.fired([fired(schedule, status)])
    log.flush()
    row = DjangoJobExecution.objects.get(job_id=schedule.job_id)
    assert (row.status, row.run_time, row.finished, row.duration) == (word, DUE, None, None)


def test_an_end_replaces_the_beginning_and_a_late_beginning_does_not_replace_the_end(schedule: Schedule) -> None:
    log = ExecutionLog()
    log.fired([fired(schedule)])
    log.flush()
    failed = ended(schedule, RunStatus.FAILED, outcome="It \0broke.", traceback="line\0 1")
    log.run_ended(failed)
    log.fired([fired(schedule)])
    log.flush()
    log.fired([fired(schedule)])
    log.flush()
    row = DjangoJobExecution.objects.get()
    assert (row.status, row.exception, row.traceback) == ("Error!", "failed: It broke.", "line 1")
    assert row.finished is not None
    assert row.duration is not None
    # Another attempt at the same due time ends.
    log.run_ended(ended(schedule))
    log.flush()
    row.refresh_from_db()
    assert (row.status, row.exception, row.traceback) == ("Executed", None, None)


def test_what_has_no_job_in_the_store_has_no_row(schedule: Schedule) -> None:
    log = ExecutionLog()
    log.run_ended(ended(None))
    log.fired([FiredRun(1, schedule.pk + 1, DUE, RunStatus.RUNNING)])
    log.flush()
    assert not DjangoJobExecution.objects.exists()


def test_a_thousand_rows_take_one_statement(schedule: Schedule) -> None:
    log = ExecutionLog()
    log.fired([fired(schedule, due=DUE + timedelta(seconds=number)) for number in range(1_000)])
    with CaptureQueriesContext(connection) as queries:
        log.flush()
    assert len(queries) == 1
    assert DjangoJobExecution.objects.count() == 1_000


def test_rows_wait_for_a_database_that_is_away(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_rows: object) -> None:
        raise OperationalError("gone")

    log = ExecutionLog()
    log.fired([fired(schedule)])
    with monkeypatch.context() as patch:
        patch.setattr(executions, "write_executions", away)
        patch.setattr(executions, "connection", connection.copy())
        log.flush()
    assert not DjangoJobExecution.objects.exists()
    log.flush()
    assert DjangoJobExecution.objects.exists()


@pytest.mark.anydb
def test_rows_wait_while_runs_are_to_begin_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers() -> Iterator[bool]:
        yield from (True, True)
        log._ended.set()
        while True:
            yield True

    asked = answers()
    written: list[int] = []
    log = ExecutionLog(lambda: next(asked))
    monkeypatch.setattr(executions, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(executions, "CROWDED_SECONDS", float("inf"))
    monkeypatch.setattr(log, "flush", lambda: written.append(1))
    log.run()
    assert written == [1]


@pytest.mark.anydb
def test_rows_that_waited_long_enough_are_written_though_runs_still_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(float(second) for second in range(100))
    asked: list[bool] = []
    written: list[int] = []

    def flush() -> None:
        written.append(len(asked))
        log._ended.set()

    log = ExecutionLog(lambda: asked.append(True) or True)
    monkeypatch.setattr(executions.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(executions, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(executions, "CROWDED_SECONDS", 3.0)
    monkeypatch.setattr(log, "flush", flush)
    log.run()
    # A second passes with each look: after three of them it waits no longer. The other is the last, at the end.
    assert written == [3, 3]
