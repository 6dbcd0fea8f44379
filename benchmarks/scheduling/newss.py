"""NEWSS itself: the same measures with a real `runapscheduler`, or with its fire path alone where the commit counts.

python -m benchmarks.scheduling.newss newss URL MEASURE [NUMBER]      prints JSON
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.scheduling.figures import PERIOD_SECONDS, Statements, lags, next_start, rss_mb

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 3


def fill(count: int, seconds: int, start: datetime, **values: Any) -> None:
    """Store so many schedules of a job that does nothing, in threads of the scheduler."""
    from django.db import connection

    from scheduling.models import Run, Schedule, ScheduleChange

    with connection.cursor() as cursor:
        for table in (
            "django_apscheduler_djangojobexecution",
            "django_apscheduler_djangojob",
            Run._meta.db_table,
            "scheduling_schedulestate",
            Schedule._meta.db_table,
            ScheduleChange._meta.db_table,
        ):
            cursor.execute(f"DELETE FROM {table}")
    Schedule.objects.bulk_create(
        [
            Schedule(
                **{
                    "name": f"schedule {number}",
                    "job": "noop",
                    "trigger_kind": "interval",
                    "interval_seconds": seconds,
                    "start_at": start,
                    "created_at": start,
                    "executor": "threads",
                    "concurrency_policy": "allow",
                    **values,
                }
            )
            for number in range(count)
        ],
        batch_size=1_000,
    )


@contextlib.contextmanager
def scheduler() -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Yield a `runapscheduler` that leads, and the seconds that it took from its start."""
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "runapscheduler", "--grace", "0"],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
        )
        try:
            while "Leading since" not in Path(log.name).read_text():
                if process.poll() is not None:
                    raise RuntimeError(Path(log.name).read_text())
                time.sleep(0.005)
            yield process, time.monotonic() - began
        finally:
            process.terminate()
            process.wait()


def burst(count: int) -> dict[str, Any]:
    """Lags from due time to the job's function, and what was lost, of bursts of the real process."""
    from scheduling.models import Cause, Run, RunStatus

    start = next_start(6 + count / 1_000)
    fill(count, PERIOD_SECONDS, start)
    last_due = start + timedelta(seconds=PERIOD_SECONDS * (ROUNDS - 1))
    with scheduler():
        time.sleep(max(0.0, last_due.timestamp() + PERIOD_SECONDS - 0.5 - time.time()))
        due = Run.objects.filter(cause=Cause.SCHEDULE, scheduled_for__lte=last_due)
        deadline = time.monotonic() + 60
        while due.filter(status__in=RunStatus.active()).exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        done = list(due.filter(status=RunStatus.SUCCEEDED).values_list("scheduled_for", "started_at"))
    expected = count * ROUNDS
    found = [(started - scheduled).total_seconds() for scheduled, started in done]
    return {"expected": expected, "lost": expected - len(found), **lags(found)}


class FirePath:
    """The scheduler's fire path without what executes runs: what it commits stays queued."""

    def __init__(self) -> None:
        from scheduling import leader
        from scheduling.models import SchedulerInstance
        from scheduling.scheduler import FireScheduler

        instance = SchedulerInstance.objects.create(host="benchmark", pid=os.getpid(), process_started=0.0)
        self.until = float("inf")
        self.scheduler = FireScheduler(leader.take_over(instance), self._over, lambda _fired: None)
        self.lags: list[float] = []
        self.rows = 0
        self.committed_at = 0.0
        self._fire = self.scheduler._store.fire
        self.scheduler._store.fire = self._noted_fire

    def _over(self) -> bool:
        return time.time() > self.until

    def _noted_fire(self, now: datetime) -> Any:
        fired = self._fire(now)
        committed = time.time()
        if fired.runs:
            self.committed_at = committed
        self.rows += len(fired.runs)
        self.lags += [committed - run.scheduled_for.timestamp() for run in fired.runs if run.status == "queued"]
        return fired


def sustained(count: int) -> dict[str, Any]:
    """Whether `count` fires a second are committed for 8 s: p99 of lags to commit below a second, none lost."""
    start = next_start(6 + count / 1_000)
    fill(count, 1, start)
    path = FirePath()
    path.until = start.timestamp() + 8.5
    path.scheduler.start()
    expected = count * 9
    figures = lags(path.lags)
    held = path.rows >= count * 8 and len(path.lags) == path.rows and figures.get("p99", 9) < 1.0
    return {"held": held, "committed": len(path.lags), "expected": expected, **figures}


def overdue(count: int) -> dict[str, Any]:
    """Seconds from the scheduler's start to the commit of the last of so many overdue schedules."""
    from django_apscheduler.models import DjangoJob

    fill(count, 3_600, next_start(-1_800))
    warm = FirePath()
    warm.scheduler._sync.everything(datetime.now(UTC))
    DjangoJob.objects.update(next_run_time=next_start(-30))
    path = FirePath()
    began = time.time()
    path.until = began + 20
    fire = path.scheduler._store.fire

    def until_done(now: datetime) -> Any:
        fired = fire(now)
        if path.rows >= count:
            path.until = 0
        return fired

    path.scheduler._store.fire = until_done
    path.scheduler.start()
    return {"seconds": round(path.committed_at - began, 3), "lost": count - path.rows}


def start(count: int) -> dict[str, Any]:
    """Seconds from the process's start until it leads with so many schedules, and its memory with all below it."""
    from django_apscheduler.models import DjangoJob

    fill(count, 3_600, next_start(-1_800))
    with scheduler():
        while DjangoJob.objects.filter(next_run_time__isnull=False).count() < count:
            time.sleep(0.1)
    with scheduler() as (process, seconds):
        time.sleep(3)
        return {"seconds": round(seconds, 3), "rss_mb": rss_mb(process.pid)}


def edits(count: int) -> dict[str, Any]:
    """Seconds from the begin of saving an edit to the moved due time in the running scheduler's store."""
    from django.db import connection
    from django_apscheduler.models import DjangoJob

    from scheduling.models import Schedule

    def due(job_id: str) -> Any:
        # A bare statement: to look by query sets as often took half a core from what is measured.
        with connection.cursor() as cursor:
            cursor.execute("SELECT next_run_time FROM django_apscheduler_djangojob WHERE id = %s", [job_id])
            return cursor.fetchone()

    fill(1_000, 3_600, next_start(-1_800))
    found = []
    with scheduler():
        while DjangoJob.objects.filter(next_run_time__isnull=False).count() < 1_000:
            time.sleep(0.1)
        for number, schedule in enumerate(Schedule.objects.all()[:count]):
            time.sleep(0.05)
            before = due(schedule.job_id)
            began = time.perf_counter()
            schedule.interval_seconds = 1_000 + number
            schedule.save()
            while due(schedule.job_id) == before:
                time.sleep(0.0005)
                if time.perf_counter() - began > 30:
                    break
            found.append(time.perf_counter() - began)
    return lags(found)


def statements(count: int) -> dict[str, Any]:
    """Statements that the fire of so many due schedules takes, BEGIN and COMMIT apart."""
    from django.db import connection

    begin = next_start(-5)
    fill(count, 3_600, begin)
    path = FirePath()
    now = datetime.now(UTC)
    path.scheduler._sync.everything(now)
    from django_apscheduler.models import DjangoJob

    DjangoJob.objects.update(next_run_time=begin)
    counted = Statements()
    with connection.execute_wrapper(counted):
        path.scheduler._store.fire(now)
    assert path.rows == count
    return {"statements": counted.count}


MEASURES = {function.__name__: function for function in (burst, sustained, overdue, start, edits, statements)}


def main() -> None:
    _store, url, measure, *rest = sys.argv[1:]
    os.environ.update(
        DATABASE_URL=url, DJANGO_SETTINGS_MODULE="tests.settings", NEWSS_TEST_CHILD="1", LOG_LEVEL="INFO",
        NEWSS_CONTACT="mailto:bench@example.org",
    )  # fmt: skip
    import django
    from django.core.management import call_command

    django.setup()
    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0)
    print(json.dumps(MEASURES[measure](int(rest[0]))), flush=True)


if __name__ == "__main__":
    main()
