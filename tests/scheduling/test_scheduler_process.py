"""A real `runapscheduler` process, on the test database: from an edit to the end of a run, and through its deaths."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django_apscheduler.models import DjangoJobExecution

from scheduling.models import Cause, InstanceState, Run, RunStatus, Schedule, SchedulerInstance
from tests import factories
from tests.scheduling.conftest import SchedulerProcess, lives, wait_until

Start = Callable[..., SchedulerProcess]


def ended(schedule: Schedule) -> list[Run]:
    return list(Run.objects.executed().filter(schedule=schedule).order_by("id"))


def first_ended(schedule: Schedule) -> Run:
    wait_until(lambda: ended(schedule), what=f"a run of {schedule}")
    return ended(schedule)[0]


@pytest.mark.anydb
@pytest.mark.parametrize("grace", ["-1", "nan", "inf"])
def test_a_grace_that_is_no_time_is_refused_in_a_line(grace: str) -> None:
    with pytest.raises(CommandError, match=f"--grace must be 0 or more seconds, got: {grace}"):
        call_command("runapscheduler", f"--grace={grace}")


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_new_schedule_fires_without_a_restart(start_scheduler: Start, executor: str) -> None:
    start_scheduler()
    schedule = factories.schedule(interval_seconds=1, job="echo", parameters={"text": "hello"}, executor=executor)
    run = first_ended(schedule)
    assert (run.status, run.outcome, run.cause) == (RunStatus.SUCCEEDED, "hello", Cause.SCHEDULE)
    assert [line.message for line in run.log_lines.all()] == ["hello"]
    assert run.scheduled_for in schedule.next_fires(5, after=schedule.created_at)


def test_an_edit_acts_at_once_and_a_deleted_schedule_stops(start_scheduler: Start) -> None:
    start_scheduler()
    schedule = factories.schedule(interval_seconds=86_400)
    schedule.interval_seconds = 1
    schedule.save()
    first_ended(schedule)
    schedule.delete()
    wait_until(lambda: not Run.objects.active().exists())
    count = Run.objects.count()
    probe = factories.schedule(interval_seconds=1)
    wait_until(lambda: len(ended(probe)) >= 2)
    assert Run.objects.exclude(schedule=probe).count() == count
    assert Run.objects.filter(schedule=None, schedule_name=schedule.name).exists()


def test_a_bulk_update_and_plain_sql_reach_the_scheduler(start_scheduler: Start) -> None:
    start_scheduler()
    schedule = factories.schedule(interval_seconds=1)
    first_ended(schedule)
    Schedule.objects.filter(pk=schedule.pk).update(enabled=False)
    stopped_at = datetime.now(UTC)
    fields = [field.column for field in Schedule._meta.concrete_fields if field.column not in ("id", "name", "enabled")]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO scheduling_schedule (name, enabled, {', '.join(fields)})"
            f" SELECT 'by sql', %s, {', '.join(fields)} FROM scheduling_schedule WHERE id = %s",
            [True, schedule.pk],
        )
    other = Schedule.objects.get(name="by sql")
    wait_until(lambda: len(ended(other)) >= 2)
    late = Run.objects.filter(schedule=schedule, scheduled_for__gt=stopped_at + timedelta(seconds=1))
    assert not late.exists()


def test_a_run_by_hand_starts_at_once_and_a_crash_harms_nothing_else(start_scheduler: Start) -> None:
    start_scheduler()
    crash, _ = Run.objects.start(job="crash", parameters={}, cause=Cause.MANUAL)
    wrong, _ = Run.objects.start(job="raise", parameters={}, cause=Cause.API)
    refused, _ = Run.objects.start(job="refuse", parameters={}, cause=Cause.API, executor="threads")
    half, _ = Run.objects.start(job="half", parameters={}, cause=Cause.MANUAL)
    wait_until(lambda: not Run.objects.active().exists(), what="all runs ended")
    for run in (crash, wrong, refused, half):
        run.refresh_from_db()
    assert (crash.status, crash.outcome) == (
        RunStatus.FAILED,
        "The child process was killed by signal 11 (SIGSEGV).",
    )
    assert (wrong.status, wrong.outcome) == (RunStatus.FAILED, "LookupError: no such thing")
    assert "raise_error" in wrong.traceback
    assert (refused.status, refused.outcome, refused.traceback) == (RunStatus.FAILED, "The coffee is out.", "")
    assert (half.status, half.summary) == (RunStatus.PARTIAL, {"failed": 1})


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_cancelled_run_stops_and_keeps_its_log(start_scheduler: Start, executor: str) -> None:
    start_scheduler()
    run, _ = Run.objects.start(job="sleep", parameters={"seconds": 60}, cause=Cause.MANUAL, executor=executor)
    wait_until(run.log_lines.exists, what="the first log line")
    assert run.cancel()
    wait_until(lambda: not Run.objects.active().exists(), what="the end of the run")
    run.refresh_from_db()
    assert (run.status, run.outcome) == (RunStatus.CANCELLED, "Cancelled while it ran.")
    assert run.log_lines.get().message == "going to sleep"


@pytest.mark.anydb
def test_a_child_that_ignores_sigterm_is_dead_within_ten_seconds_and_its_own_children_too(
    start_scheduler: Start,
) -> None:
    start_scheduler()
    run, _ = Run.objects.start(job="stubborn", parameters={}, cause=Cause.MANUAL)
    wait_until(run.log_lines.exists, what="the first log line")
    run.refresh_from_db()
    grandchildren = [psutil.Process(int(pid)) for pid in run.log_lines.get().message.split()[1:]]
    child = psutil.Process(run.pid)
    asked = time.monotonic()
    run.cancel()
    wait_until(lambda: not lives(child), what="the child's end")
    assert time.monotonic() - asked < 10
    wait_until(lambda: not any(map(lives, grandchildren)), 10, "the end of its children")
    wait_until(lambda: not Run.objects.active().exists())
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED


def test_the_processes_that_a_run_starts_have_everything_imported_and_end_with_it(start_scheduler: Start) -> None:
    scheduler = start_scheduler()
    run, _ = Run.objects.start(job="nest", parameters={}, cause=Cause.MANUAL)
    wait_until(lambda: Run.objects.executed().filter(pk=run.pk).exists(), what="the end of the run")
    run.refresh_from_db()
    assert run.outcome == "Imported."
    scheduler.kill()
    wait_until(lambda: not scheduler.survivors(), 10, "the end of all processes")


def test_after_kill_9_no_child_is_left_and_the_next_scheduler_finds_the_run_lost(start_scheduler: Start) -> None:
    first = start_scheduler()
    schedule = factories.schedule(interval_seconds=1, job="sleep", parameters={"seconds": 600})
    wait_until(lambda: Run.objects.running().filter(pid__isnull=False).exists(), what="a running run")
    lost = Run.objects.running().get()
    first.kill()
    wait_until(lambda: not first.survivors(), 10, "the end of all children")
    second = start_scheduler()
    wait_until(lambda: Run.objects.filter(pk=lost.pk, status=RunStatus.LOST).exists(), what="the run is lost")
    wait_until(lambda: Run.objects.running().filter(parent=lost, pid__isnull=False).exists(), what="it runs again")
    again = Run.objects.get(parent=lost)
    assert (again.cause, again.scheduled_for, again.attempt) == (Cause.RECOVERY, lost.scheduled_for, 2)
    fires = list(Run.objects.filter(schedule=schedule).values_list("scheduled_for", "attempt"))
    assert len(fires) == len(set(fires))
    wait_until(lambda: DjangoJobExecution.objects.filter(run_time=lost.scheduled_for, status="Error!").exists())
    assert second.process.poll() is None


def test_a_second_scheduler_stands_by_and_takes_over(start_scheduler: Start) -> None:
    first = start_scheduler()
    second = start_scheduler(leading=False)
    second.wait_for("Standing by")
    schedule = factories.schedule(interval_seconds=1)
    first_ended(schedule)
    assert SchedulerInstance.objects.filter(state=InstanceState.STANDBY, pid=second.process.pid).exists()
    first.kill()
    second.wait_for("Leading since", 10)
    count = len(ended(schedule))
    wait_until(lambda: len(ended(schedule)) > count)
    assert SchedulerInstance.objects.active().get().pid == second.process.pid


@pytest.mark.anydb
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_runs_end(start_scheduler: Start, number: int) -> None:
    scheduler = start_scheduler("--grace", "20")
    run, _ = Run.objects.start(job="sleep", parameters={"seconds": 1.5}, cause=Cause.MANUAL)
    wait_until(run.log_lines.exists)
    assert scheduler.terminate(number) == 0
    run.refresh_from_db()
    assert (run.status, run.outcome) == (RunStatus.SUCCEEDED, "Slept well.")
    assert SchedulerInstance.objects.get().state == InstanceState.STOPPED
    wait_until(lambda: not scheduler.survivors(), 60, "the end of all children")


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_a_stop_hands_back_what_does_not_end_in_time(start_scheduler: Start, executor: str) -> None:
    scheduler = start_scheduler("--grace", "0.2")
    run, _ = Run.objects.start(job="sleep", parameters={"seconds": 600}, cause=Cause.MANUAL, executor=executor)
    wait_until(run.log_lines.exists)
    assert scheduler.terminate() == 0
    run.refresh_from_db()
    assert (run.status, run.claim_token, run.finished_at) == (RunStatus.QUEUED, "", None)
    assert "Handed back" in run.wait_reason
    wait_until(lambda: not scheduler.survivors(), 60, "the end of all children")
    start_scheduler()
    wait_until(lambda: Run.objects.running().filter(pk=run.pk).exists(), what="the run starts again")


def test_runs_beyond_the_limit_wait_and_say_for_what(start_scheduler: Start) -> None:
    start_scheduler(NEWSS_EXECUTOR_THREADS="1")
    first, _ = Run.objects.start(job="sleep", parameters={"seconds": 600}, cause=Cause.MANUAL, executor="threads")
    wait_until(lambda: Run.objects.running().filter(pk=first.pk).exists())
    second, _ = Run.objects.start(job="noop", parameters={}, cause=Cause.MANUAL, executor="threads")
    wait_until(lambda: "free place" in Run.objects.get(pk=second.pk).waits_for())
    first.cancel()
    wait_until(lambda: Run.objects.filter(pk=second.pk, status=RunStatus.SUCCEEDED).exists())


@pytest.mark.anydb
def test_runs_in_threads_begin_while_the_parent_of_child_processes_still_imports(
    start_scheduler: Start, tmp_path: Path
) -> None:
    imported = tmp_path / "imported"
    start_scheduler(NEWSS_TEST_IMPORT_WAITS_FOR=str(imported))
    first, second = (
        Run.objects.start(job="noop", parameters={}, cause=Cause.MANUAL, executor=executor)[0]
        for executor in ("processes", "threads")
    )
    wait_until(lambda: Run.objects.succeeded().filter(pk=second.pk).exists(), what="the run in a thread")
    first.refresh_from_db()
    assert first.waits_for() == "Waits to be started by the scheduler."
    imported.touch()
    wait_until(lambda: Run.objects.succeeded().filter(pk=first.pk).exists(), what="the run in a child process")


def test_the_execution_rows_of_django_apscheduler_go_on_being_written(start_scheduler: Start) -> None:
    start_scheduler()
    schedule = factories.schedule(interval_seconds=1, executor="threads")
    run = first_ended(schedule)
    wait_until(lambda: DjangoJobExecution.objects.filter(run_time=run.scheduled_for, status="Executed").exists())
    assert DjangoJobExecution.objects.get(run_time=run.scheduled_for).job_id == schedule.job_id


def test_due_times_while_no_scheduler_ran_are_one_missed_row_and_one_run(start_scheduler: Start) -> None:
    first = start_scheduler()
    schedule = factories.schedule(interval_seconds=1, executor="threads")
    first_ended(schedule)
    first.kill()
    before = Run.objects.filter(schedule=schedule).count()
    downtime_began = time.monotonic()
    wait_until(lambda: time.monotonic() - downtime_began > 3.5)
    start_scheduler()
    wait_until(lambda: Run.objects.filter(schedule=schedule, status=RunStatus.MISSED).exists())
    missed = Run.objects.get(schedule=schedule, status=RunStatus.MISSED)
    assert missed.missed_count >= 2
    assert missed.missed_until == missed.scheduled_for + timedelta(seconds=missed.missed_count - 1)
    wait_until(
        lambda: Run.objects.filter(
            schedule=schedule, scheduled_for=missed.missed_until + timedelta(seconds=1), status=RunStatus.SUCCEEDED
        ).exists()
    )
    assert Run.objects.filter(schedule=schedule).count() > before


def test_a_broken_schedule_harms_no_other(start_scheduler: Start) -> None:
    start_scheduler()
    broken = factories.schedule(trigger_kind="crontab", crontab="not a crontab", job="noop")
    gone = factories.schedule(interval_seconds=1, job="a job that is not there")
    good = factories.schedule(interval_seconds=1)
    first_ended(good)
    assert not Run.objects.filter(schedule__in=[broken, gone]).exists()
    assert "crontab" in broken.problem() or "understood" in broken.problem()
    assert "not registered" in gone.problem()


def test_only_one_scheduler_of_two_started_together_leads(start_scheduler: Start) -> None:
    processes = [start_scheduler(leading=False) for _ in range(2)]
    wait_until(lambda: sum("Leading since" in p.output for p in processes) == 1)
    wait_until(lambda: sum("Standing by" in p.output for p in processes) == 1)
    schedule = factories.schedule(interval_seconds=1)
    wait_until(lambda: len(ended(schedule)) >= 2)
    due_times = list(Run.objects.filter(schedule=schedule).values_list("scheduled_for", flat=True))
    assert len(due_times) == len(set(due_times))


@pytest.mark.anydb
def test_a_sigterm_to_the_whole_group_still_lets_runs_end(start_scheduler: Start) -> None:
    scheduler = start_scheduler("--grace", "20")
    run, _ = Run.objects.start(job="sleep", parameters={"seconds": 1.5}, cause=Cause.MANUAL)
    wait_until(run.log_lines.exists)
    scheduler.children()
    os.killpg(scheduler.process.pid, signal.SIGTERM)
    assert scheduler.process.wait(30) == 0
    run.refresh_from_db()
    assert (run.status, run.outcome) == (RunStatus.SUCCEEDED, "Slept well.")
    wait_until(lambda: not scheduler.survivors(), 60, "the end of all children")


def test_a_database_that_goes_away_and_comes_back_is_survived(start_scheduler: Start, on_postgresql: bool) -> None:
    scheduler = start_scheduler(NEWSS_SQLITE_BUSY_SECONDS="0.2")
    schedule = factories.schedule(interval_seconds=1)
    first_ended(schedule)
    long_run, _ = Run.objects.start(job="sleep", parameters={"seconds": 3}, cause=Cause.MANUAL)
    wait_until(lambda: Run.objects.running().filter(pk=long_run.pk, pid__isnull=False).exists())
    if on_postgresql:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchone()[0] >= 2
    else:
        with transaction.atomic():
            # IMMEDIATE: nobody else can write, and the scheduler's patience of 0.2 s ends.
            wait_until(lambda: "trying again" in scheduler.output, what="a complaint about the database")
    came_back = datetime.now(UTC)
    wait_until(
        lambda: Run.objects.executed().filter(schedule=schedule, scheduled_for__gt=came_back).exists(),
        what="a fire after the database came back",
    )
    wait_until(lambda: not Run.objects.active().filter(pk=long_run.pk).exists())
    long_run.refresh_from_db()
    assert (long_run.status, long_run.outcome) == (RunStatus.SUCCEEDED, "Slept well.")
    due_times = list(Run.objects.filter(schedule=schedule).values_list("scheduled_for", flat=True))
    assert len(due_times) == len(set(due_times))
    assert scheduler.process.poll() is None
    assert "Traceback" not in scheduler.output
