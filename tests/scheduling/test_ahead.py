"""A large fire that is made ready before it is due: it fires what it would have fired anyway, or is not used at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from django_apscheduler.models import DjangoJob

from scheduling import ahead, leader
from scheduling.executors import ThreadExecutor
from scheduling.fires import Fired, FiredRun
from scheduling.leader import LostLeadership
from scheduling.models import Hold, Leadership, Run, RunStatus, Schedule, ScheduleChange, SchedulerInstance
from scheduling.places import ClaimedRun, Places
from scheduling.scheduler import FireScheduler
from scheduling.statements import listed
from scheduling.store import ScheduleJobStore
from scheduling.sync import Sync
from tests import factories

DUE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NEXT = DUE + timedelta(hours=1)
COUNT = 5


class Pool(ThreadExecutor):
    """Threads that do not work: what is handed over stays in sight."""

    def __init__(self) -> None:
        super().__init__(8, lambda _run_id, _run: None)
        self.has_backlog = False
        self.handed_over: list[ClaimedRun] = []

    def submit_claimed(self, claimed: Sequence[ClaimedRun]) -> None:
        self.handed_over += claimed


class Process:
    """What of a scheduler process fires, under a clock that the test sets."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.instance = SchedulerInstance.objects.create(host="here", pid=1, process_started=0.0)
        self.places = Places(self.instance.pk, [self.pool])
        self.scheduler = FireScheduler(leader.take_over(self.instance), lambda: False, lambda _fired: None, self.places)
        self.store: ScheduleJobStore = self.scheduler._store

    def prepare(self, *, until_open: bool = True, due: datetime = DUE) -> None:
        """Let the clock run up to the due time, until nothing is left to make ready."""
        self.scheduler._sync.changes(due - timedelta(seconds=10))
        now = due - timedelta(seconds=9)
        while (wait := self.store.ahead.go_on(due, now)) is not None and now < due:
            if not until_open and self.store.ahead.is_begun and wait > 0:
                return
            now += timedelta(seconds=max(wait, 0.00001))

    def fire(self, seconds: float = 0.0) -> list[FiredRun]:
        return self.store.fire(DUE + timedelta(seconds=seconds)).runs


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few schedules be many, and let changes count as made long before (the triggers stamp the real clock)."""
    monkeypatch.setattr(ahead, "FEWEST", 2)
    monkeypatch.setattr(ahead, "PART", 2)
    original = Sync._take_notes
    monkeypatch.setattr(Sync, "_take_notes", lambda sync: dict.fromkeys(original(sync), DUE - timedelta(hours=1)))


@pytest.fixture
def process(transactional_db: None) -> Iterator[Process]:
    process = Process()
    yield process
    process.store.ahead.discard()


def hourly(count: int = COUNT, **values: object) -> list[Schedule]:
    values = {"executor": "threads", "interval_seconds": 3600, "start_at": DUE, "created_at": DUE, **values}
    return [factories.schedule(**values) for _ in range(count)]


def elsewhere(change: Callable[[], object]) -> None:
    """Commit something over another connection while this one has a transaction open (SQLite cannot)."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer")
    errors: list[BaseException] = []

    def run() -> None:
        try:
            change()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert errors == []


def rows(scheduled_for: datetime = DUE) -> dict[int | None, str]:
    return dict(Run.objects.filter(scheduled_for=scheduled_for).values_list("schedule_id", "status"))


def test_it_is_committed_when_it_is_due_and_is_what_the_fire_would_have_done(process: Process) -> None:
    schedules = hourly()
    process.prepare()
    assert process.store.ahead.open_until == DUE
    assert process.fire(-0.01) == [], "not before"
    assert process.pool.handed_over == []
    fired = process.fire(0.2)
    assert {run.schedule_id for run in fired} == {schedule.pk for schedule in schedules}
    assert rows() == dict.fromkeys((schedule.pk for schedule in schedules), RunStatus.RUNNING)
    assert [run.pk for run in process.pool.handed_over] == [run.pk for run in fired]
    run = Run.objects.filter(scheduled_for=DUE)[0]
    assert (run.queued_at, run.started_at, run.instance) == (DUE, DUE, process.instance)
    assert run.claim_token == process.pool.handed_over[0].claim_token
    assert set(DjangoJob.objects.values_list("next_run_time", flat=True)) == {NEXT}
    assert process.fire(0.3) == []


def test_nothing_of_it_is_left_when_the_scheduler_ends_before_it_is_due(process: Process) -> None:
    hourly()
    process.prepare()
    process.scheduler._should_end = lambda: True
    process.scheduler._main_loop()
    assert process.store.ahead.open_until is None
    assert rows() == {}
    assert set(DjangoJob.objects.values_list("next_run_time", flat=True)) == {DUE}


def test_few_are_not_made_ready(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "FEWEST", COUNT + 1)
    hourly()
    process.prepare()
    assert not process.store.ahead.is_begun
    assert len(process.fire()) == COUNT


def test_it_is_begun_no_sooner_than_its_time_has_come(process: Process) -> None:
    hourly()
    process.scheduler._sync.changes(DUE - timedelta(seconds=10))
    go_on = process.store.ahead.go_on
    assert go_on(DUE, DUE - timedelta(seconds=60)) == 60 - ahead.HORIZON_SECONDS
    assert go_on(None, DUE) is None
    assert go_on(DUE, DUE) is None
    assert not process.store.ahead.is_begun


def test_while_runs_of_the_fire_before_wait_to_begin_nothing_is_made_ready(process: Process) -> None:
    hourly()
    process.scheduler._sync.changes(DUE - timedelta(seconds=10))
    process.pool.expects_more = True
    assert process.store.ahead.go_on(DUE, DUE - timedelta(seconds=1)) == ahead.CROWDED_SECONDS
    assert not process.store.ahead.is_begun


@pytest.mark.parametrize("until_open", [False, True])
def test_an_edit_before_the_due_time_wins(process: Process, until_open: bool) -> None:
    edited, *others = hourly()
    process.prepare(until_open=until_open)
    change = partial(Schedule.objects.filter(pk=edited.pk).update, parameters={"new": 1})
    if until_open:
        elsewhere(change)
    else:
        change()
        process.prepare()
    assert len(process.fire()) == COUNT
    assert Run.objects.get(schedule=edited).parameters == {"new": 1}
    assert Run.objects.filter(schedule__in=others, parameters={}).count() == COUNT - 1


def test_a_schedule_that_is_disabled_or_deleted_before_the_due_time_is_not_fired(process: Process) -> None:
    disabled, deleted, *others = hourly()
    process.prepare(until_open=False)
    Schedule.objects.filter(pk=disabled.pk).update(enabled=False)
    deleted.delete()
    process.prepare()
    assert {run.schedule_id for run in process.fire()} == {schedule.pk for schedule in others}


def test_a_schedule_that_is_disabled_while_all_is_ready_is_not_fired(process: Process) -> None:
    disabled, *others = hourly()
    process.prepare()
    elsewhere(lambda: Schedule.objects.filter(pk=disabled.pk).update(enabled=False))
    assert {run.schedule_id for run in process.fire()} == {schedule.pk for schedule in others}


def test_the_scheduler_notices_an_edit_while_a_fire_is_made_ready(process: Process) -> None:
    edited, *_others = hourly()
    process.prepare()
    elsewhere(lambda: Schedule.objects.filter(pk=edited.pk).update(interval_seconds=60))
    process.scheduler._warm, process.scheduler._full_sync = True, False
    process.scheduler.ring()
    process.scheduler._apply_changes()
    assert process.store.ahead.open_until is None
    assert not ScheduleChange.objects.exists()
    assert rows() == {}


def test_a_bell_without_a_change_of_schedules_leaves_it_as_it_is(process: Process) -> None:
    hourly()
    process.prepare()
    process.scheduler._warm = True
    process.scheduler.reconcile()
    process.scheduler._apply_changes()
    assert process.store.ahead.open_until == DUE
    assert process.scheduler._full_sync, "the look at everything follows"
    assert len(process.fire()) == COUNT


def test_a_schedule_in_an_open_edit_at_the_due_time_is_left_and_the_others_fire(process: Process) -> None:
    edited, *others = hourly()
    process.prepare()
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer")
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM scheduling_schedule WHERE id = %s FOR NO KEY UPDATE", [edited.pk])
        assert {run.schedule_id for run in process.fire()} == {schedule.pk for schedule in others}
        other.rollback()
    finally:
        other.close()
    assert [run.schedule_id for run in process.fire(0.1)] == [edited.pk]


@pytest.mark.parametrize("until_open", [False, True])
def test_a_hold_that_begins_before_the_due_time_holds(process: Process, until_open: bool) -> None:
    hourly()
    process.prepare(until_open=until_open)
    hold = partial(Hold.objects.hold, reason="stop", at=DUE - timedelta(seconds=1))
    if until_open:
        elsewhere(hold)
    else:
        hold()
        process.prepare()
    assert process.fire() == []
    assert rows() == {}
    Hold.objects.release(at=DUE + timedelta(seconds=5))
    assert {run.status for run in process.fire(6)} == {RunStatus.MISSED}


@pytest.mark.parametrize("until_open", [False, True])
def test_a_run_by_hand_before_the_due_time_counts_for_the_concurrency_policy(
    process: Process, until_open: bool
) -> None:
    busy, *others = hourly(concurrency_policy="forbid")
    process.prepare(until_open=until_open)
    if until_open:
        elsewhere(busy.run_now)
    else:
        busy.run_now()
        process.prepare()
    process.fire()
    assert rows() == {busy.pk: RunStatus.SKIPPED, **dict.fromkeys((one.pk for one in others), RunStatus.RUNNING)}


def test_what_depends_on_more_than_the_schedule_is_left_to_the_fire(process: Process) -> None:
    plain = hourly(2)
    busy, ending = hourly(1, concurrency_policy="forbid")[0], hourly(1, max_runs=1)[0]
    factories.running(schedule=busy)
    process.prepare()
    prepared = {run.schedule_id for run in process.store.ahead._prepared.runs}  # type: ignore[union-attr]
    assert prepared == {schedule.pk for schedule in plain}
    assert {run.schedule_id for run in process.fire()} == {*prepared, busy.pk, ending.pk}
    assert rows()[busy.pk] == RunStatus.SKIPPED
    assert DjangoJob.objects.get(pk=ending.job_id).next_run_time is None


def test_what_came_too_late_to_be_written_is_left_to_the_fire(process: Process) -> None:
    hourly()
    process.prepare(until_open=False)
    process.store.ahead.go_on(DUE, DUE - timedelta(milliseconds=1))
    assert len(process.fire()) == COUNT
    assert len(rows()) == COUNT
    assert process.fire(0.1) == []


@pytest.mark.parametrize("late", [1.5, 5000])
def test_a_scheduler_that_slept_over_the_due_time_decides_anew(process: Process, late: float) -> None:
    hourly(catch_up="skip", misfire_grace_time=1)
    process.prepare()
    assert {run.status for run in process.fire(late)} == {RunStatus.MISSED}


def test_due_times_found_together_a_second_later_run_once(process: Process) -> None:
    hourly(interval_seconds=1)
    process.prepare()
    process.fire(1.0)
    assert set(rows().values()) == {RunStatus.MISSED}
    assert set(rows(DUE + timedelta(seconds=1)).values()) == {RunStatus.RUNNING}


def test_a_clock_that_is_set_back_keeps_no_transaction_open(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    hourly()
    process.prepare()
    later = ahead.time.monotonic() + 60
    monkeypatch.setattr(ahead.time, "monotonic", lambda: later)
    process.store.ahead.go_on(DUE, DUE - timedelta(hours=1))
    assert process.store.ahead.open_until is None
    assert rows() == {}


def test_something_that_is_due_earlier_comes_first(process: Process) -> None:
    hourly()
    process.prepare()
    sooner = DUE - timedelta(milliseconds=10)
    process.store.ahead.go_on(sooner, DUE - timedelta(milliseconds=20))
    assert process.store.ahead.open_until is None


def test_a_leader_that_was_replaced_makes_nothing_ready(process: Process) -> None:
    hourly()
    process.prepare(until_open=False)
    Leadership.objects.update(epoch=99)
    with pytest.raises(LostLeadership):
        process.prepare()
    assert not process.store.ahead.is_begun
    assert rows() == {}


def test_the_scheduler_ends_its_term_when_it_was_replaced_before_a_fire(process: Process) -> None:
    hourly()
    process.prepare(until_open=False)
    Leadership.objects.update(epoch=99)
    with time_machine.travel(DUE - timedelta(milliseconds=1), tick=False):
        process.scheduler._go_ahead(Fired(next_due=DUE))
    assert process.scheduler.lost
    assert process.store.ahead.open_until is None


def test_a_job_row_that_is_gone_costs_no_other_its_fire(process: Process) -> None:
    gone, *others = hourly()
    process.prepare(until_open=False)
    DjangoJob.objects.filter(pk=gone.job_id).delete()
    process.prepare()
    assert {run.schedule_id for run in process.fire()} == {schedule.pk for schedule in others}


def test_a_due_time_that_has_a_row_already_is_passed_over(process: Process) -> None:
    done, *others = hourly()
    factories.run(schedule=done, scheduled_for=DUE, cause="schedule", status="succeeded", finished_at=DUE)
    process.prepare()
    assert {run.schedule_id for run in process.fire()} == {schedule.pk for schedule in others}


def test_where_schedules_are_edited_all_the_time_it_is_given_up(process: Process) -> None:
    hourly()
    for _ in range(ahead.MOST_TRIES):
        process.prepare()
        assert process.store.ahead.is_begun
        process.store.ahead.discard()
    process.prepare()
    assert not process.store.ahead.is_begun
    assert len(process.fire()) == COUNT


def test_an_error_of_the_database_leaves_the_fire_as_it_was(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    hourly()
    process.prepare(until_open=False)

    def fail(*_arguments: Any) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(ScheduleJobStore, "insert_ready", fail)
        with pytest.raises(OperationalError):
            process.prepare()
    assert process.store.ahead.open_until is None
    assert len(process.fire()) == COUNT


def test_what_was_claimed_by_a_commit_that_was_not_answered_is_in_doubt(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    hourly()
    process.prepare()
    commit = BaseDatabaseWrapper.commit

    def lost(database: BaseDatabaseWrapper) -> None:
        commit(database)
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "commit", lost)
        with pytest.raises(OperationalError):
            process.fire()
    tokens = set(Run.objects.running().values_list("claim_token", flat=True))
    assert Run.objects.running().count() == COUNT
    assert tokens <= set(process.places.in_doubt)


def test_what_was_committed_is_told_though_the_look_after_it_fails(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    hourly()
    process.prepare()

    def fail(*_arguments: Any) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(ScheduleJobStore, "next_due", fail)
        fired = process.store.fire(DUE)
    assert (len(fired.runs), fired.next_due) == (COUNT, DUE)
    assert process.fire() == []


def test_older_runs_in_the_queue_come_first(process: Process) -> None:
    hourly()
    process.prepare()
    process.pool.has_backlog = True
    process.fire()
    assert set(rows().values()) == {RunStatus.QUEUED}


@pytest.mark.parametrize("count", [4, 40])
def test_at_the_due_time_the_number_of_statements_does_not_grow_with_the_burst(process: Process, count: int) -> None:
    hourly(count, concurrency_policy="forbid")
    process.prepare()
    with CaptureQueriesContext(connection) as captured:
        assert len(process.fire()) == count
    assert len(captured) == 6


def test_nobody_is_kept_waiting_who_edits_or_starts_a_schedule(process: Process) -> None:
    schedule, *_others = hourly()
    process.prepare()

    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
        Schedule.objects.filter(pk=schedule.pk).update(description="edited")
        schedule.run_now()
        assert Run.objects.filter(schedule__in=listed([schedule.pk])).count() == 1

    elsewhere(work)


def test_the_scheduler_makes_ready_by_itself_and_tells_of_it_once(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    hourly()
    told: list[int] = []
    scheduler = process.scheduler
    scheduler._fired = lambda fired: told.append(len(fired.runs))
    monkeypatch.setattr(scheduler, "_process_other_stores", lambda: 5.0)
    seen = set()
    with time_machine.travel(DUE - timedelta(seconds=4), tick=False) as clock:
        while not told:
            wait = scheduler._process_jobs()
            seen.add(process.store.ahead.open_until)
            clock.shift(max(wait, 0.00001))
    assert told == [COUNT]
    assert seen == {None, DUE}
    assert set(Run.objects.values_list("queued_at", flat=True)) == {DUE}, "when it was due, not when it was written"
