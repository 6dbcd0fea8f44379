"""The fire path: what is due becomes committed runs, in a constant number of statements, or nothing happens."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.job import Job
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_apscheduler.models import DjangoJob

from scheduling import leader
from scheduling.leader import LostLeadership
from scheduling.models import Cause, Run, RunStatus, Schedule, SchedulerInstance
from scheduling.scheduler import FireScheduler
from scheduling.store import ScheduleJobStore
from scheduling.sync import Sync
from tests import factories

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clockwork:
    """A leader's store and sync under a clock that the test sets."""

    def __init__(self) -> None:
        self.instance = SchedulerInstance.objects.create(host="here", pid=1, process_started=0.0)
        self.epoch = leader.take_over(self.instance)
        scheduler = FireScheduler(self.epoch, lambda: False, lambda: None)
        self.store: ScheduleJobStore = scheduler._store
        self.sync: Sync = scheduler._sync

    def at(self, seconds: float) -> list[Run]:
        now = START + timedelta(seconds=seconds)
        self.sync.changes(now)
        return self.store.fire(now).runs


@pytest.fixture
def clockwork(transactional_db: None) -> Clockwork:
    return Clockwork()


def minutely(**values: object) -> Schedule:
    """Return a schedule that is due each minute from START on, and whose change is noted at START."""
    schedule = factories.schedule(**{"interval_seconds": 60, "start_at": START, "created_at": START, **values})
    DjangoJob.objects.filter(pk=schedule.job_id).delete()
    return schedule


@pytest.fixture(autouse=True)
def _notes_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let changes count as made at START: the triggers in the database stamp them with the real clock."""
    original = Sync._take_notes

    def take_notes(self: Sync) -> dict[int, datetime]:
        return dict.fromkeys(original(self), START - timedelta(seconds=1))

    monkeypatch.setattr(Sync, "_take_notes", take_notes)


def test_a_due_schedule_becomes_one_queued_run_with_its_nominal_time(clockwork: Clockwork) -> None:
    schedule = minutely(parameters={"a": 1}, executor="threads")
    (run,) = clockwork.at(0.2)
    run.refresh_from_db()
    assert (run.schedule, run.scheduled_for, run.status, run.cause) == (
        schedule,
        START,
        RunStatus.QUEUED,
        Cause.SCHEDULE,
    )
    assert (run.job, run.parameters, run.executor, run.schedule_name) == ("noop", {"a": 1}, "threads", schedule.name)
    assert DjangoJob.objects.get().next_run_time == START + timedelta(minutes=1)


def test_nothing_is_due_twice(clockwork: Clockwork) -> None:
    minutely()
    assert len(clockwork.at(0)) == 1
    assert clockwork.at(0) == []
    assert clockwork.at(59.9) == []


def test_a_due_time_that_already_has_a_row_is_passed_over_and_others_go_on(clockwork: Clockwork) -> None:
    first, second = minutely(), minutely()
    factories.run(schedule=first, scheduled_for=START, cause=Cause.SCHEDULE, status="succeeded", finished_at=START)
    assert [run.schedule for run in clockwork.at(0)] == [second]
    assert Run.objects.filter(schedule=first).count() == 1


def test_due_times_found_together_run_once_and_leave_one_missed_row(clockwork: Clockwork) -> None:
    minutely()
    missed, run = clockwork.at(600)
    assert (missed.status, missed.missed_count) == (RunStatus.MISSED, 10)
    assert (missed.scheduled_for, missed.missed_until) == (START, START + timedelta(minutes=9))
    assert (run.status, run.scheduled_for) == (RunStatus.QUEUED, START + timedelta(minutes=10))
    assert "10 due times passed" in missed.outcome


def test_a_week_of_seconds_is_one_row(clockwork: Clockwork) -> None:
    minutely(interval_seconds=1)
    missed, _run = clockwork.at(7 * 86_400)
    assert missed.missed_count == 604_800
    assert Run.objects.count() == 2


def test_a_due_time_during_an_active_run_is_skipped_and_says_why(clockwork: Clockwork) -> None:
    schedule = minutely()
    (first,) = clockwork.at(0)
    (second,) = clockwork.at(60)
    assert (second.status, second.outcome) == (
        RunStatus.SKIPPED,
        f"Skipped: run {first.pk} of this schedule had not ended yet.",
    )
    Run.objects.filter(pk=first.pk).update(status=RunStatus.SUCCEEDED, finished_at=START)
    (third,) = clockwork.at(120)
    assert third.status == RunStatus.QUEUED
    assert schedule.runs.count() == 3


def test_jitter_delays_the_start_and_keeps_the_nominal_time(clockwork: Clockwork) -> None:
    schedule = minutely(jitter_seconds=30)
    (run,) = clockwork.at(0)
    assert run.scheduled_for == START
    assert run.not_before == START + schedule.delay(START)
    assert "jitter" in run.wait_reason


def test_a_one_off_date_fires_once_and_its_history_stays(clockwork: Clockwork) -> None:
    minutely(trigger_kind="date", run_at=START, interval_seconds=None, start_at=None)
    assert len(clockwork.at(0)) == 1
    assert DjangoJob.objects.get().next_run_time is None
    assert clockwork.at(3600) == []


@pytest.mark.parametrize("change", [{"enabled": False}, {"interval_seconds": 3600, "start_at": None}])
def test_an_edit_that_is_committed_but_not_yet_noticed_already_counts(
    clockwork: Clockwork, change: dict[str, object]
) -> None:
    schedule = minutely()
    clockwork.at(-10)
    Schedule.objects.filter(pk=schedule.pk).update(**change)
    fired = clockwork.store.fire(START).runs
    if "enabled" in change:
        assert fired == []
    else:
        # The due time was committed under the old trigger; what follows it is the new one's.
        assert [run.scheduled_for for run in fired] == [START]
        assert DjangoJob.objects.get().next_run_time == START + timedelta(hours=1)


def test_the_number_of_statements_does_not_grow_with_the_burst(clockwork: Clockwork) -> None:
    def statements(seconds: float) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            clockwork.store.fire(START + timedelta(seconds=seconds))
        return len(captured)

    for _ in range(3):
        minutely()
    clockwork.at(-10)
    few = statements(0)
    Run.objects.update(status=RunStatus.SUCCEEDED, finished_at=START)
    for _ in range(60):
        minutely(start_at=START + timedelta(seconds=60))
    clockwork.at(50)
    many = statements(60)
    assert Run.objects.count() == 66
    assert many == few <= 10


def test_an_old_leader_that_wakes_up_cannot_fire(clockwork: Clockwork) -> None:
    minutely()
    clockwork.at(-10)
    other = SchedulerInstance.objects.create(host="there", pid=2, process_started=0.0)
    leader.take_over(other)
    with pytest.raises(LostLeadership):
        clockwork.store.fire(START)
    assert not Run.objects.exists()
    assert DjangoJob.objects.get().next_run_time == START


def test_a_trigger_that_fails_costs_no_other_schedule_its_fire(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = minutely(), minutely()
    clockwork.at(-10)

    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(clockwork.store._cache[bad.pk].trigger, "due_times", fail)
    assert [run.schedule for run in clockwork.at(0)] == [good]


@pytest.mark.parametrize("damage", ["deleted", "corrupt"])
def test_a_damaged_job_row_is_made_anew_and_no_due_time_is_lost(clockwork: Clockwork, damage: str) -> None:
    minutely()
    clockwork.at(0)
    Run.objects.update(status=RunStatus.SUCCEEDED, finished_at=START)
    if damage == "deleted":
        DjangoJob.objects.all().delete()
    else:
        DjangoJob.objects.update(job_state=b"rubbish")
    clockwork.sync.everything(START + timedelta(seconds=61))
    (run,) = clockwork.store.fire(START + timedelta(seconds=61)).runs
    assert run.scheduled_for == START + timedelta(seconds=60)


def test_the_job_in_the_store_is_one_that_apscheduler_understands(clockwork: Clockwork) -> None:
    schedule = minutely()
    clockwork.at(0)
    job = clockwork.store.lookup_job(schedule.job_id)
    assert isinstance(job, Job)
    assert (job.name, job.args, job.next_run_time) == (schedule.name, (schedule.pk,), START + timedelta(minutes=1))
    assert job.trigger == schedule.trigger()
    run = job.func(*job.args)
    assert (run.status, run.schedule) == (RunStatus.QUEUED, schedule)


def test_a_schedule_in_an_open_edit_is_left_for_the_next_look(clockwork: Clockwork, on_postgresql: bool) -> None:
    if not on_postgresql:
        pytest.skip("SQLite has one writer: the fire waits for the edit")
    schedule, other = minutely(), minutely()
    clockwork.at(-10)
    locked, done = threading.Event(), threading.Event()

    def edit() -> None:
        with transaction.atomic():
            Schedule.objects.select_for_update().get(pk=schedule.pk)
            locked.set()
            done.wait(30)
        connection.close()

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        assert locked.wait(30)
        fired = clockwork.store.fire(START)
        assert [run.schedule for run in fired.runs] == [other]
        assert fired.next_due is not None
        assert fired.next_due >= START + timedelta(milliseconds=50)
    finally:
        done.set()
        thread.join()
    assert [run.schedule for run in clockwork.store.fire(START).runs] == [schedule]
