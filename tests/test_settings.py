"""Settings from the environment: what is missing stops the start with one clear line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

ROOT = Path(__file__).resolve().parents[1]
GOOD = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-only-a-test-of-settings",
    "ALLOWED_HOSTS": "example.org",
    "NEWSS_CONTACT": "mailto:news@example.org",
    "DATABASE_URL": "sqlite:////tmp/newss-none.sqlite3",
}

pytestmark = pytest.mark.anydb


def start(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**base, "NEWSS_ENV_FILE": os.devnull, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS"])
@pytest.mark.parametrize("command", [["manage.py", "check"], ["-c", "import newss_project.wsgi"]])
def test_a_missing_setting_stops_the_start_with_one_line(missing: str, command: list[str]) -> None:
    done = start(command, **{key: value for key, value in GOOD.items() if key != missing})
    assert done.returncode != 0
    assert done.stderr.startswith(f"newss: {missing} is not set.")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_wrong_database_address_is_one_line() -> None:
    done = start(["manage.py", "check"], **{**GOOD, "DATABASE_URL": "mysql://somewhere/x"})
    assert done.returncode != 0
    assert done.stderr.strip() == "newss: DATABASE_URL must begin with sqlite:// or postgres://."


@pytest.mark.parametrize("setting", ["NEWSS_LEASE_SECONDS=nan", "NEWSS_EXECUTOR_THREADS=abc"])
def test_a_number_that_is_none_is_one_line(setting: str) -> None:
    name, value = setting.split("=")
    done = start(["manage.py", "check"], **GOOD | {name: value})
    assert done.returncode != 0
    assert done.stderr.strip() == f"newss: {name} is not a number: {value}"


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        (
            "$(begins-with-a-dollar-sign)$and-is-long-enough-as-a-key",
            "$(begins-with-a-dollar-sign)$and-is-long-enough-as-a-key",
        ),
        ("$ELSEWHERE", "what-the-other-variable-says"),
    ],
)
def test_a_key_may_begin_with_a_dollar_sign_or_stand_in_another_variable(typed: str, key: str) -> None:
    show = ["-c", "from newss_project import settings; print(settings.SECRET_KEY)"]
    done = start(show, **GOOD | {"SECRET_KEY": typed, "ELSEWHERE": "what-the-other-variable-says"})
    assert done.stdout.strip() == key


def test_debug_is_off_by_default_and_deployment_checks_are_clean() -> None:
    assert start(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], **GOOD).returncode == 0
    shown = start(["-c", "from newss_project import settings; print(settings.DEBUG)"], **GOOD)
    assert shown.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@db:5433/news", {"HOST": "db", "PORT": "5433", "USER": "u", "PASSWORD": "p", "NAME": "news"}),
        ("postgres://u@/news?host=/run/pg", {"HOST": "/run/pg", "PORT": "", "NAME": "news"}),
        ("postgres://u@%2Frun%2Fpg/news", {"HOST": "/run/pg", "NAME": "news"}),
    ],
)
def test_postgresql_is_reached_by_host_and_port_or_by_socket(url: str, expected: dict[str, str]) -> None:
    from newss_project.settings import database

    config = database(url)
    assert {key: config[key] for key in expected} == expected


def test_sqlite_runs_in_wal_mode_with_immediate_transactions() -> None:
    from newss_project.settings import database

    options = database("sqlite:///x.sqlite3")["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]
    assert options["timeout"] > 0


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/api/v1/docs", "/nowhere"])
def test_every_answer_carries_the_content_security_policy(admin_client: Client, path: str) -> None:
    policy = admin_client.get(path).headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert "'unsafe-inline'" not in directives["script-src"]
    assert directives["frame-ancestors"] == "'none'"
