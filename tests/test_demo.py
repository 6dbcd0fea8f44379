"""`make demo` as a new user meets it: real processes in a folder of their own, all gone at the end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests

from tests.scheduling.conftest import wait_until

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 180.0
"""How long the slowest machine may take for a step that takes some seconds."""


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Demo:
    """A demo in a folder of its own, and every process that it starts (they inherit the folder's name)."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder.with_suffix(".log")
        self._started = 0
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "NEWSS_"))}
        for name in ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "PYTHONDEVMODE", "TIME_ZONE"):
            clean.pop(name, None)
        self.environment = clean | {
            "PORT": str(self.port),
            "SITE_PORT": str(free_port("127.0.0.11")),
            "NEWSS_DEMO_FOLDER": str(folder),
            **({"DATABASE_URL": database} if database else {}),
        }

    def start(self) -> None:
        self._started = len(self.output)
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "newss_project.demo"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What all starts printed."""
        return self._log.read_text() if self._log.exists() else ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of a pattern in what the last start printed, once it is there."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, self.output[self._started :])

        wait_until(lambda: found() or self.process.poll() is not None, PATIENCE_SECONDS, f"output of “{pattern}”")
        match = found()
        assert match, self.output
        return match

    def processes(self) -> list[psutil.Process]:
        """Return every living process that this demo, or a start of it before, has started."""
        mine = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("NEWSS_DEMO_FOLDER") == str(self.folder):
                    mine.append(process)
            except psutil.Error:
                continue
        return [process for process in mine if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    def scheduler(self) -> psutil.Process:
        (found,) = [one for one in self.processes() if "runapscheduler" in one.cmdline()]
        return found

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Stop it by a signal; return the exit code and the seconds that it took."""
        before = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(60)
        return code, time.monotonic() - before

    def shell(self, code: str) -> str:
        """Return what Python prints in the shell that the demo's output names."""
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
            cwd=ROOT,
            env={**self.environment, "NEWSS_ENV_FILE": str(self.folder / "env")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def log_in(self) -> requests.Session:
        """Return a session with the user and the password that were printed."""
        name, password = self.wait_for(r"Log in: (\S+) / (\S+)").groups()
        session = requests.Session()
        wait_until(lambda: self._answers(session), PATIENCE_SECONDS, "the web to answer")
        form = {"username": name, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        answer = session.post(f"{self.url}/admin/login/?next=/admin/", form)
        assert answer.url == f"{self.url}/admin/", answer.text
        session.headers["X-CSRFToken"] = session.cookies["csrftoken"]
        return session

    def _answers(self, session: requests.Session) -> bool:
        try:
            return session.get(f"{self.url}/admin/login/", timeout=30).status_code == 200
        except requests.ConnectionError:
            return False

    def close(self) -> None:
        for process in self.processes():
            process.kill()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    with OwnDatabase() as address:
        made = Demo(tmp_path / "demo", address)
        yield made
        made.close()
        # pytest shows this with a test that failed.
        print(made.output)


class OwnDatabase:
    """A database of its own on the PostgreSQL of the test run; on SQLite the demo makes its own file."""

    def __enter__(self) -> str:
        self.server = os.environ.get("TEST_DATABASE_URL", "")
        if not self.server:
            return ""
        self.name = f"demo_{uuid.uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {self.name}")
        return self._address(self.name)

    def _address(self, name: str) -> str:
        return urlsplit(self.server)._replace(path=f"/{name}").geturl()

    def __exit__(self, *_: Any) -> None:
        if self.server:
            self._execute(f"DROP DATABASE {self.name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        import psycopg2

        connection = psycopg2.connect(self._address("postgres"))
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()


@pytest.mark.anydb
def test_the_demo_stores_an_article_lets_people_in_and_leaves_nothing_behind(demo: Demo) -> None:
    demo.start()
    seconds, title = demo.wait_for(r"first article stored (\d+) s after start: (.+)").groups()
    assert title.strip()
    assert int(seconds) < PATIENCE_SECONDS
    session = demo.log_in()
    assert "Scheduler: active on" in session.get(f"{demo.url}/admin/").text
    assert session.get(f"{demo.url}/api/v1/schedules").json()["count"] == 4
    answer = session.post(f"{demo.url}/api/v1/search/start", json={"sources": ["Signal & Field"]})
    assert answer.status_code == 202, answer.text
    run = f"{demo.url}/api/v1/runs/{answer.json()['run']}"
    ended = ("succeeded", "partial", "failed")
    wait_until(lambda: session.get(run).json()["status"] in ended, PATIENCE_SECONDS, "the run to end")
    assert session.get(run).json()["status"] == "succeeded"
    assert session.get(answer.json()["url"]).status_code == 200
    everything = demo.processes()
    code, took = demo.stop()
    assert code == 0
    assert took < 30, "10 s on a machine that is not busy"
    wait_until(lambda: not demo.processes(), 10, f"the end of {everything}")
    assert "Traceback" not in demo.output
    assert "WARNING" not in demo.output
    assert demo.shell("from scheduling.models import Run; print(Run.objects.running().count())") == "0"


@pytest.mark.long
def test_a_killed_scheduler_ends_the_demo_and_the_next_start_goes_on(demo: Demo) -> None:
    demo.start()
    demo.wait_for("first article stored")
    count = "from scrapers.models import Article; print(Article.objects.count())"
    partial = "from scheduling.models import Run; print(*Run.objects.filter(status='partial').values_list('outcome'))"
    wait_until(lambda: "Broken Press" in demo.shell(partial), PATIENCE_SECONDS, "a partial run")
    assert "robots.txt" in demo.shell(partial)
    active = "from scheduling.models import Run; print(*Run.objects.running().values_list('pk', flat=True))"
    wait_until(lambda: demo.shell(active), PATIENCE_SECONDS, "a run to be in the middle of")
    demo.scheduler().kill()
    assert demo.process.wait(60) != 0
    wait_until(lambda: not demo.processes(), 10, "no process to be left")
    left = demo.shell(active)
    before = int(demo.shell(count))
    password = demo.wait_for(r"Log in: admin / (\S+)").group(1)

    demo.environment["SITE_PORT"] = str(free_port("127.0.0.11"))
    demo.start()
    assert demo.wait_for(r"Log in: admin / (\S+)").group(1) == password
    assert int(demo.wait_for(r"(\d+) articles are there from before").group(1)) == before
    demo.wait_for("Leading since")
    for run in left.split():
        status = f"from scheduling.models import Run; print(Run.objects.get(pk={run}).status)"
        wait_until(lambda status=status: demo.shell(status) == "lost", PATIENCE_SECONDS, "the run to be found lost")
    session = demo.log_in()
    again = session.post(f"{demo.url}/api/v1/search/start", json={"sources": ["The Harbour Courier"]}).json()["run"]
    run = f"{demo.url}/api/v1/runs/{again}"
    wait_until(lambda: session.get(run).json()["finished_at"], PATIENCE_SECONDS, "the run to end")
    assert session.get(run).json()["status"] == "succeeded", "the sources followed the sample site to its new port"
    code, _took = demo.stop(signal.SIGINT)
    assert code == 0
    wait_until(lambda: not demo.processes(), 10, "no process to be left")


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("PORT", "busy", "newss: port %d cannot be used (Address already in use). Choose another: make demo PORT=…"),
        (
            "SITE_PORT",
            "busy",
            "newss: port %d cannot be used (Address already in use). Choose another: make demo SITE_",
        ),
        ("PORT", "http", "newss: PORT must be a port from 1 to 65535, got: http"),
    ],
)
def test_a_port_that_cannot_be_had_is_said_in_one_line(demo: Demo, variable: str, value: str, line: str) -> None:
    host = "127.0.0.11" if variable == "SITE_PORT" else "127.0.0.1"
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        demo.environment[variable] = str(port) if value == "busy" else value
        demo.start()
        assert demo.process.wait(60) == 1
    (printed,) = demo.output.splitlines()
    assert printed.startswith(line.replace("%d", str(port)))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a make target with a virtual environment that is not there yet."""

    def run(python: str) -> subprocess.CompletedProcess[str]:
        stub = tmp_path / "python"
        stub.write_text(python)
        stub.chmod(0o755)
        command = ["make", "--no-print-directory", "demo", f"VENV={tmp_path / 'venv'}", f"PYTHON={stub}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    return run


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("lacks", "line"),
    [
        ("ensurepip", "has no venv module; on Debian: apt-get install python3-venv"),
        ("version_info", "NEWSS needs Python 3.11 or later"),
    ],
)
def test_a_python_that_will_not_do_is_said_in_one_line(
    make: Callable[..., subprocess.CompletedProcess[str]], lacks: str, line: str
) -> None:
    done = make(f'#!/bin/sh\ncase "$2" in *{lacks}*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    assert done.returncode != 0
    said, *rest = done.stderr.splitlines()
    assert line in said
    assert all(other.startswith("make") and "***" in other for other in rest)
