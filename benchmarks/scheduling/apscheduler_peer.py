"""APScheduler with one of three stores, as their documentation shows it, with default settings: raw django-apscheduler
(`django`), `sqlalchemy`, and `memory` as the floor; `memory_patient` drops no late run, so that all of a burst have a
lag (the default misfire grace time drops what is a second late). Runs in the environment of
benchmarks/requirements.txt.

    python -m benchmarks.scheduling.apscheduler_peer STORE URL MEASURE [NUMBER]      prints JSON
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
from apscheduler import events
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from benchmarks.scheduling.figures import PERIOD_SECONDS, Statements, lags, next_start, rss_mb

ROUNDS = 3


def nothing() -> None:
    """The job of every benchmark."""


class Peer:
    """A scheduler with its store, and what its events told."""

    def __init__(self, store: str, url: str) -> None:
        self._kind, self._url = store, url
        if store == "django":
            set_django_up(url)
        self.lags: list[float] = []
        self.skipped = 0
        self._lock = threading.Lock()

    def scheduler(self) -> BackgroundScheduler:
        patient = {"misfire_grace_time": None} if self._kind == "memory_patient" else {}
        scheduler = BackgroundScheduler(timezone=UTC, job_defaults=patient)
        scheduler.add_jobstore(self._store(), "default")
        scheduler.add_listener(self._executed, events.EVENT_JOB_EXECUTED)
        scheduler.add_listener(self._not_run, events.EVENT_JOB_MISSED | events.EVENT_JOB_MAX_INSTANCES)
        return scheduler

    def _store(self) -> Any:
        if self._kind == "django":
            from django_apscheduler.jobstores import DjangoJobStore

            return DjangoJobStore()
        if self._kind == "sqlalchemy":
            from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

            return SQLAlchemyJobStore(url=self._url.replace("postgres://", "postgresql+psycopg2://", 1))
        from apscheduler.jobstores.memory import MemoryJobStore

        return MemoryJobStore()

    def _executed(self, event: Any) -> None:
        with self._lock:
            self.lags.append(time.time() - event.scheduled_run_time.timestamp())

    def _not_run(self, event: Any) -> None:
        with self._lock:
            self.skipped += len(getattr(event, "scheduled_run_times", None) or [1])

    def clear(self) -> None:
        scheduler = self.scheduler()
        scheduler.start(paused=True)
        scheduler.remove_all_jobs()
        scheduler.shutdown()

    def fill(self, count: int, seconds: int, start: datetime, **options: Any) -> BackgroundScheduler:
        """Return a running scheduler that does not fire yet, with so many jobs due at `start` and every `seconds`."""
        scheduler = self.scheduler()
        scheduler.start(paused=True)
        for number in range(count):
            trigger = IntervalTrigger(seconds=seconds, start_date=start, timezone=UTC)
            scheduler.add_job(nothing, trigger, id=f"job{number}", **options)
        return scheduler


def burst(peer: Peer, count: int) -> dict[str, Any]:
    # Filling takes a stock store up to a minute for 10,000 jobs.
    start = next_start(4 + count / 100)
    scheduler = peer.fill(count, PERIOD_SECONDS, start)
    scheduler.resume()
    time.sleep(max(0.0, start.timestamp() - time.time()) + PERIOD_SECONDS * (ROUNDS - 1))
    last_due = start + timedelta(seconds=PERIOD_SECONDS * (ROUNDS - 1))
    time.sleep(max(0.0, last_due.timestamp() + PERIOD_SECONDS - 0.5 - time.time()))
    scheduler.pause()
    settle(peer)
    expected = count * ROUNDS
    return {"expected": expected, "lost": max(0, expected - len(peer.lags)), **lags(peer.lags)}


def settle(peer: Peer) -> None:
    known = -1
    while known != len(peer.lags):
        known = len(peer.lags)
        time.sleep(1)


def sustained(peer: Peer, count: int) -> dict[str, Any]:
    """Whether `count` fires a second are held for 8 s: p99 of lags below a second, none lost."""
    start = next_start(2 + count / 100)
    scheduler = peer.fill(count, 1, start)
    scheduler.resume()
    time.sleep(max(0.0, start.timestamp() - time.time()) + 8.5)
    scheduler.pause()
    settle(peer)
    figures = lags(peer.lags)
    held = len(peer.lags) >= count * 8 and figures.get("p99", 9) < 1.0
    return {"held": held, "executed": len(peer.lags), **figures}


def overdue(peer: Peer, count: int) -> dict[str, Any]:
    """Seconds from the scheduler's start to the last of so many overdue jobs."""
    late = datetime.now(UTC) - timedelta(seconds=30)
    scheduler = peer.fill(count, 3_600, late, misfire_grace_time=None, next_run_time=late)
    began = time.time()
    scheduler.resume()
    while len(peer.lags) < count and time.time() - began < 120:
        time.sleep(0.01)
    return {"seconds": round(time.time() - began, 3), "lost": count - len(peer.lags)}


def start(peer: Peer, count: int) -> dict[str, Any]:
    """Seconds from the start of a process until its scheduler with so many stored jobs works, and its memory."""
    if peer._kind.startswith("memory"):
        peer.fill(count, 3_600, next_start(600)).resume()
        return {"seconds": since_process_start(), "rss_mb": rss_mb()}
    peer.fill(count, 3_600, next_start(600)).shutdown()
    command = [sys.executable, *sys.orig_argv[1:]]
    command[command.index("start")] = "started"
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def started(peer: Peer, _count: int) -> dict[str, Any]:
    """What `start` runs in a fresh process."""
    scheduler = peer.scheduler()
    scheduler.start()
    scheduler._process_jobs()
    return {"seconds": since_process_start(), "rss_mb": rss_mb()}


def since_process_start() -> float:
    return round(time.time() - psutil.Process().create_time(), 3)


def edits(peer: Peer, count: int) -> dict[str, Any]:
    """Seconds from an edit of a job's row by another process to the job running, with a heartbeat job of 30 s."""
    found = []
    scheduler = peer.scheduler()
    scheduler.start()
    scheduler.add_job(nothing, "interval", seconds=30, id="heartbeat")
    scheduler.add_job(nothing, "interval", seconds=3_600, id="edited")
    other = peer.scheduler()
    other.start(paused=True)
    for _number in range(count):
        time.sleep(7)
        done = len(peer.lags)
        began = time.time()
        # What an edit in the admin does: another process writes the row; the running scheduler is not told.
        other.reschedule_job("edited", trigger="interval", seconds=3_600)
        other.modify_job("edited", next_run_time=datetime.now(UTC), misfire_grace_time=None)
        while len(peer.lags) == done and time.time() - began < 60:
            time.sleep(0.005)
        found.append(time.time() - began)
    return lags(found)


def statements(peer: Peer, count: int) -> dict[str, Any]:
    """Statements that the fire of so many due jobs takes (raw django-apscheduler only)."""
    from django.db import connection

    counted = Statements()
    scheduler = peer.fill(count, 3_600, datetime.now(UTC) + timedelta(seconds=2))
    scheduler.pause()
    time.sleep(3)
    scheduler.state = 1
    with connection.execute_wrapper(counted):
        scheduler._process_jobs()
    settle(peer)
    return {"statements": counted.count}


def set_django_up(url: str) -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    settings.configure(
        DATABASES={"default": django_database(url)},
        INSTALLED_APPS=["django_apscheduler"],
        USE_TZ=True,
        TIME_ZONE="UTC",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    django.setup()
    call_command("migrate", verbosity=0)


def django_database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": parts.path,
            # As NEWSS sets it; with Django's defaults django-apscheduler's threads fail with "database is locked".
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL;",
            },
        }
    query = parse_qs(parts.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username or "postgres",
        "PASSWORD": parts.password or "",
        "HOST": query.get("host", [parts.hostname or ""])[0],
        "PORT": query.get("port", [str(parts.port or "")])[0],
    }


MEASURES = {function.__name__: function for function in (burst, sustained, overdue, start, started, edits, statements)}


def main() -> None:
    store, url, measure, *rest = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    peer = Peer(store, url)
    if measure != "started":
        peer.clear()
    print(json.dumps(MEASURES[measure](peer, int(rest[0]))), flush=True)
    # Threads of a scheduler that is still busy are of no interest any more.
    import os

    os._exit(0)


if __name__ == "__main__":
    main()
