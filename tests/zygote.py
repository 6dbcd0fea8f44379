"""Commands that start in milliseconds: a process that has imported what `runapscheduler` imports, and forks.

What it forks is what a `manage.py runapscheduler`, or another command, is after its one to two seconds of imports:
Django set up, no thread, no connection, a session of its own, its output in a file; what becomes its forkserver is
forked from it before it begins (`scheduling.forkservers`).

A command that needs an environment of its own reads the settings anew after the fork; nothing else here looks at the
environment while it is imported. One zygote lives beside each pytest worker that needs it, and ends with it.
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
from importlib import import_module, reload
from pathlib import Path
from typing import Any

from scheduling.forkservers import stand_ready

ROOT = Path(__file__).resolve().parents[1]


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

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, log: Path, *arguments: str, **environment: str) -> Forked:
        """Start a command of `manage.py` with variables of the environment; its output goes to a file."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(log), environment, *arguments]) + "\n")
        self._process.stdin.flush()
        return Forked(int(self._process.stdout.readline()), _ended(log))

    def close(self) -> None:
        """End the process; what it forked lives on."""
        self._process.communicate(timeout=60)


def child_environment() -> dict[str, str]:
    """Return the environment of a child process that works on the test database."""
    from django.db import connection

    settings = connection.settings_dict
    if connection.vendor == "postgresql":
        url = f"postgres://{settings['USER']}:{settings['PASSWORD']}@/{settings['NAME']}?host={settings['HOST']}"
        url += f"&port={settings['PORT']}" if settings["PORT"] else ""
    else:
        url = f"sqlite:///{settings['NAME']}"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "NEWSS_TEST_CHILD": "1",
        "DATABASE_URL": url,
        "PYTHONDEVMODE": "",
    }


def _ended(log: Path) -> Path:
    """Return the file that holds the exit code of what writes to a log, once it has ended."""
    return log.with_suffix(".ended")


def main() -> Any:
    """Fork a command for each line of standard input: JSON, a list of its log, its environment and its arguments."""
    sys.argv = ["manage.py"]
    _set_up()
    while line := sys.stdin.readline():
        log, environment, *arguments = json.loads(line)
        # One process waits for each command and notes how it ended.
        if os.fork() == 0:
            if (pid := os.fork()) == 0:
                _apart(log)
                if environment:
                    os.environ.update(environment)
                    _read_settings_again()
                stand_ready()
                from django.core.management import execute_from_command_line

                # The end is that of any program, from here on.
                return execute_from_command_line(["manage.py", *arguments])
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

    django.setup()
    import_module(settings.ROOT_URLCONF)
    import_module("scheduling.management.commands.runapscheduler")
    # What was imported stays: a garbage collector that looks through it copies its memory, in each process anew.
    gc.collect()
    gc.freeze()


def _read_settings_again() -> None:
    """Let the settings be what the environment now makes of them."""
    from django.conf import settings
    from django.db import connections

    for name in ("newss_project.settings", "tests.settings"):
        module = reload(import_module(name))
    for name in filter(str.isupper, vars(module)):
        setattr(settings, name, getattr(module, name))
    for alias, database in connections.configure_settings(settings.DATABASES).items():
        connections.settings[alias].update(database)


def _apart(log: str) -> None:
    """Give this process a session, an input and an output of its own."""
    os.setsid()
    for number, (path, flags) in enumerate(
        [(os.devnull, os.O_RDONLY), *[(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)] * 2]
    ):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    main()
