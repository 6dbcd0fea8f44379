"""Short runs by the thousand: claimed ahead while they are quick, never more at once than allowed, ended together."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scheduling import runs
from scheduling.ends import Finished, Outcome, finish_many
from scheduling.executors import ThreadExecutor, threads
from scheduling.jobs import JobResult, RunContext
from scheduling.jobs.registry import Job, registry
from scheduling.models import FollowUp, Run, RunStatus, ScheduleState
from tests import factories
from tests.scheduling.conftest import wait_until

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.fixture
def executor() -> Iterator[Callable[[int], ThreadExecutor]]:
    """Return a function that starts a pool of so many threads."""
    started: list[ThreadExecutor] = []

    def start(limit: int) -> ThreadExecutor:
        pool = ThreadExecutor(limit, lambda run_id, run: None)
        pool.start()
        started.append(pool)
        return pool

    yield start
    for pool in started:
        pool.stop()


def claimed(count: int, **values: object) -> list[Run]:
    """Return runs that this process has just claimed."""
    return [factories.running(**{"started_at": timezone.now(), **values}) for _ in range(count)]


@pytest.mark.django_db(transaction=True)
def test_runs_are_claimed_ahead_after_quick_ones_only(executor: Callable[[int], ThreadExecutor]) -> None:
    pool = executor(2)
    assert pool.room() == 2
    for run in claimed(2):
        pool.submit(run)
    wait_until(lambda: not pool.running())
    assert pool.room() > 2
    # What has been running for long tells that those that wait would wait for long.
    for run in claimed(2, job="sleep", parameters={"seconds": 600}):
        pool.submit(run)
    wait_until(lambda: pool.free() == 0)
    wait_until(lambda: pool.room() == 0, what="no more room")
    # As the dispatcher does, ask until they have ended: one that has not begun yet cannot hear it.
    wait_until(lambda: [pool.cancel(run.pk) for run in pool.running()] == [])
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded", "cancelled"}


@pytest.mark.django_db(transaction=True)
def test_no_more_run_at_once_than_allowed_and_who_waits_too_long_goes_back(
    executor: Callable[[int], ThreadExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_gate, lock, at_once, most = threading.Event(), threading.Lock(), 0, 0

    def gated(_context: RunContext) -> JobResult:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        open_gate.wait(60)
        with lock:
            at_once -= 1
        return JobResult("Done.")

    monkeypatch.setitem(registry._jobs, "gated", Job("gated", "Gated", gated))
    pool = executor(3)
    rows = claimed(10, job="gated")
    for run in rows:
        pool.submit(run)
    wait_until(lambda: at_once == 3)
    assert pool.free() == 0
    monkeypatch.setattr(threads, "LONGEST_AHEAD_SECONDS", 0.0)
    back = pool.take_back()
    assert len(back) == 7
    # Until they stand in the queue again they are in this executor's hands, and it says so.
    assert {run.pk for run in pool.running()} == {run.pk for run in rows}
    assert pool.take_back() == back
    runs.hand_back_all(back, runs.no_place("threads", 3))
    pool.given_back(back)
    assert pool.take_back() == []
    assert Run.objects.queued().filter(claim_token="", started_at=None, wait_reason__contains="all 3").count() == 7
    open_gate.set()
    wait_until(lambda: not pool.running())
    assert most == 3
    assert Run.objects.filter(status=RunStatus.SUCCEEDED).count() == 3
    assert Run.objects.queued().count() == 7


@pytest.mark.django_db(transaction=True)
def test_a_run_claimed_long_ago_is_looked_at_before_it_begins(executor: Callable[[int], ThreadExecutor]) -> None:
    kept, taken = claimed(2, started_at=timezone.now() - timedelta(minutes=1))
    Run.objects.filter(pk=taken.pk).update(claim_token="another")
    pool = executor(1)
    for run in (taken, kept):
        pool.submit(run)
    wait_until(lambda: not pool.running())
    kept.refresh_from_db()
    taken.refresh_from_db()
    assert (kept.status, taken.status) == (RunStatus.SUCCEEDED, RunStatus.RUNNING)
    assert timezone.now() - kept.started_at < timedelta(seconds=50)


@pytest.mark.django_db(transaction=True)
def test_runs_that_were_just_seen_as_held_are_not_looked_at_one_by_one(
    executor: Callable[[int], ThreadExecutor],
) -> None:
    long_ago = timezone.now() - timedelta(minutes=1)
    seen, unseen = claimed(2, started_at=long_ago)
    pool = executor(1)
    pool.confirm({seen.pk}, timezone.now())
    for run in (seen, unseen):
        pool.submit(run)
    wait_until(lambda: not pool.running())
    # The look at a row notes the process in which its run begins.
    assert dict(Run.objects.values_list("pk", "pid")) == {seen.pk: None, unseen.pk: os.getpid()}
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}


@pytest.mark.django_db(transaction=True)
def test_a_job_that_was_short_and_now_blocks_leaves_the_other_threads_to_others(
    executor: Callable[[int], ThreadExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_gate = threading.Event()

    def gated(_context: RunContext) -> JobResult:
        open_gate.wait(60)
        return JobResult("Done.")

    monkeypatch.setitem(registry._jobs, "gated", Job("gated", "Gated", gated))
    pool = executor(3)
    pool._pace.update(gated=threads.SHORT_SECONDS / 2, noop=threads.SHORT_SECONDS / 2)
    blocked, short = claimed(2, job="gated"), claimed(4)
    for run in (*blocked, *short):
        pool.submit(run)
    wait_until(lambda: {run.pk for run in pool.running()} == {run.pk for run in blocked})
    open_gate.set()
    wait_until(lambda: not pool.running())
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_the_turn_of_a_job_that_was_short_and_has_become_slow(
    executor: Callable[[int], ThreadExecutor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "TURN_SECONDS", 600.0)
    monkeypatch.setattr(threads, "QUICK_SECONDS", 0.0)
    open_gate = threading.Event()

    def gated(_context: RunContext) -> JobResult:
        open_gate.wait(60)
        return JobResult("Done.")

    monkeypatch.setitem(registry._jobs, "gated", Job("gated", "Gated", gated))
    pool = executor(2)
    pool._pace.update(gated=threads.SHORT_SECONDS / 2, noop=threads.SHORT_SECONDS / 2)
    (blocked,), short = claimed(1, job="gated"), claimed(4)
    assert pool._turn.acquire()
    for run in (blocked, *short):
        pool.submit(run)
    try:
        wait_until(lambda: [run.pk for run in pool.running()] == [blocked.pk])
    finally:
        open_gate.set()
        pool._turn.release()
    wait_until(lambda: not pool.running())


def finished(run: Run, status: RunStatus = RunStatus.SUCCEEDED, seconds: int = 1) -> Finished:
    return Finished(run, Outcome(status, "So.", summary={"n": 1}), NOW, NOW + timedelta(seconds=seconds))


@pytest.mark.django_db
def test_ends_are_written_together_each_with_its_own_times() -> None:
    def statements(count: int) -> int:
        rows = [factories.running(schedule=factories.schedule()) for _ in range(count)]
        with CaptureQueriesContext(connection) as queries:
            ended = finish_many([finished(run, seconds=number) for number, run in enumerate(rows)])
        assert [run.pk for run in ended] == [run.pk for run in rows]
        for number, run in enumerate(rows):
            run.refresh_from_db()
            assert (run.status, run.outcome, run.summary, run.claim_token) == ("succeeded", "So.", {"n": 1}, "")
            assert (run.started_at, run.finished_at) == (NOW, NOW + timedelta(seconds=number))
        return len(queries)

    assert statements(40) == statements(5)


@pytest.mark.django_db
def test_ends_written_together_have_their_consequences_and_refuse_old_claims() -> None:
    before, after, failing, retried = (factories.schedule(max_retries=1) for _ in range(4))
    FollowUp.objects.create(predecessor=before, successor=after)
    ScheduleState.objects.create(schedule=failing, failures_in_row=2)
    rows = [factories.running(schedule=schedule) for schedule in (before, failing, retried, None, None)]
    Run.objects.filter(pk=rows[4].pk).update(claim_token="another")
    ended = finish_many(
        [finished(run, RunStatus.FAILED if run.schedule == retried else RunStatus.SUCCEEDED) for run in rows]
    )
    assert {run.pk for run in ended} == {run.pk for run in rows[:4]}
    assert after.runs.get().parent == rows[0]
    assert ScheduleState.objects.get(schedule=failing).failures_in_row == 0
    assert Run.objects.get(parent=rows[2]).cause == "retry"
    rows[4].refresh_from_db()
    assert rows[4].status == RunStatus.RUNNING
    assert Run.objects.get(pk=rows[0].pk).started_at == NOW
