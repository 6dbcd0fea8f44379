"""A job may report anything: what the database would refuse is made storable, and keeps no other run from its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError
from django.utils import timezone

from scheduling import ends
from scheduling.ends import finish_many
from scheduling.executors import ThreadExecutor, threads
from scheduling.jobs import JobError, JobResult, RunContext
from scheduling.jobs.execution import execute_scheduled_scraping
from scheduling.jobs.registry import Job, registry
from scheduling.models import Run, RunLog, RunStatus
from scheduling.storable import storable_json, storable_progress
from tests import factories
from tests.scheduling.conftest import wait_until

UNTOLD = "a\0b\ud800"
TOLD = "a\ufffdb?"


@pytest.fixture
def execute() -> Iterator[Callable[[Callable[..., Any]], Run]]:
    """Return a function that executes a run of a job made of a function, and returns the run as it stands."""

    def begin(function: Callable[..., Any]) -> Run:
        registry.add(Job("reporter", "Reporter", function))
        run = factories.running(job="reporter")
        execute_scheduled_scraping(None, run.pk, "token")
        run.refresh_from_db()
        return run

    yield begin
    registry.remove("reporter")


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (math.nan, None),
        (-math.inf, None),
        (0.5, 0.5),
        (True, True),
        (10**30, 10**30),
        (Decimal("1.5"), "1.5"),
        ((1, {2}), [1, [2]]),
        ({1: UNTOLD, UNTOLD: [math.inf]}, {"1": TOLD, TOLD: [None]}),
    ],
)
def test_what_json_or_a_database_lacks_is_replaced(given: Any, stored: Any) -> None:
    assert storable_json(given) == stored


@pytest.mark.anydb
def test_numbers_are_brought_into_their_range() -> None:
    assert [storable_progress(number) for number in (-1, 2.9, 10**30)] == [0, 2, 2**31 - 1]
    assert [RunLog.Level.of(level) for level in (5, 25, 30, logging.CRITICAL)] == [10, 20, 30, 40]


@pytest.mark.django_db(transaction=True)
def test_a_run_ends_as_its_job_says_whatever_that_holds(execute: Callable[[Callable[..., Any]], Run]) -> None:
    run = execute(lambda _context: JobResult(UNTOLD, summary={"mean": math.nan, "title": UNTOLD, "of": Decimal(3)}))
    assert (run.status, run.outcome) == (RunStatus.SUCCEEDED, TOLD)
    assert run.summary == {"mean": None, "title": TOLD, "of": "3"}


class Mute(Exception):
    """An error that cannot tell what it is."""

    def __str__(self) -> str:
        raise ValueError


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("error", "outcome"),
    [(JobError("a\0b"), "a\ufffdb"), (LookupError("a\0b"), "LookupError: a\ufffdb"), (Mute(), "Mute: ?")],
)
def test_a_failure_is_told_whatever_its_message_holds(
    execute: Callable[[Callable[..., Any]], Run], error: Exception, outcome: str
) -> None:
    def fail(_context: RunContext) -> None:
        raise error

    run = execute(fail)
    assert (run.status, run.outcome) == (RunStatus.FAILED, outcome)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("returned", ["done", 0, JobResult(summary=[1])])  # type: ignore[arg-type]
def test_a_job_that_returns_no_result_fails_in_words(
    execute: Callable[[Callable[..., Any]], Run], returned: Any
) -> None:
    run = execute(lambda _context: returned)
    assert run.status == RunStatus.FAILED
    assert run.outcome.startswith("TypeError: a job returns a JobResult")


@pytest.mark.django_db(transaction=True)
def test_log_and_progress_are_written_whatever_they_hold(execute: Callable[[Callable[..., Any]], Run]) -> None:
    def report(context: RunContext) -> None:
        context.log(UNTOLD, logging.CRITICAL)
        context.progress(10**12, 10**40, UNTOLD)
        context.count(mean=math.nan)  # type: ignore[arg-type]

    run = execute(report)
    line = run.log_lines.get()
    assert (line.message, line.get_level_display()) == (TOLD, "error")
    assert (run.status, run.summary) == (RunStatus.SUCCEEDED, {"mean": None})
    assert run.progress_percent == 100


@pytest.mark.django_db(transaction=True)
def test_an_end_that_cannot_be_written_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [factories.running(started_at=timezone.now()) for _ in range(5)]
    refused = rows[2]

    def finish(batch: list[ends.Finished]) -> list[Run]:
        if any(one.run.pk == refused.pk for one in batch):
            raise DataError("no such value")
        return finish_many(batch)

    monkeypatch.setattr(threads, "finish_many", finish)
    told: dict[int, Run | None] = {}
    pool = ThreadExecutor(2, lambda run_id, run: told.update({run_id: run}))
    pool.start()
    try:
        for run in rows:
            pool.submit(run)
        wait_until(lambda: not pool.running() and len(told) == 5)
    finally:
        pool.stop()
    assert [run.pk for run in Run.objects.order_by("pk") if run.status == RunStatus.RUNNING] == [refused.pk]
    assert told[refused.pk] is None
