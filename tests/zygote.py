"""Schedulers that start in milliseconds: a process that has imported what `runapscheduler` imports, and forks.

What it forks is what a `manage.py runapscheduler` is after its one to two seconds of imports: Django set up, no
thread, no connection, a session of its own, its output in a file; what becomes its forkserver is forked from it before
it begins (`scheduling.forkservers`).

A test whose scheduler needs an environment of its own takes a *bare* one: it has imported only what reads no settings,
and what it forks takes the environment over before it sets Django up. One of each lives beside each pytest worker that
needs it, and ends with it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from scheduling.forkservers import stand_ready

ROOT = Path(__file__).resolve().parents[1]
READ_NO_SETTINGS = (
    "aiohttp",
    "apscheduler.schedulers.blocking",
    "django.core.management",
    "django.db.migrations.executor",
    "django.db.models",
    "django.views.generic",
    "feedparser",
    "psycopg2",
    "pydantic",
    "trafilatura",
)
"""What takes long to import, and may be before the settings are known."""


class Forked:
    """A process that the zygote forked, to be used like a `subprocess.Popen`."""

    def __init__(self, pid: int, ended: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        if self.returncode is None:
            with suppress(FileNotFoundError):
                self.returncode = int(self._ended.read_text())
        return self.returncode

    def wait(self, timeout: float = 60.0) -> int:
        """Return the exit code; raises `TimeoutExpired` after some seconds."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)


class Zygote:
    """The process that forks, seen from the tests."""

    def __init__(self, environment: dict[str, str], *, bare: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote", *(["bare"] if bare else [])],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, log: Path, *arguments: str, **environment: str) -> Forked:
        """Start `runapscheduler` with arguments, a bare one's also with variables; what it prints goes to a file."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(log), environment, *arguments]) + "\n")
        self._process.stdin.flush()
        return Forked(int(self._process.stdout.readline()), _ended(log))

    def close(self) -> None:
        """End the process; what it forked lives on."""
        self._process.communicate(timeout=60)


def _ended(log: Path) -> Path:
    """Return the file that holds the exit code of what writes to a log, once it has ended."""
    return log.with_suffix(".ended")


def main(*, bare: bool) -> Any:
    """Fork a scheduler for each line of standard input: JSON, a list of its log, its environment and its arguments."""
    sys.argv = ["manage.py"]
    for name in READ_NO_SETTINGS:
        import_module(name)
    if not bare:
        _set_up()
    while line := sys.stdin.readline():
        log, environment, *arguments = json.loads(line)
        # One process waits for each scheduler and notes how it ended.
        if os.fork() == 0:
            if (pid := os.fork()) == 0:
                _apart(log)
                os.environ.update(environment)
                if bare:
                    _set_up()
                stand_ready()
                from django.core.management import execute_from_command_line

                # The end is that of any program, from here on.
                return execute_from_command_line(["manage.py", "runapscheduler", *arguments])
            print(pid, flush=True)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            new = Path(log).with_suffix(".new")
            new.write_text(str(code))
            new.rename(_ended(Path(log)))
            os._exit(0)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return None


def _set_up() -> None:
    """Read the settings and import what a scheduler imports (what its children need comes along)."""
    import django
    from django.conf import settings

    assert not settings.configured, "something read the settings before they were known"
    django.setup()
    import_module(settings.ROOT_URLCONF)
    import_module("scheduling.management.commands.runapscheduler")
    # What was imported stays: a garbage collector that looks through it copies its memory, in each process anew.
    gc.collect()
    gc.freeze()


def _apart(log: str) -> None:
    """Give this process a session, an input and an output of its own."""
    os.setsid()
    for number, (path, flags) in enumerate([(os.devnull, os.O_RDONLY), *[(log, os.O_WRONLY | os.O_APPEND)] * 2]):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    main(bare="bare" in sys.argv)
