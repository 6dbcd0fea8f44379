"""What housekeeping removes, and what it never does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_apscheduler.models import DjangoJob, DjangoJobExecution

from scheduling import checks, housekeeping, leader, retention
from scheduling.models import Cause, InstanceState, Run, RunLog, RunStatus, Schedule, SchedulerInstance
from tests import factories

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEEP_ALL = {
    f"NEWSS_KEEP_{name}": 0
    for name in ("RUNS_DAYS", "RUNS_PER_SCHEDULE", "LOG_DAYS", "LOG_LINES", "EXECUTIONS_DAYS", "EXECUTIONS_PER_JOB",
                 "INSTANCES_DAYS", "INSTANCES")
}  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _keep_all(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test switches on what it is about."""
    for name, value in KEEP_ALL.items():
        setattr(settings, name, value)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)


def ended(schedule: Schedule | None, days_ago: float, **values: Any) -> Run:
    """Return a run that was due and ended so many days ago."""
    due = NOW - timedelta(days=days_ago)
    defaults = {"status": RunStatus.SUCCEEDED, "started_at": due, "finished_at": due, "queued_at": due}
    if schedule is not None:
        defaults |= {"cause": Cause.SCHEDULE, "scheduled_for": due, "schedule": schedule}
    return factories.run(**{**defaults, **values})


def test_runs_go_by_age_with_all_that_hangs_on_them(settings: Any) -> None:
    schedule = factories.schedule()
    old, new = ended(schedule, 91), ended(schedule, 89)
    RunLog.objects.bulk_create(RunLog.lines(old.pk, [(NOW, 20, "old")]) + RunLog.lines(new.pk, [(NOW, 20, "new")]))
    settings.NEWSS_KEEP_RUNS_DAYS = 90
    assert retention.remove_runs(NOW) == 1
    assert list(Run.objects.all()) == [new]
    assert [line.message for line in RunLog.objects.all()] == ["new"]


def test_of_each_schedule_the_newest_runs_are_kept_by_number(settings: Any) -> None:
    one, other = factories.schedule(), factories.schedule()
    of_one = [ended(one, days) for days in range(10)]
    of_other = [ended(other, days) for days in range(3)]
    by_hand = [ended(None, days) for days in range(6)]
    settings.NEWSS_KEEP_RUNS_PER_SCHEDULE = 4
    assert retention.remove_runs(NOW) == 6 + 0 + 2
    kept = {*of_one[:4], *of_other, *by_hand[:4]}
    assert set(Run.objects.all()) == kept


def test_active_runs_and_those_they_were_caused_by_are_never_removed(settings: Any) -> None:
    schedule = factories.schedule()
    failed = ended(schedule, 400, status=RunStatus.FAILED)
    waiting = factories.run(
        schedule=schedule, cause=Cause.RETRY, parent=failed, attempt=2, scheduled_for=failed.scheduled_for,
        queued_at=failed.queued_at,
    )  # fmt: skip
    running = factories.run(
        status=RunStatus.RUNNING, claim_token="t", started_at=failed.queued_at, queued_at=failed.queued_at
    )
    ended(schedule, 1)
    settings.NEWSS_KEEP_RUNS_DAYS, settings.NEWSS_KEEP_RUNS_PER_SCHEDULE = 1, 1
    retention.remove_runs(NOW)
    assert set(Run.objects.filter(queued_at__lt=NOW - timedelta(days=2))) == {failed, waiting, running}


def test_the_newest_run_the_newest_success_and_the_latest_due_time_of_a_schedule_stay(settings: Any) -> None:
    schedule = factories.schedule()
    first = ended(schedule, 300)
    success = ended(schedule, 200)
    latest_due = ended(schedule, 100, status=RunStatus.SKIPPED, started_at=None)
    executed = ended(schedule, 95, status=RunStatus.FAILED, cause=Cause.MANUAL, scheduled_for=None)
    newest = ended(schedule, 94, status=RunStatus.CANCELLED, started_at=None, cause=Cause.MANUAL, scheduled_for=None)
    settings.NEWSS_KEEP_RUNS_DAYS, settings.NEWSS_KEEP_RUNS_PER_SCHEDULE = 90, 1
    assert retention.remove_runs(NOW) == 1
    assert set(Run.objects.all()) == {success, latest_due, executed, newest}
    assert first not in Run.objects.all()


def test_runs_of_a_deleted_schedule_and_by_hand_go_by_age_alone(settings: Any) -> None:
    schedule = factories.schedule()
    ended(schedule, 100)
    ended(None, 100)
    schedule.delete()
    settings.NEWSS_KEEP_RUNS_DAYS = 90
    assert retention.remove_runs(NOW) == 2


def test_a_due_time_whose_run_was_removed_does_not_fire_again(settings: Any) -> None:
    from unittest.mock import Mock

    from scheduling import leader
    from scheduling.store import ScheduleJobStore
    from scheduling.sync import Sync

    me = SchedulerInstance.objects.create(host="here", pid=1, process_started=0.0)
    store = ScheduleJobStore(leader.take_over(me))
    sync = Sync(Mock(timezone=UTC), store)
    start = NOW - timedelta(days=200)
    schedule = factories.schedule(interval_seconds=86_400, start_at=start, created_at=start)
    for days in range(200):
        ended(schedule, days)
    settings.NEWSS_KEEP_RUNS_DAYS = 90
    assert retention.remove_runs(NOW) == 109
    kept = Run.objects.count()
    # The worst case: the job rows are lost too, and made anew from the runs that are left.
    DjangoJob.objects.all().delete()
    sync.everything(NOW)
    assert DjangoJob.objects.get().next_run_time == NOW + timedelta(days=1)
    store.fire(NOW)
    assert Run.objects.count() == kept


def test_log_lines_go_by_age_but_not_those_of_an_active_run(settings: Any) -> None:
    old, new = NOW - timedelta(days=40), NOW - timedelta(days=1)
    done, active = ended(None, 1), factories.run()
    for run in (done, active):
        RunLog.objects.bulk_create(RunLog.lines(run.pk, [(old, 20, "old"), (new, 20, "new")]))
    settings.NEWSS_KEEP_LOG_DAYS = 30
    assert retention.remove_log_lines(NOW) == 1
    assert RunLog.objects.filter(run=done).get().message == "new"
    assert RunLog.objects.filter(run=active).count() == 2


def test_the_oldest_log_lines_go_when_there_are_too_many(settings: Any) -> None:
    run = ended(None, 1)
    RunLog.objects.bulk_create(RunLog.lines(run.pk, [(NOW, 20, str(number)) for number in range(50)]))
    settings.NEWSS_KEEP_LOG_LINES = 20
    assert retention.remove_log_lines(NOW) == 30
    assert RunLog.objects.order_by("id").first().message == "30"


def test_execution_rows_go_by_age_and_number_and_other_peoples_stay(settings: Any) -> None:
    for job_id in ("schedule-1", "schedule-2", "my_own_job"):
        job = DjangoJob.objects.create(id=job_id, job_state=b"")
        for hours in range(10):
            DjangoJobExecution.objects.create(job=job, run_time=NOW - timedelta(hours=hours), status="Executed")
    settings.NEWSS_KEEP_EXECUTIONS_DAYS = 0.25
    assert retention.remove_executions(NOW) == 6
    settings.NEWSS_KEEP_EXECUTIONS_PER_JOB = 3
    assert retention.remove_executions(NOW) == 8
    assert DjangoJobExecution.objects.filter(job="my_own_job").count() == 10
    left = DjangoJobExecution.objects.filter(job="schedule-2").order_by("-run_time")
    assert [row.run_time for row in left] == [NOW - timedelta(hours=hours) for hours in range(3)]


def test_ended_processes_go_by_age_and_number_unless_a_run_names_them(settings: Any) -> None:
    def process(days: float) -> SchedulerInstance:
        at = NOW - timedelta(days=days)
        return SchedulerInstance.objects.create(
            host="h", pid=1, process_started=0.0, state=InstanceState.STOPPED, heartbeat_at=at, ended_at=at
        )

    named, alone, recent = process(30), process(29), process(1)
    alive = SchedulerInstance.objects.create(host="h", pid=2, process_started=0.0, state=InstanceState.STANDBY)
    ended(None, 1, instance=named)
    settings.NEWSS_KEEP_INSTANCES_DAYS = 7
    assert retention.remove_instances(NOW) == 1
    assert set(SchedulerInstance.objects.all()) == {named, recent, alive}
    process(0.5)
    settings.NEWSS_KEEP_INSTANCES = 1
    assert retention.remove_instances(NOW) == 1
    assert not SchedulerInstance.objects.filter(pk__in=[alone.pk, recent.pk]).exists()


def test_no_transaction_removes_more_than_a_batch(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = factories.schedule()
    runs = [ended(schedule, 100 + number / 100) for number in range(25)]
    keeper = ended(schedule, 1)
    RunLog.objects.bulk_create(RunLog.lines(runs[0].pk, [(NOW, 20, "x")] * 35))
    monkeypatch.setattr(retention, "BATCH", 10)
    monkeypatch.setattr(retention, "LINES_BATCH", 10)
    settings.NEWSS_KEEP_RUNS_DAYS = 90
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert retention.remove_runs(NOW) == 25
    deletes = [query["sql"] for query in queries if query["sql"].startswith("DELETE")]
    assert sum('FROM "scheduling_run" ' in sql for sql in deletes) == 3
    assert sum('FROM "scheduling_runlog" ' in sql for sql in deletes) >= 4
    assert list(Run.objects.all()) == [keeper]


def test_runs_that_are_kept_do_not_stand_in_the_way_of_later_ones(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [ended(factories.schedule(), 200) for _ in range(5)]
    busy = factories.schedule()
    for _ in range(5):
        ended(busy, 200, cause=Cause.MANUAL, scheduled_for=None)
    newest = ended(busy, 100)
    monkeypatch.setattr(retention, "BATCH", 2)
    settings.NEWSS_KEEP_RUNS_DAYS = 90
    assert retention.remove_runs(NOW) == 5
    assert list(Run.objects.order_by("pk")) == [*kept, newest]


def test_what_is_kept_is_looked_up_once_for_each_schedule_not_for_each_run(settings: Any) -> None:
    """With one look for each run that a batch holds, a schedule that fails for long took minutes."""
    schedule = factories.schedule()
    for days in range(100, 140):
        ended(schedule, days)
    for days in range(91, 99):
        ended(schedule, days, status=RunStatus.FAILED)
    settings.NEWSS_KEEP_RUNS_DAYS = 90
    with CaptureQueriesContext(connection) as queries:
        assert retention.remove_runs(NOW) == 40 + 8 - 2
    reads = [one["sql"] for one in queries if 'ORDER BY "scheduling_run"."queued_at" ASC' in one["sql"]]
    assert reads and not [sql for sql in reads if "EXISTS" in sql]


def test_a_stop_ends_it_between_two_batches(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        ended(None, 100 + number)
    monkeypatch.setattr(retention, "BATCH", 5)
    settings.NEWSS_KEEP_RUNS_DAYS = 90
    answers = iter([False, False, False, False])
    retention.remove_runs(NOW, lambda: next(answers, True))
    assert 0 < Run.objects.count() < 20


def test_a_negative_number_is_refused_by_a_system_check_e003(settings: Any) -> None:
    settings.NEWSS_KEEP_LOG_LINES = -1
    assert [found.id for found in checks.check_settings(None)] == ["scheduling.E003"]


def test_a_process_goes_silent_by_the_clock_of_the_database_whatever_this_machine_thinks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # This machine's own clock is some other day.
    monkeypatch.setattr(leader, "server_time", lambda: NOW)
    # `note_stale_heartbeats` ends with its thread's connection, which here is the test's.
    monkeypatch.setattr(housekeeping, "connection", SimpleNamespace(close=lambda: None))
    values = {"host": "here", "process_started": 0.0, "state": InstanceState.STANDBY}
    beats, silent = (
        SchedulerInstance.objects.create(pid=pid, heartbeat_at=NOW - timedelta(seconds=seconds), **values)
        for pid, seconds in ((1, 1), (2, 3600))
    )
    housekeeping.note_stale_heartbeats()
    beats.refresh_from_db()
    silent.refresh_from_db()
    assert (beats.state, silent.state, silent.ended_at) == (InstanceState.STANDBY, InstanceState.LOST, NOW)
