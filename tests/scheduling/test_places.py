"""The places that a fire fills itself: it claims what could start at once, and never more than there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scheduling import fires, leader, recovery, runs
from scheduling.dispatcher import Dispatcher
from scheduling.executors import ThreadExecutor, threads
from scheduling.executors.base import Room
from scheduling.models import Cause, Hold, Run, RunStatus, Schedule, SchedulerInstance
from scheduling.places import ClaimedRun, Places
from scheduling.scheduler import FireScheduler
from scheduling.sync import Sync
from tests import factories
from tests.scheduling.conftest import wait_until

DUE = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)


class Pool(ThreadExecutor):
    """Threads that have not begun to work: what is handed over stays in sight."""

    def __init__(self, limit: int = 8) -> None:
        super().__init__(limit, lambda _run_id, _run: None)
        self.has_backlog = False
        self.handed_over: list[ClaimedRun] = []

    def submit_claimed(self, claimed: Sequence[ClaimedRun]) -> None:
        self.handed_over += claimed
        super().submit_claimed(claimed)


class Process:
    """What of a scheduler process fires and claims."""

    def __init__(self, pool: ThreadExecutor) -> None:
        self.pool = pool
        self.instance = SchedulerInstance.objects.create(host="here", pid=1, process_started=0.0)
        self.epoch = leader.take_over(self.instance)
        self.places = Places(self.instance.pk, [pool])
        self.scheduler = FireScheduler(self.epoch, lambda: False, lambda _fired: None, self.places)

    def fire(self, now: datetime = DUE) -> list[Run]:
        self.scheduler._sync.changes(DUE - timedelta(seconds=5))
        keys = [run.pk for run in self.scheduler._store.fire(now).runs]
        return list(Run.objects.filter(pk__in=keys).order_by("id"))


@pytest.fixture(autouse=True)
def _notes_before_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let changes count as made before DUE: the triggers in the database stamp them with the real clock."""
    original = Sync._take_notes
    monkeypatch.setattr(Sync, "_take_notes", lambda sync: dict.fromkeys(original(sync), DUE - timedelta(seconds=5)))


@pytest.fixture
def process(transactional_db: None) -> Process:
    return Process(Pool())


def due(**values: object) -> Schedule:
    return factories.schedule(
        **{"executor": "threads", "interval_seconds": 3600, "start_at": DUE, "created_at": DUE, **values}
    )


def test_a_run_that_nothing_stands_against_is_committed_as_claimed_and_handed_over(process: Process) -> None:
    schedule = due(parameters={"a": [1]}, time_limit_seconds=5, kill_after_seconds=6, concurrency_policy="forbid")
    (row,) = process.fire()
    assert (row.status, row.started_at, row.instance, row.finished_at) == (
        RunStatus.RUNNING,
        DUE,
        process.instance,
        None,
    )
    (claimed,) = process.pool.handed_over
    run = claimed.run()
    assert {field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields} == {
        field.attname: getattr(row, field.attname) for field in Run._meta.concrete_fields
    }
    assert run == row
    run.parameters["a"].append(2)
    assert claimed.schedule.parameters == schedule.parameters == {"a": [1]}


def nothing(_schedule: Schedule) -> None:
    pass


def a_queued_run(schedule: Schedule) -> None:
    factories.run(schedule=schedule)


def a_running_run(schedule: Schedule) -> None:
    factories.running(schedule=schedule)


def a_backfill(schedule: Schedule) -> None:
    backfill = schedule.backfills.create(window_start=DUE - timedelta(days=1), window_end=DUE)
    factories.running(schedule=schedule, backfill=backfill)


@pytest.mark.parametrize("policy", ["allow", "forbid", "replace", "queue"])
@pytest.mark.parametrize("before", [nothing, a_queued_run, a_running_run, a_backfill])
@pytest.mark.parametrize("values", [{}, {"jitter_seconds": 50}, {"catch_up": "each"}, {"executor": "processes"}])
def test_a_fire_claims_only_what_the_dispatcher_would_claim(
    process: Process, policy: str, before: Callable[[Schedule], None], values: dict[str, object]
) -> None:
    schedule = due(concurrency_policy=policy, **values)
    before(schedule)
    # With the catch-up `each`, three due times are found together.
    rows = process.fire(DUE + timedelta(hours=2) if "catch_up" in values else DUE)
    claimed = [row for row in rows if row.status == RunStatus.RUNNING]
    assert [run.pk for run in process.pool.handed_over] == [row.pk for row in claimed]
    for row in claimed:
        assert values.get("executor") != "processes"
        Run.objects.filter(pk=row.pk).update(status="queued", claim_token="", started_at=None)
        assert Run.objects.startable(DUE + timedelta(hours=2)).filter(pk=row.pk).exists()
        assert row.not_before is None
    if before is nothing and not values:
        assert len(claimed) == 1


def test_nothing_is_claimed_while_everything_is_held_or_older_runs_wait(process: Process) -> None:
    due()
    Hold.objects.hold(at=DUE - timedelta(seconds=3))
    assert process.fire() == []
    Hold.objects.release(at=DUE - timedelta(seconds=2))
    process.pool.has_backlog = True
    assert [row.status for row in process.fire()] == [RunStatus.QUEUED]
    assert process.pool.handed_over == []


def test_a_run_claimed_by_a_fire_counts_towards_the_end_of_its_schedule(process: Process) -> None:
    schedule = due(max_runs=1)
    assert [row.status for row in process.fire()] == [RunStatus.RUNNING]
    assert schedule.remaining_runs() == 0


def test_a_fire_that_fails_hands_nothing_over(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    due()

    def fail(*_arguments: object) -> None:
        raise RuntimeError

    process.scheduler._sync.changes(DUE - timedelta(seconds=5))
    monkeypatch.setattr(process.scheduler._store, "insert_ready", fail)
    with pytest.raises(RuntimeError):
        process.scheduler._store.fire(DUE)
    assert process.pool.handed_over == []
    assert not Run.objects.exists()
    assert process.places.serial % 2 == 0


def test_a_crash_between_commit_and_hand_over_costs_no_due_time(process: Process) -> None:
    due()
    (run,) = process.fire()
    successor = SchedulerInstance.objects.create(host="here", pid=2, process_started=0.0)
    SchedulerInstance.objects.filter(pk=process.instance.pk).update(state="stopped", ended_at=DUE)
    assert list(recovery.recover(successor)) == [run]
    again = Run.objects.get(parent=run)
    assert (again.status, again.cause, again.scheduled_for) == (RunStatus.QUEUED, Cause.RECOVERY, DUE)


def test_what_a_fire_has_claimed_and_not_handed_over_yet_is_no_orphan(process: Process) -> None:
    dispatcher = Dispatcher(process.instance, [process.pool], lambda: None, lambda _run_id, _run: None)
    orphan = factories.running(instance=process.instance)
    with dispatcher.places.filling():
        dispatcher._sweep()
        orphan.refresh_from_db()
        assert orphan.status == RunStatus.RUNNING
    dispatcher._sweep()
    orphan.refresh_from_db()
    assert orphan.status == RunStatus.FAILED


def break_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the database be lost just after it has committed, before it could say so."""
    commit = BaseDatabaseWrapper.commit

    def lost(database: BaseDatabaseWrapper) -> None:
        commit(database)
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(BaseDatabaseWrapper, "commit", lost)


@pytest.mark.parametrize("by_the_fire", [True, False], ids=["claimed by a fire", "claimed by the dispatcher"])
def test_a_claim_whose_commit_was_not_answered_goes_back_into_the_queue(
    process: Process, monkeypatch: pytest.MonkeyPatch, by_the_fire: bool
) -> None:
    dispatcher = Dispatcher(process.instance, [process.pool], lambda: None, lambda _run_id, _run: None)
    dispatcher.places = process.places
    dispatcher.lead(process.epoch)
    if by_the_fire:
        due()
        process.scheduler._sync.changes(DUE - timedelta(seconds=5))
    else:
        factories.run()
    with monkeypatch.context() as patched:
        break_commits(patched)
        with pytest.raises(OperationalError):
            _ = process.scheduler._store.fire(DUE) if by_the_fire else dispatcher._look(timezone.now())
    run = Run.objects.get()
    assert (run.status, process.pool.running()) == (RunStatus.RUNNING, [])
    dispatcher._sweep()
    run.refresh_from_db()
    assert (run.status, run.claim_token) == (RunStatus.QUEUED, "")
    dispatcher._look(timezone.now())
    assert [held.pk for held in process.pool.running()] == [run.pk]


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_put_back_into_the_queue_yet_is_no_orphan_and_is_put_back_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "LONGEST_AHEAD_SECONDS", 0.0)
    pool = Pool(1)
    process = Process(pool)
    Hold.objects.hold(at=DUE - timedelta(seconds=3))
    dispatcher = Dispatcher(process.instance, [pool], lambda: None, lambda _run_id, _run: None)
    run = factories.running(instance=process.instance, executor="threads")
    pool.submit(run)
    dispatcher.lead(process.epoch)

    def locked(*_arguments: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patched:
        patched.setattr(runs, "hand_back_all", locked)
        for _ in range(2):
            dispatcher.ring()
            with pytest.raises(OperationalError):
                dispatcher._look(DUE)
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING
    dispatcher._look(DUE)
    run.refresh_from_db()
    assert (run.status, run.claim_token) == (RunStatus.QUEUED, "")
    assert pool.running() == []


def test_while_more_is_being_fired_the_first_ones_begin_and_what_can_wait_waits(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fires, "MOST_AT_ONCE", 1)
    for _ in range(3):
        due()
    seen = []
    original = process.pool.submit_claimed

    def submit(claimed: Sequence[ClaimedRun]) -> None:
        seen.append((len(claimed), process.pool.is_crowded()))
        original(claimed)

    monkeypatch.setattr(process.pool, "submit_claimed", submit)
    assert len(process.fire()) == 3
    assert seen == [(1, True), (1, True), (1, False)]
    assert not process.pool.is_crowded()


def test_what_a_burst_has_claimed_before_an_error_begins(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fires, "MOST_AT_ONCE", 1)
    first, second = due(), due()
    original = process.scheduler._store.known

    def known(found: Sequence[fires.Due]) -> dict[int, fires.Known]:
        if found[0].schedule_id == second.pk:
            raise OperationalError("database is locked")
        return original(found)

    monkeypatch.setattr(process.scheduler._store, "known", known)
    (run,) = process.fire()
    assert run.schedule == first
    assert [claimed.pk for claimed in process.pool.handed_over] == [run.pk]
    assert (process.places.serial % 2, process.pool.expects_more) == (0, False)


@pytest.mark.anydb
def test_room_is_for_free_places_and_for_as_many_short_runs_as_end_soon() -> None:
    room = Room(free=2, most=100, seconds=1.0, pace={"quick": 0.1, "slow": 60.0})
    assert [room.take("slow") for _ in range(3)] == [True, True, False]
    assert sum(room.take("quick") for _ in range(50)) in (9, 10)
    assert Room(free=0, most=3, seconds=1.0, pace={}).take("unknown")
    assert not Room(free=0, most=3, seconds=0.0, pace={}).take("unknown")
    few = Room(free=0, most=3, seconds=1.0, pace={})
    assert sum(few.take("unknown") for _ in range(50)) == 3


@pytest.mark.django_db(transaction=True)
def test_after_slow_runs_no_more_are_taken_than_threads_are_free() -> None:
    pool = Pool(2)
    pool._pace["noop"] = 60.0
    process = Process(pool)
    for _ in range(5):
        due()
    assert sorted(row.status for row in process.fire()) == ["queued"] * 3 + ["running"] * 2


@pytest.mark.django_db(transaction=True)
def test_a_burst_is_claimed_in_as_many_statements_as_one_run_and_all_of_it_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "LONGEST_AHEAD_SECONDS", 60.0)
    pool = Pool(4)
    process = Process(pool)
    counts = []
    for count in (5, 300):
        for _ in range(count):
            due(start_at=DUE, created_at=DUE)
        process.scheduler._sync.changes(DUE - timedelta(seconds=5))
        with CaptureQueriesContext(connection) as captured:
            assert len(process.scheduler._store.fire(DUE).runs) == count
        counts.append(len(captured))
    assert counts[0] == counts[1]
    pool.start()
    wait_until(lambda: not pool.running(), what="all have ended")
    assert set(Run.objects.values_list("status", flat=True)) == {"succeeded"}
    assert Run.objects.count() == 305
    pool.stop()
