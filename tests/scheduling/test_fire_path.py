"""The fire path: what is due becomes committed runs, in a constant number of statements, or nothing happens."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.job import Job
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django_apscheduler.models import DjangoJob

from scheduling import fires, leader, statements
from scheduling.fires import MOST_AT_ONCE
from scheduling.leader import LostLeadership
from scheduling.models import Cause, Hold, Run, RunStatus, Schedule, SchedulerInstance
from scheduling.replace import replace_older
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
        scheduler = FireScheduler(self.epoch, lambda: False, lambda _fired: None)
        self.store: ScheduleJobStore = scheduler._store
        self.sync: Sync = scheduler._sync

    def at(self, seconds: float) -> list[Run]:
        now = START + timedelta(seconds=seconds)
        self.sync.changes(now)
        return self.fire(now)

    def fire(self, now: datetime) -> list[Run]:
        """Fire, and return the new runs in the order of their due times."""
        keys = [run.pk for run in self.store.fire(now).runs]
        return list(Run.objects.filter(pk__in=keys).order_by("scheduled_for", "id"))


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


def test_a_schedule_ends_after_so_many_runs_and_goes_on_when_it_is_given_more(clockwork: Clockwork) -> None:
    schedule = minutely(max_runs=2, concurrency_policy="allow")
    schedule.run_now()
    assert [run.status for second in (0, 60, 120, 180) for run in clockwork.at(second)] == [RunStatus.QUEUED] * 2
    clockwork.sync.everything(START + timedelta(seconds=180))
    assert DjangoJob.objects.get().next_run_time is None
    assert schedule.remaining_runs() == 0
    Schedule.objects.update(max_runs=3)
    assert [len(clockwork.at(second)) for second in (240, 300)] == [1, 0]


def test_due_times_while_everything_is_held_are_one_row_a_schedule_that_says_why(clockwork: Clockwork) -> None:
    minutely(), minutely(catch_up="each")
    clockwork.at(-10)
    Hold.objects.hold(reason="database moves", at=START + timedelta(seconds=30))
    assert clockwork.at(301) == []
    assert clockwork.store.fire(START + timedelta(seconds=302)).next_due is None
    Hold.objects.release(at=START + timedelta(seconds=330))
    rows = clockwork.at(361)
    assert [(row.status, row.scheduled_for, row.missed_count) for row in rows] == [
        # Due before the hold, and looked at only after it: the catch-up policy decides.
        (RunStatus.MISSED, START, 1),
        (RunStatus.QUEUED, START, 0),
        (RunStatus.MISSED, START + timedelta(seconds=60), 5),
        (RunStatus.MISSED, START + timedelta(seconds=60), 5),
        (RunStatus.QUEUED, START + timedelta(seconds=360), 0),
        (RunStatus.QUEUED, START + timedelta(seconds=360), 0),
    ]
    assert rows[2].outcome == "5 due times were not run: everything was held: database moves."


def test_due_times_of_a_pause_are_one_row_that_says_by_whom_and_why(clockwork: Clockwork) -> None:
    schedule, other = minutely(), minutely()
    clockwork.at(0)
    Run.objects.update(status=RunStatus.SUCCEEDED, finished_at=START)
    anna = factories.user(username="anna")
    schedule.pause(anna, "too loud", at=START + timedelta(seconds=10))
    assert [run.schedule for run in clockwork.at(60)] == [other]
    fired = clockwork.store.fire(START + timedelta(seconds=61))
    assert fired.next_due == START + timedelta(seconds=120), "a paused schedule wakes nobody"
    schedule.resume(at=START + timedelta(seconds=200))
    Run.objects.filter(finished_at=None).update(status=RunStatus.SUCCEEDED, finished_at=START)
    rows = [row for row in clockwork.at(241) if row.schedule == schedule]
    assert [(row.status, row.scheduled_for, row.missed_count) for row in rows] == [
        (RunStatus.MISSED, START + timedelta(seconds=60), 3),
        (RunStatus.QUEUED, START + timedelta(seconds=240), 0),
    ]
    assert rows[0].outcome == "3 due times were not run: paused by anna: too loud."


def test_a_pause_ends_by_itself_and_the_scheduler_wakes_for_it(clockwork: Clockwork) -> None:
    schedule = minutely()
    clockwork.at(-10)
    schedule.pause(until=START + timedelta(seconds=90), at=START - timedelta(seconds=5))
    assert clockwork.store.fire(START).next_due == START + timedelta(seconds=90)
    (missed,) = clockwork.at(90)
    assert (missed.status, missed.missed_count) == (RunStatus.MISSED, 2)
    assert [run.status for run in clockwork.at(120)] == [RunStatus.QUEUED]


def test_an_edited_trigger_of_a_paused_schedule_counts_from_the_edit(clockwork: Clockwork) -> None:
    schedule = minutely()
    clockwork.at(-10)
    schedule.pause(at=START - timedelta(seconds=5))
    Schedule.objects.update(interval_seconds=3600)
    assert clockwork.at(30) == []
    schedule.resume(at=START + timedelta(seconds=40))
    assert [(row.status, row.missed_count) for row in clockwork.at(45)] == [(RunStatus.MISSED, 1)]
    assert DjangoJob.objects.get().next_run_time == START + timedelta(hours=1)


def test_what_a_run_needs_of_its_schedule_is_copied_onto_it(clockwork: Clockwork) -> None:
    minutely(time_limit_seconds=5, kill_after_seconds=6, memory_limit_mb=7)
    (run,) = clockwork.at(0)
    assert (run.time_limit_seconds, run.kill_after_seconds, run.memory_limit_mb) == (5, 6, 7)
    assert (run.attempt, run.summary, run.finished_at, run.queued_at) == (1, {}, None, START)


def test_a_backfill_keeps_no_due_time_from_being_run(clockwork: Clockwork) -> None:
    schedule = minutely()
    backfill = schedule.backfills.create(window_start=START - timedelta(days=1), window_end=START)
    factories.run(schedule=schedule, backfill=backfill, status="running", claim_token="x", started_at=START)
    assert [run.status for run in clockwork.at(0)] == [RunStatus.QUEUED]


def running(run: Run) -> Run:
    Run.objects.filter(pk=run.pk).update(status=RunStatus.RUNNING, claim_token="x", started_at=START)
    return run


def test_replace_asks_the_running_one_to_stop_and_the_new_one_waits_for_its_end(clockwork: Clockwork) -> None:
    minutely(concurrency_policy="replace")
    other = running(factories.run(schedule=minutely(interval_seconds=3600)))
    first = running(
        next(run for run in clockwork.at(0) if run.scheduled_for == START and run.schedule != other.schedule)
    )
    (second,) = clockwork.at(60)
    first.refresh_from_db()
    assert first.cancel_requested_at == START + timedelta(seconds=60)
    assert first.cancel_reason == f"Replaced by run {second.pk}."
    assert second.waits_for_run(START) == first
    assert f"run {first.pk}" in second.wait_reason
    (third,) = clockwork.at(120)
    second.refresh_from_db()
    assert (second.status, second.outcome) == (RunStatus.CANCELLED, "Replaced by a newer run before it started.")
    assert not Run.objects.startable(START).filter(pk=third.pk).exists()
    Run.objects.filter(pk=first.pk).update(status=RunStatus.CANCELLED, finished_at=START)
    assert Run.objects.startable(START).get() == third
    other.refresh_from_db()
    assert other.cancel_requested_at is None


def test_a_retry_replaces_nothing_and_a_newer_run_replaces_a_waiting_retry(clockwork: Clockwork) -> None:
    schedule = minutely(concurrency_policy="replace")
    (first,) = clockwork.at(0)
    running(first)
    retry = factories.run(schedule=schedule, cause=Cause.RETRY, not_before=START + timedelta(hours=1))
    with transaction.atomic():
        replace_older([schedule.pk], START)
    first.refresh_from_db()
    assert first.cancel_requested_at is None
    clockwork.at(60)
    retry.refresh_from_db()
    assert retry.status == RunStatus.CANCELLED


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
    assert clockwork.fire(START) == []
    if "enabled" not in change:
        # The stored due time is the old trigger's; it is left until the job is in step with the new one.
        assert clockwork.store.fire(START).next_due == START + timedelta(milliseconds=50)
        assert [run.scheduled_for for run in clockwork.at(0)] == [START]
        assert DjangoJob.objects.get().next_run_time == START + timedelta(hours=1)


@pytest.mark.parametrize(
    "count", [10, MOST_AT_ONCE, *(pytest.param(count, marks=pytest.mark.long) for count in (100, 1_000))]
)
def test_the_number_of_statements_does_not_grow_with_the_burst(clockwork: Clockwork, count: int) -> None:
    Schedule.objects.bulk_create(
        factories.schedule_values(interval_seconds=60, start_at=START, created_at=START) for _ in range(count)
    )
    clockwork.at(-10)
    # Edits that are committed but not yet noticed cost one statement more.
    Schedule.objects.update(description="edited")
    with CaptureQueriesContext(connection) as captured:
        fired = clockwork.store.fire(START)
    assert len(fired.runs) == count
    assert len(captured) == 13
    with CaptureQueriesContext(connection) as captured:
        assert len(clockwork.store.fire(START + timedelta(seconds=60)).runs) == count
    assert len(captured) == 12


def test_a_larger_burst_is_fired_in_several_transactions_the_earliest_first(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fires, "MOST_AT_ONCE", 3)
    for late in (4, 0, 3, 1, 2):
        minutely(start_at=START + timedelta(seconds=late))
    clockwork.sync.everything(START - timedelta(seconds=10))
    now = START + timedelta(seconds=5)
    first = fires.fire(clockwork.store, now, clockwork.store.next_due(), clockwork.epoch)
    assert [run.scheduled_for - START for run in first.runs] == [timedelta(seconds=late) for late in range(3)]
    assert first.more
    second = fires.fire(clockwork.store, now, clockwork.store.next_due(), clockwork.epoch)
    assert not second.more
    assert [run.scheduled_for - START for run in second.runs] == [timedelta(seconds=late) for late in (3, 4)]
    assert second.next_due == START + timedelta(seconds=60)
    # All of it is one fire to whoever asks for it.
    fired = clockwork.store.fire(START + timedelta(seconds=65))
    assert (len(fired.runs), fired.next_due) == (5, START + timedelta(seconds=120))


def test_what_a_burst_has_committed_before_an_error_is_told_and_the_rest_follows(
    clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fires, "MOST_AT_ONCE", 2)
    for _ in range(3):
        minutely()
    clockwork.sync.everything(START - timedelta(seconds=10))
    original, calls = ScheduleJobStore.move, 0

    def move(store: ScheduleJobStore, moves: list[fires.Move], *meanwhile: Any) -> set[int]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OperationalError("database is locked")
        return original(store, moves, *meanwhile)

    monkeypatch.setattr(ScheduleJobStore, "move", move)
    fired = clockwork.store.fire(START)
    assert (len(fired.runs), fired.next_due) == (2, START)
    assert len(clockwork.store.fire(START).runs) == 1
    assert Run.objects.count() == 3


def test_what_is_due_is_found_by_its_time_and_what_ends_by_its_key(transactional_db: None) -> None:
    """Or else each look reads all jobs, and each end is compared with all that runs: a burst then takes minutes."""
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL plans by what is in the tables")

    def plan(statement: str, *parameters: object) -> str:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(row[3] for row in cursor.fetchall())

    for steps in (
        plan(statements.due_statement(statements.NEXT)),
        plan(statements.due_statement(statements.DUE), "2026-01-01", 10),
    ):
        assert "next_run_time" in steps and "TEMP B-TREE" not in steps
    steps = plan(statements.END_SQLITE.format(assignments="note = %s"), "", "[]")
    assert "SEARCH run USING INTEGER PRIMARY KEY" in steps


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
    bad, good = minutely(interval_seconds=30), minutely()
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
    (run,) = clockwork.fire(START + timedelta(seconds=61))
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
        assert [run.schedule_id for run in fired.runs] == [other.pk]
        assert fired.next_due is not None
        assert fired.next_due >= START + timedelta(milliseconds=50)
    finally:
        done.set()
        thread.join()
    assert [run.schedule for run in clockwork.fire(START)] == [schedule]
