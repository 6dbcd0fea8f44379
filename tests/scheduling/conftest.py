"""Fixtures for tests with a real scheduler process on the test database."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.db import connection

from tests.zygote import Forked, Zygote, child_environment

ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], object], seconds: float = 30.0, what: str = "") -> None:
    """Poll until something holds; fail when it does not within some seconds (generous: machines differ)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    pytest.fail(f"did not happen within {seconds} s: {what or condition}")


def lives(process: psutil.Process) -> bool:
    """Tell whether a process runs still."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class SchedulerProcess:
    """A real `runapscheduler` and what it printed."""

    def __init__(self, log: Path, zygote: Zygote | None, *arguments: str, **environment: str) -> None:
        """Start one from a zygote, or (None) as a fresh interpreter."""
        self._log = log
        self._file = log.open("w")
        self.process: subprocess.Popen[bytes] | Forked
        if zygote is not None:
            self.process = zygote.start(log, "runapscheduler", *arguments, **environment)
        else:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "runapscheduler", *arguments],
                env={**child_environment(), **environment},
                stdout=self._file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._seen: list[psutil.Process] = []

    @property
    def output(self) -> str:
        return self._log.read_text()

    def children(self) -> list[psutil.Process]:
        """Return all processes below the scheduler, also those forked by its forkserver."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        self._seen += [child for child in found if child not in self._seen]
        return found

    def survivors(self) -> list[psutil.Process]:
        """Return the processes once seen below the scheduler that are still there."""
        return [child for child in self._seen if lives(child)]

    def wait_for(self, text: str, seconds: float = 30.0) -> None:
        wait_until(lambda: text in self.output or self.process.poll() is not None, seconds, f"output of “{text}”")
        assert text in self.output, self.output

    def kill(self) -> None:
        self.children()
        self.process.kill()
        self.process.wait()

    def terminate(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        self.children()
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._file.close()


@pytest.fixture
def start_scheduler(
    transactional_db: None, tmp_path: Path, zygote: Zygote
) -> Iterator[Callable[..., SchedulerProcess]]:
    """Return a function that starts a scheduler process; all are killed at the end of the test."""
    started: list[SchedulerProcess] = []

    def start(*arguments: str, leading: bool = True, **environment: str) -> SchedulerProcess:
        log = tmp_path / f"scheduler{len(started)}.log"
        # A library is loaded by a fresh interpreter only.
        fresh = "LD_PRELOAD" in environment
        process = SchedulerProcess(log, None if fresh else zygote, *arguments, **environment)
        started.append(process)
        if leading:
            process.wait_for("Leading since")
        return process

    yield start
    for process in started:
        process.close()
        # pytest shows this with a test that failed.
        print(process.output)
    connection.close()
