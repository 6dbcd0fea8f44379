"""`make demo` and `make run`: set up, then web, scheduler and (demo only) the sample news site, until Ctrl-C.

Everything of the demo lies in `var/demo/` (or NEWSS_DEMO_FOLDER); running it again goes on from there. `make run` works
with `.env` and writes one when there is none.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType

import psutil
from honcho.manager import Manager

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECONDS = 3
"""Seconds that runs get to end at a stop: honcho kills what is left after 5."""


class Stop(Exception):
    """The start cannot go on, for a reason that one line tells."""


def main(arguments: list[str] | None = None) -> int:
    """Set up and run until a signal; return the exit code (0 after Ctrl-C or SIGTERM)."""
    parser = ArgumentParser(prog="python -m newss_project.demo", description="Show NEWSS at work.")
    parser.add_argument("--real", action="store_true", help="no sample site: for real sources, settings from .env")
    options = parser.parse_args(arguments)
    # The install has just ended when this process starts.
    start = psutil.Process().create_time()
    try:
        port = free_port("PORT", 8000, "127.0.0.1")
        site_port = None if options.real else free_port("SITE_PORT", 8700, "127.0.0.11")
        state = prepare_run() if options.real else prepare_demo(port)
        set_up(site_port)
        password = make_admin(state)
    except Stop as stop:
        print(f"newss: {stop}", file=sys.stderr)
        return 1
    return serve(port, site_port, state, start, password)


def free_port(variable: str, default: int, host: str) -> int:
    """Return the port that an environment variable names; raises `Stop` when it is no port or busy."""
    text = os.environ.get(variable) or str(default)
    if not text.isdigit() or not 0 < int(text) < 65_536:
        raise Stop(f"{variable} must be a port from 1 to 65535, got: {text}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(text)))
        except OSError as error:
            raise Stop(
                f"port {text} cannot be used ({error.strerror}). Choose another: make demo {variable}=…"
            ) from error
    return int(text)


def read_state(path: Path) -> dict[str, str]:
    """Return the settings in an environment file; none when it does not exist."""
    if not path.exists():
        return {}
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in lines}


def write_state(path: Path, state: dict[str, str]) -> None:
    """Write settings that only this user may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("".join(f"{key}={value}\n" for key, value in state.items()))


def prepare_demo(port: int) -> dict[str, str]:
    """Write (or go on with) the demo's own settings in its folder, and put them into the environment."""
    path = Path(os.environ.get("NEWSS_DEMO_FOLDER") or ROOT / "var" / "demo").resolve() / "env"
    known = read_state(path)
    state = {
        "SECRET_KEY": known.get("SECRET_KEY") or secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "DEBUG": "off",
        "NEWSS_INSECURE_HTTP": "on",
        # Nothing goes over a network, and it takes longer than all else at the start.
        "NEWSS_COMPRESS_STATIC": "off",
        "NEWSS_ENVIRONMENT": "demo",
        # The sample site is on loopback addresses.
        "NEWSS_ALLOW_NETWORKS": "127.0.0.0/8",
        # The only ones that it asks are its own.
        "NEWSS_CONTACT": f"http://127.0.0.1:{port}/",
        "DATABASE_URL": os.environ.get("DATABASE_URL") or f"sqlite:///{path.with_name('newss.sqlite3')}",
        "DEMO_ADMIN_PASSWORD": known.get("DEMO_ADMIN_PASSWORD") or secrets.token_urlsafe(9),
        "DEMO_EPOCH": known.get("DEMO_EPOCH") or str(int(time.time())),
    }
    write_state(path, state)
    os.environ.update(state)
    os.environ["NEWSS_ENV_FILE"] = str(path)
    return state


def prepare_run() -> dict[str, str]:
    """Write a first `.env` when there is none; an existing one (or the environment) is the user's."""
    path = ROOT / ".env"
    if not path.exists() and "SECRET_KEY" not in os.environ:
        write_state(
            path,
            {
                "SECRET_KEY": secrets.token_urlsafe(50),
                "ALLOWED_HOSTS": "127.0.0.1,localhost",
                "NEWSS_INSECURE_HTTP": "on",
                "NEWSS_COMPRESS_STATIC": "off",
            },
        )
        print("A first .env was written; .env.example tells what else can stand there.")
    return {}


def set_up(site_port: int | None) -> None:
    """Migrate, collect static files, and on an empty demo database add sources and schedules."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newss_project.settings")
    os.chdir(ROOT)
    import django
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import call_command
    from django.db import DatabaseError

    try:
        django.setup()
        call_command("migrate", verbosity=0)
    except (ImproperlyConfigured, DatabaseError) as error:
        raise Stop(" ".join(str(error).split())) from error
    call_command("collectstatic", interactive=False, verbosity=0)
    if site_port is not None:
        from newss_project.demo_rows import add_rows

        add_rows(site_port)


def make_admin(state: dict[str, str]) -> str:
    """Make sure that somebody can log in; return the password to print, empty if it is not ours to know."""
    from django.contrib.auth.models import User

    password = state.get("DEMO_ADMIN_PASSWORD", "")
    if not password:
        if User.objects.filter(is_superuser=True).exists():
            return ""
        password = secrets.token_urlsafe(9)
    user, created = User.objects.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
    if created or not user.check_password(password):
        user.set_password(password)
        user.save()
    return password


def serve(port: int, site_port: int | None, state: dict[str, str], start: float, password: str) -> int:
    """Run all processes until a signal; return 0 then, or the exit code of the process that ended by itself."""
    from django.db import connections

    print(f"\nNEWSS:  http://127.0.0.1:{port}/admin/")
    print(f"Log in: admin / {password}" if password else "Log in: as the administrator that you made")
    if site_port is not None:
        env_file = Path(os.environ["NEWSS_ENV_FILE"])
        print(f"Sample news site: http://127.0.0.11:{site_port}/")
        print(f"A shell on this demo: NEWSS_ENV_FILE={_short(env_file)} .venv/bin/python manage.py shell")
    print("Ctrl-C stops everything.\n", flush=True)
    connections.close_all()
    python = shlex.quote(sys.executable)
    commands = {
        "web": f"exec {python} -m gunicorn newss_project.wsgi --bind 127.0.0.1:{port} --workers 2 --threads 8"
        " --graceful-timeout 3"
        " --log-level warning",
        "scheduler": f"exec {python} manage.py runapscheduler --grace {GRACE_SECONDS}",
    }
    if site_port is not None:
        commands["site"] = f"exec {python} -m tests.site --port {site_port} --epoch {state['DEMO_EPOCH']}"
    processes = Processes(first_article=start if site_port is not None else None)
    for name, command in commands.items():
        processes.add_process(name, command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, cwd=str(ROOT))
    processes.loop()
    stopped = processes.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    return 0 if stopped else processes.returncode or 1


def _short(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


class Processes(Manager):  # type: ignore[misc]
    """honcho's manager, which also ends at SIGHUP and tells of the first article."""

    def __init__(self, first_article: float | None) -> None:
        """Take the instant from which the first article is timed (seconds since 1970), or None not to."""
        super().__init__()
        self._since = first_article

    def _start(self) -> None:
        super()._start()

        def hang_up(_number: int, _frame: FrameType | None) -> None:
            self.returncode = 128 + signal.SIGTERM
            self.terminate()

        signal.signal(signal.SIGHUP, hang_up)
        if self._since is not None:
            # Only now: a thread with a database connection must not be forked.
            threading.Thread(target=tell_first_article, args=(self._since,), daemon=True).start()


def tell_first_article(since: float) -> None:
    """Print a line as soon as an article is stored that was not there before."""
    from datetime import UTC, datetime

    from django.db import connection

    from scrapers.models import Article

    stored = Article.objects.filter(created_at__gte=datetime.fromtimestamp(since, UTC)).order_by("created_at")
    if count := Article.objects.count():
        print(f"{count} articles are there from before.", flush=True)
    while (article := stored.first()) is None:
        connection.close()
        time.sleep(0.2)
    seconds = round(article.created_at.timestamp() - since)
    print(f"first article stored {seconds} s after start: {article.title}", flush=True)
    connection.close()


if __name__ == "__main__":
    sys.exit(main())
