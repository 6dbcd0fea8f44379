"""Transactions that lock the same rows take them in one order: schedules, runs, counts, each by id. So none of them is
sacrificed to a deadlock, however unluckily they meet. Only PostgreSQL locks rows; SQLite has one writer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, models, transaction
from django.utils import timezone

from scheduling import retention, runs
from scheduling.ends import Outcome, finish
from scheduling.models import Run, RunStatus, Schedule, ScheduleState
from scheduling.replace import replace_older
from tests import factories
from tests.scheduling.conftest import wait_until
from tests.scheduling.test_fire_path import Clockwork

SECONDS = 60.0


@pytest.fixture
def meeting(transactional_db: None, on_postgresql: bool) -> Iterator[Meeting]:
    """Return a place where transactions meet."""
    if not on_postgresql:
        pytest.skip("SQLite has one writer")
    found = Meeting()
    yield found
    found.end()


class Meeting:
    """Transactions of several connections, each in a thread, and what they ran into."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self._threads: list[threading.Thread] = []

    def comes(self, act: Callable[[], Any]) -> threading.Thread:
        """Let a transaction begin; return once it waits for a lock, or is through."""
        waiting = self._waiting()

        def run() -> None:
            try:
                act()
            except Exception as error:
                self.errors.append(error)
            finally:
                connection.close()

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()
        wait_until(lambda: not thread.is_alive() or self._waiting() > waiting, SECONDS, "a lock, or the end")
        return thread

    @contextmanager
    def holding(self, *rows: models.Model) -> Iterator[None]:
        """Hold rows locked in the midst of the way of those that come within the block."""
        with transaction.atomic():
            for row in rows:
                type(row)._base_manager.select_for_update().get(pk=row.pk)
            yield

    def end(self) -> None:
        """Wait until all are through."""
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    @staticmethod
    def _waiting() -> int:
        with connection.cursor() as cursor:
            # Within a transaction the server would show the same picture again.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return int(cursor.fetchone()[0])


def test_runs_that_are_replaced_while_they_are_found_lost_do_not_end_in_a_deadlock(meeting: Meeting) -> None:
    schedule = factories.schedule(concurrency_policy="replace")
    old = [factories.running(schedule=schedule) for _ in range(3)]
    factories.run(schedule=schedule)
    with meeting.holding(old[1]):
        meeting.comes(lambda: in_transaction(lambda: replace_older([schedule.pk], timezone.now())))
        meeting.comes(lambda: runs.lose(old))
    meeting.end()
    assert meeting.errors == []
    assert not Run.objects.running().filter(pk__in=[run.pk for run in old], cancel_requested_at=None).exists()


def test_a_fire_and_the_end_of_the_run_that_it_replaces_do_not_end_in_a_deadlock(meeting: Meeting) -> None:
    clockwork, schedule, late = fire_of(concurrency_policy="replace", max_runs=5)
    state = ScheduleState.objects.create(schedule=schedule)
    run = factories.running(schedule=schedule)
    with meeting.holding(state):
        meeting.comes(lambda: clockwork.store.fire(late))
        meeting.comes(lambda: finish(run.pk, run.claim_token, Outcome(RunStatus.FAILED)))
    meeting.end()
    assert meeting.errors == []
    state.refresh_from_db()
    assert (state.fired, state.failures_in_row) == (1, 1)


@pytest.mark.parametrize("of_many", [False, True])
def test_a_schedule_that_is_deleted_while_it_fires_does_not_end_in_a_deadlock(meeting: Meeting, of_many: bool) -> None:
    clockwork, schedule, late = fire_of(concurrency_policy="replace")
    run = factories.running(schedule=schedule)
    delete = Schedule.objects.filter(pk=schedule.pk).delete if of_many else schedule.delete
    with meeting.holding(run):
        meeting.comes(delete)
        meeting.comes(lambda: clockwork.store.fire(late))
    meeting.end()
    assert meeting.errors == []
    assert Run.objects.get().schedule_id is None


def test_old_runs_that_are_removed_while_their_retries_are_locked_do_not_end_in_a_deadlock(
    meeting: Meeting, settings: Any
) -> None:
    old, other = ended_long_ago(), factories.run()
    retry = ended_long_ago(queued_at=timezone.now(), parent=old)
    settings.NEWSS_KEEP_RUNS_DAYS, settings.NEWSS_KEEP_RUNS_PER_SCHEDULE = 5, 0
    with meeting.holding(other):
        meeting.comes(lambda: in_transaction(Run.objects.all().lock))
        meeting.comes(lambda: retention.remove_runs(timezone.now()))
    meeting.end()
    assert meeting.errors == []
    assert list(Run.objects.order_by("pk")) == [other, retry]


def test_a_run_that_somebody_holds_is_left_in_the_queue_by_a_claim(meeting: Meeting) -> None:
    clockwork = Clockwork()
    held, free = factories.run(), factories.run()
    claimed: list[Run] = []
    with meeting.holding(held):
        meeting.comes(
            lambda: claimed.extend(
                runs.claim("threads", 5, clockwork.instance, clockwork.epoch, timezone.now() + timedelta(seconds=1))
            )
        )
        assert [run.pk for run in claimed] == [free.pk]
    meeting.end()
    assert meeting.errors == []
    held.refresh_from_db()
    assert held.status == RunStatus.QUEUED


def fire_of(**values: Any) -> tuple[Clockwork, Schedule, Any]:
    """Return a leader's store, a schedule and a moment at which it is due."""
    clockwork = Clockwork()
    schedule = factories.schedule(**values)
    now = timezone.now()
    clockwork.sync.everything(now)
    return clockwork, schedule, now + timedelta(seconds=61)


def ended_long_ago(**values: Any) -> Run:
    """Return a run that retention may remove."""
    long_ago = timezone.now() - timedelta(days=9)
    defaults = {"status": RunStatus.FAILED, "started_at": long_ago, "finished_at": long_ago, "queued_at": long_ago}
    return factories.run(**{**defaults, **values})


def in_transaction(act: Callable[[], Any]) -> None:
    with transaction.atomic():
        act()
