"""Runs whose scheduler process has died: found, ended as lost, and run again, never twice at once."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling import recovery
from scheduling.ends import Outcome, finish
from scheduling.models import Cause, InstanceState, Run, RunStatus, SchedulerInstance, ScheduleState
from scheduling.models.instance import STALE_AFTER_SECONDS
from scheduling.recovery import FENCE, recover
from scheduling.retries import MAX_RECOVERIES
from tests import factories
from tests.scheduling.conftest import lives, wait_until

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
HERE = socket.gethostname()
OLD = NOW - timedelta(seconds=STALE_AFTER_SECONDS + 1)


@pytest.fixture
def me(db: None) -> SchedulerInstance:
    return instance(state=InstanceState.ACTIVE)


def instance(**values: Any) -> SchedulerInstance:
    """Return a scheduler process: by default this very one, which certainly lives."""
    process = psutil.Process()
    values = {"host": HERE, "pid": process.pid, "process_started": process.create_time(), "heartbeat_at": NOW, **values}
    return SchedulerInstance.objects.create(**values)


def dead(**values: Any) -> SchedulerInstance:
    """Return a process of this host whose pid now belongs to another."""
    return instance(**{"process_started": 1.0, **values})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("process", "is_lost"),
    [
        ({}, False),
        ({"state": "stopping"}, False),
        # That its heartbeat is old, or that another leads, proves nothing while its process is seen to live.
        ({"heartbeat_at": OLD}, False),
        ({"state": "lost"}, False),
        ({"process_started": 1.0}, True),
        ({"process_started": 1.0, "state": "lost"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"state": "stopped"}, True),
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "state": "lost"}, False),
        ({"host": "elsewhere", "heartbeat_at": OLD}, True),
        ({"host": "elsewhere", "heartbeat_at": OLD, "state": "lost"}, True),
    ],
)
def test_only_a_death_that_is_proven_or_a_lease_that_has_ended_loses_a_run(
    me: SchedulerInstance, process: dict[str, Any], is_lost: bool
) -> None:
    run = factories.running(schedule=factories.schedule(), instance=instance(**process))
    list(recover(me, NOW))
    run.refresh_from_db()
    assert (run.status == RunStatus.LOST) is is_lost
    assert Run.objects.filter(parent=run, cause=Cause.RECOVERY).exists() is is_lost


@pytest.mark.django_db
def test_a_run_of_another_host_waits_before_it_runs_again(me: SchedulerInstance) -> None:
    here = factories.running(schedule=factories.schedule(), instance=dead())
    elsewhere = factories.running(schedule=factories.schedule(), instance=instance(host="elsewhere", heartbeat_at=OLD))
    list(recover(me, NOW))
    assert Run.objects.get(parent=here).not_before is None
    waiting = Run.objects.get(parent=elsewhere)
    assert waiting.not_before == NOW + FENCE
    assert "may be left" in waiting.wait_reason


@pytest.mark.django_db
def test_a_late_end_of_a_lost_run_is_refused(me: SchedulerInstance) -> None:
    run = factories.running(schedule=factories.schedule(), instance=dead())
    list(recover(me, NOW))
    assert finish(run.pk, "token", Outcome(RunStatus.SUCCEEDED, "Too late.")) is None
    run.refresh_from_db()
    assert run.status == RunStatus.LOST


@pytest.mark.django_db
def test_a_lost_run_that_was_to_be_cancelled_is_cancelled_and_not_run_again(me: SchedulerInstance) -> None:
    run = factories.running(schedule=factories.schedule(), instance=dead(), cancel_requested_at=NOW)
    list(recover(me, NOW))
    run.refresh_from_db()
    assert run.status == RunStatus.CANCELLED
    assert not Run.objects.active().exists()


@pytest.mark.django_db
def test_processes_that_went_silently_are_said_to_be_lost(me: SchedulerInstance) -> None:
    gone = dead(state=InstanceState.STANDBY)
    living = instance(state=InstanceState.STANDBY)
    list(recover(me, NOW))
    gone.refresh_from_db()
    living.refresh_from_db()
    assert (gone.state, gone.ended_at) == (InstanceState.LOST, NOW)
    assert living.state == InstanceState.STANDBY


@pytest.mark.django_db
def test_recovery_takes_few_statements_for_hundreds_of_runs(me: SchedulerInstance) -> None:
    def statements(count: int) -> int:
        schedule = factories.schedule(concurrency_policy="allow")
        process = dead()
        Run.objects.bulk_create(
            Run(
                schedule=schedule,
                job="noop",
                executor="threads",
                cause=Cause.SCHEDULE,
                status=RunStatus.RUNNING,
                claim_token="token",
                started_at=NOW,
                scheduled_for=NOW + timedelta(seconds=number),
                instance=process,
            )
            for number in range(count)
        )
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert len(list(recover(me, NOW))) == count
        assert Run.objects.filter(schedule=schedule, cause=Cause.RECOVERY, attempt=2).count() == count
        return len(queries)

    # SQLite inserts some 25 rows by a statement.
    assert statements(400) <= statements(10) + 400 / 25


@pytest.mark.django_db
def test_what_is_lost_again_and_again_takes_no_more_statements_for_many_runs_than_for_a_few(
    me: SchedulerInstance,
) -> None:
    def statements(count: int) -> int:
        schedules = [factories.schedule() for _ in range(count)]
        Run.objects.bulk_create(Run.of(schedule, cause=Cause.SCHEDULE, scheduled_for=NOW) for schedule in schedules)
        with CaptureQueriesContext(connection) as queries:
            for _generation in range(1 + MAX_RECOVERIES):
                values = {"status": RunStatus.RUNNING, "claim_token": "token", "started_at": NOW, "instance": dead()}
                Run.objects.queued().update(**values)
                assert len(list(recover(me, NOW))) == count
        assert not Run.objects.active().exists()
        assert ScheduleState.objects.filter(schedule__in=schedules, failures_in_row=1).count() == count
        return len(queries)

    # SQLite inserts some 25 rows by a statement.
    assert statements(100) <= statements(10) + MAX_RECOVERIES * 100 / 25


@pytest.mark.django_db
def test_what_a_dead_process_left_is_taken_piece_by_piece(
    me: SchedulerInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "CHUNK", 2)
    process = dead()
    left = [factories.running(schedule=factories.schedule(), instance=process) for _ in range(5)]
    found = recover(me, NOW)
    first = next(found)
    assert first in left[:2]
    assert Run.objects.running().count() == 3
    assert {first, *found} == set(left)
    assert not Run.objects.running().exists()


@pytest.fixture
def survivor() -> Iterator[psutil.Process]:
    """Yield a process that has a child in a session of its own."""
    program = (
        "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); print('x', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        handle = psutil.Process(process.pid)
        family = [handle, *handle.children()]
        yield handle
        for member in family:
            if lives(member):
                member.kill()


@pytest.mark.django_db
def test_a_child_that_outlived_its_scheduler_is_killed_before_its_run_runs_again(
    me: SchedulerInstance, survivor: psutil.Process
) -> None:
    grandchild = survivor.children()[0]
    run = factories.running(
        schedule=factories.schedule(), instance=dead(), pid=survivor.pid, process_started=survivor.create_time()
    )
    list(recover(me, NOW))
    assert not lives(survivor)
    assert not lives(grandchild)
    assert Run.objects.get(parent=run).status == RunStatus.QUEUED


@pytest.mark.django_db
def test_a_process_that_only_has_a_dead_childs_number_is_left_alone(
    me: SchedulerInstance, survivor: psutil.Process
) -> None:
    run = factories.running(
        schedule=factories.schedule(), instance=dead(), pid=survivor.pid, process_started=survivor.create_time() - 60
    )
    list(recover(me, NOW))
    assert lives(survivor)
    assert Run.objects.filter(parent=run).exists()


@pytest.mark.django_db
def test_a_run_whose_child_does_not_go_is_not_run_again_yet(
    me: SchedulerInstance, survivor: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = factories.running(
        schedule=factories.schedule(), instance=dead(), pid=survivor.pid, process_started=survivor.create_time()
    )
    monkeypatch.setattr(recovery.limits, "kill", lambda process: None)
    monkeypatch.setattr(recovery, "KILL_SECONDS", 0.1)
    assert list(recover(me, NOW)) == []
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING
    monkeypatch.undo()
    assert [lost.pk for lost in recover(me, NOW)] == [run.pk]
    wait_until(lambda: not lives(survivor))
