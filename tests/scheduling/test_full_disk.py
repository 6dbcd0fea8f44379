"""A disk that is full: the scheduler says so, goes on trying, and recovers without a restart."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psutil
from django.db import connection

from scheduling.models import Run
from tests import factories
from tests.scheduling.conftest import SchedulerProcess, wait_until

Start = Callable[..., SchedulerProcess]
ROOM_FOR_THE_LOG = 40_000
"""Bytes that a file of the scheduler may still have; the database and its log are larger, what it prints is not."""

REFUSE = """
CREATE FUNCTION test_disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER test_disk_full BEFORE INSERT OR UPDATE ON scheduling_run EXECUTE FUNCTION test_disk_full();
"""
ALLOW = "DROP TRIGGER test_disk_full ON scheduling_run; DROP FUNCTION test_disk_full();"


@contextmanager
def full_disk(scheduler: SchedulerProcess, on_postgresql: bool) -> Iterator[None]:
    """Let every write of a run fail as it does on a full disk, for this scheduler (SQLite) or for all (PostgreSQL)."""
    if on_postgresql:
        with connection.cursor() as cursor:
            cursor.execute(REFUSE)
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute(ALLOW)
        return
    process = psutil.Process(scheduler.process.pid)
    before = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (ROOM_FOR_THE_LOG, before[1]))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_survived_and_recovered_from(start_scheduler: Start, on_postgresql: bool) -> None:
    scheduler = start_scheduler()
    schedule = factories.schedule(interval_seconds=1, executor="threads")
    wait_until(lambda: schedule.runs.executed().exists(), what="a first run")
    with full_disk(scheduler, on_postgresql):
        wait_until(lambda: scheduler.output.count("trying again") >= 2, what="two complaints about the database")
    freed = datetime.now(UTC)
    wait_until(
        lambda: schedule.runs.executed().filter(scheduled_for__gt=freed).exists(), what="a run after the disk has room"
    )
    wait_until(lambda: not Run.objects.active().filter(scheduled_for__lt=freed).exists(), what="the end of the others")
    fires = list(schedule.runs.values_list("scheduled_for", "attempt"))
    assert len(fires) == len(set(fires))
    assert scheduler.process.poll() is None
    assert "Traceback" not in scheduler.output
