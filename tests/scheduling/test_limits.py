"""What a run may take: time (it is asked to stop, then killed) and memory; and what is kept of one that was stopped."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psutil
import pytest
from django.core.exceptions import ValidationError

from scheduling import limits
from scheduling.jobs import JobResult, RunContext
from scheduling.jobs.context import StopReason
from scheduling.jobs.execution import _call
from scheduling.jobs.registry import Job, registry
from scheduling.models import Run, RunStatus, Schedule
from tests import factories
from tests.scheduling.conftest import SchedulerProcess, lives, wait_until

Start = Callable[..., SchedulerProcess]


def start(job: str, parameters: dict[str, Any] | None = None, executor: str = "processes", **limit: int) -> Run:
    """Queue a run with limits."""
    return factories.run(job=job, parameters=parameters or {}, executor=executor, **limit)


@pytest.mark.anydb
def test_limits_of_time_and_memory_end_a_run_and_say_so(start_scheduler: Start) -> None:
    start_scheduler(NEWSS_EXECUTOR_PROCESSES="8")
    soft = {
        executor: start("sleep", {"seconds": 600}, executor, time_limit_seconds=1)
        for executor in ("processes", "threads")
    }
    hard = start("stubborn", time_limit_seconds=2, kill_after_seconds=1)
    greedy = start("eat", {"megabytes": 2_000, "at_once": False}, memory_limit_mb=60)
    sudden = start("eat", {"megabytes": 6_000, "at_once": True}, memory_limit_mb=60)
    modest = start("eat", {"megabytes": 20, "at_once": False}, memory_limit_mb=60)
    wait_until(hard.log_lines.exists, what="the first log line of the stubborn run")
    grandchildren = [psutil.Process(int(pid)) for pid in hard.log_lines.get().message.split()[1:]]
    wait_until(lambda: not Run.objects.active().exists(), 60, "the end of all runs")
    for run in (*soft.values(), hard, greedy, sudden, modest):
        run.refresh_from_db()
    for run in soft.values():
        assert (run.status, run.outcome) == (RunStatus.TIMED_OUT, "Exceeded its time limit of 1 s.")
        assert run.log_lines.get().message == "going to sleep"
    assert (hard.status, hard.outcome) == (
        RunStatus.TIMED_OUT,
        "Exceeded its time limit of 2 s, did not stop within 1 s after that, and was killed.",
    )
    assert hard.duration is not None
    assert hard.duration >= timedelta(seconds=2.95)
    wait_until(lambda: not any(map(lives, grandchildren)), 5, "the end of the killed run's children")
    for run in (greedy, sudden):
        assert (run.status, run.outcome) == (RunStatus.FAILED, "It exceeded its memory limit of 60 MB.")
        assert run.log_lines.get().message == "begins to eat"
    assert (modest.status, modest.outcome) == (RunStatus.SUCCEEDED, "Held 20 MB.")


@pytest.mark.anydb
def test_a_run_that_exits_or_is_stopped_before_its_job_begins_harms_nothing(start_scheduler: Start) -> None:
    start_scheduler()
    left = [start("exit", executor=executor) for executor in ("threads", "processes")]
    wait_until(lambda: not Run.objects.active().exists(), what="the end of all runs")
    for run in left:
        run.refresh_from_db()
        assert (run.status, run.outcome) == (RunStatus.FAILED, "SystemExit: 3")
    # A child asked to stop at any instant after its start still ends as cancelled, not killed after some seconds.
    for _ in range(3):
        run = start("sleep", {"seconds": 600})
        wait_until(lambda run=run: Run.objects.running().filter(pk=run.pk).exists())
        asked = time.monotonic()
        run.cancel()
        wait_until(lambda: not Run.objects.active().exists(), what="the end of the cancelled run")
        run.refresh_from_db()
        assert (run.status, run.outcome) == (RunStatus.CANCELLED, "Cancelled while it ran.")
        assert time.monotonic() - asked < 7


def context_of(**values: Any) -> tuple[Run, RunContext]:
    run = Run(pk=1, executor="threads", **{"job": "noop", **values})
    return run, RunContext(run)


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (StopReason.CANCELLED, RunStatus.CANCELLED),
        (StopReason.NOT_HELD, RunStatus.CANCELLED),
        (StopReason.TIME_LIMIT, RunStatus.TIMED_OUT),
        (None, RunStatus.FAILED),
    ],
)
def test_a_job_that_raises_because_it_was_stopped_ends_as_stopped_and_keeps_its_traceback(
    reason: StopReason | None, expected: RunStatus
) -> None:
    run, context = context_of(job="raise", time_limit_seconds=5)
    if reason is not None:
        context.request_cancel(reason)
        context.request_cancel(StopReason.CANCELLED)
    outcome = _call(run, context)
    assert outcome.status == expected
    assert "no such thing" in outcome.traceback


@pytest.mark.anydb
def test_a_run_out_of_memory_says_so_if_it_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_context: RunContext) -> JobResult:
        raise MemoryError

    monkeypatch.setitem(registry._jobs, "explode", Job("explode", "Explode", explode))
    assert _call(*context_of(job="explode", memory_limit_mb=9)).sentence == "It exceeded its memory limit of 9 MB."
    assert _call(*context_of(job="explode")).sentence == "MemoryError: "


@pytest.mark.django_db(transaction=True)
def test_what_was_logged_is_written_at_once_when_a_run_is_asked_to_stop() -> None:
    run = factories.running()
    context = RunContext(run)
    context.open()
    context.log("the last words")
    context.request_cancel()
    wait_until(run.log_lines.exists, what="the line")
    context.close()


@pytest.mark.django_db(transaction=True)
def test_a_run_whose_claim_is_gone_is_asked_to_stop() -> None:
    run = factories.running()
    context = RunContext(run)
    context.open()
    Run.objects.filter(pk=run.pk).update(claim_token="another")
    context.log("too late")
    wait_until(lambda: context.cancelled, what="the request to stop")
    assert context.stop_reason is StopReason.NOT_HELD
    context.close()
    assert not run.log_lines.exists()


@pytest.mark.anydb
def test_the_memory_of_a_process_counts_its_children_too() -> None:
    program = "import subprocess, sys, time; x = b'x' * (40 << 20); print('ready', flush=True); time.sleep(60)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}], start_new_session=True)"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        family = limits.family(process.pid)
        assert len(family) == 2
        assert limits.memory_of(process.pid) > 40 * limits.MEGABYTE
        for member in family:
            member.kill()
    assert limits.memory_of(process.pid) == 0
    assert limits.family(process.pid) == []


@pytest.mark.django_db
def test_a_memory_limit_is_refused_for_threads_at_its_field() -> None:
    schedule = Schedule(name="x", job="noop", interval_seconds=60, executor="threads", memory_limit_mb=50)
    with pytest.raises(ValidationError) as caught:
        schedule.full_clean()
    assert list(caught.value.message_dict) == ["memory_limit_mb"]
    schedule.executor = "processes"
    schedule.full_clean()
