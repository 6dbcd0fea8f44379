"""A leader that sleeps while another takes over, and wakes up: it fires, claims and ends nothing twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from scheduling import leader
from scheduling.models import InstanceState, Run, RunStatus, SchedulerInstance
from tests import factories
from tests.scheduling.conftest import SchedulerProcess, wait_until

Start = Callable[..., SchedulerProcess]


def put_to_sleep(scheduler: SchedulerProcess, on_postgresql: bool) -> None:
    """Stop a scheduler, on SQLite not while it holds the only write lock: nobody can take that from it."""
    for _ in range(20):
        scheduler.process.send_signal(signal.SIGSTOP)
        if on_postgresql:
            return
        try:
            with transaction.atomic():
                return
        except DatabaseError:
            scheduler.process.send_signal(signal.SIGCONT)
    pytest.fail("the scheduler always held the write lock")


@pytest.mark.long
@pytest.mark.parametrize("sleep_seconds", [20])
def test_a_leader_that_sleeps_is_replaced_and_does_nothing_twice_when_it_wakes(
    start_scheduler: Start, on_postgresql: bool, sleep_seconds: float
) -> None:
    first = start_scheduler(NEWSS_LEASE_SECONDS="4")
    second = start_scheduler(leading=False, NEWSS_LEASE_SECONDS="4")
    second.wait_for("Standing by")
    ticking = [factories.schedule(interval_seconds=1, executor=executor) for executor in ("threads", "processes")]
    long_run = factories.run(job="sleep", parameters={"seconds": 15}, executor="processes")
    wait_until(lambda: Run.objects.running().filter(pk=long_run.pk, pid__isnull=False).exists())
    wait_until(lambda: all(schedule.runs.executed().exists() for schedule in ticking))
    put_to_sleep(first, on_postgresql)
    asleep_since = time.monotonic()
    second.wait_for("Leading since", 60)
    took_over = datetime.now(UTC)
    wait_until(lambda: all(s.runs.executed().filter(scheduled_for__gt=took_over).exists() for s in ticking))
    # The child of the sleeping leader goes on; it is no proof of death that its scheduler is silent.
    wait_until(lambda: Run.objects.filter(pk=long_run.pk, status=RunStatus.SUCCEEDED).exists(), 60)
    wait_until(lambda: time.monotonic() - asleep_since > sleep_seconds, sleep_seconds + 10)
    first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "Standing by" in first.output, what="the old leader stands by")
    woke_up = datetime.now(UTC)
    wait_until(
        lambda: all(
            s.runs.executed().filter(scheduled_for__gt=woke_up + timedelta(seconds=2)).exists() for s in ticking
        )
    )
    for schedule in ticking:
        fires = list(schedule.runs.order_by("scheduled_for", "attempt").values_list("scheduled_for", "attempt"))
        assert len(fires) == len(set(fires))
        assert not schedule.runs.filter(status=RunStatus.LOST).exists()
    assert Run.objects.filter(parent=long_run).count() == 0
    assert SchedulerInstance.objects.active().get().pid == second.process.pid
    assert first.process.poll() is None
    assert "Traceback" not in first.output + second.output


def test_schedulers_that_slept_and_were_taken_for_lost_say_that_they_live(start_scheduler: Start) -> None:
    first, second = start_scheduler(), start_scheduler(leading=False)
    second.wait_for("Standing by")
    wait_until(lambda: SchedulerInstance.objects.count() == 2)
    SchedulerInstance.objects.update(state=InstanceState.LOST, ended_at=datetime.now(UTC))

    def states() -> set[tuple[int, str]]:
        return set(SchedulerInstance.objects.filter(ended_at=None).values_list("pid", "state"))

    wanted = {(first.process.pid, InstanceState.ACTIVE.value), (second.process.pid, InstanceState.STANDBY.value)}
    wait_until(lambda: states() == wanted, what="both are as they were")


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_is_broken_off_is_noticed_by_its_holder_and_free_for_the_next() -> None:
    holder, other = leader.leader_lock(), leader.leader_lock()
    try:
        assert holder.acquire()
        assert not other.acquire()
        other.break_off()
        wait_until(other.acquire, what="the lock")
        assert not holder.is_held()
        assert other.is_held()
    finally:
        holder.release()
        other.release()


@pytest.mark.django_db
def test_silence_is_measured_by_changes_of_the_heartbeat_not_by_the_hosts_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 1000.0
    monkeypatch.setattr(leader.time, "monotonic", lambda: clock)
    silence = leader.Silence()
    assert silence.seconds(clock) == 0
    # Its clock is a day behind: that is no silence.
    yesterday = datetime.now(UTC) - timedelta(days=1)
    active = SchedulerInstance.objects.create(
        host="elsewhere", pid=1, process_started=1, state=InstanceState.ACTIVE, heartbeat_at=yesterday
    )
    assert silence.seconds(clock) == 0
    clock += 7
    assert silence.seconds(clock) == 7
    active.heartbeat_at = yesterday + timedelta(seconds=2)
    active.save()
    assert silence.seconds(clock) == 0
    clock += 7
    active.delete()
    assert silence.seconds(clock) == 0
    clock += 100
    assert silence.seconds(clock) == 0


@pytest.mark.django_db
def test_a_database_that_keeps_every_heartbeat_back_is_no_silence_of_the_leader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 1000.0
    monkeypatch.setattr(leader.time, "monotonic", lambda: clock)
    SchedulerInstance.objects.create(host="elsewhere", pid=1, process_started=1, state=InstanceState.ACTIVE)
    silence = leader.Silence()
    assert silence.seconds(clock) == 0
    # It stood still for a minute, and is asked before anybody's heartbeat has come through.
    own_beat = clock
    clock += 60
    assert silence.seconds(own_beat) == 0
    clock += 3
    assert silence.seconds(clock) == 3
