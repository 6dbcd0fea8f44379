"""A copied database does not fire, until somebody adopts it."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import psycopg2
import pytest
from django.db import connection
from django.utils import timezone

from scheduling import leader, recovery
from scheduling.models import Installation, InstanceState, Run, RunStatus, SchedulerInstance
from tests import factories
from tests.scheduling.conftest import SchedulerProcess, wait_until
from tests.zygote import child_environment

Start = Callable[..., SchedulerProcess]


def instance(**values: object) -> SchedulerInstance:
    return SchedulerInstance.objects.create(**{"host": "here", "pid": 1, "process_started": 0.0, **values})


@pytest.mark.django_db
def test_the_first_leader_makes_the_database_its_own() -> None:
    assert leader.why_copied() == ""
    leader.take_over(instance())
    known = Installation.objects.get()
    assert (known.environment, known.identity) == ("default", leader.identity())


@pytest.mark.django_db
def test_another_environment_does_not_take_over_and_says_how_to_adopt(settings: object) -> None:
    leader.take_over(instance())
    settings.NEWSS_ENVIRONMENT = "staging"  # type: ignore[attr-defined]
    with pytest.raises(leader.CopiedDatabase) as refused:
        leader.take_over(instance())
    assert "default (" in str(refused.value)
    assert "staging (" in str(refused.value)
    assert "runapscheduler --adopt" in str(refused.value)
    leader.adopt()
    assert leader.take_over(instance()) == 2


@pytest.mark.django_db
def test_a_database_with_another_identity_is_a_copy() -> None:
    leader.take_over(instance())
    Installation.objects.update(identity="sqlite:/srv/production.sqlite3")
    assert "/srv/production.sqlite3" in leader.why_copied()


@pytest.mark.django_db
def test_a_database_whose_user_may_not_read_the_systems_identifier_has_an_identity_all_the_same(
    on_postgresql: bool,
) -> None:
    if not on_postgresql:
        pytest.skip("SQLite is known by its path")
    full = leader.identity()
    with connection.cursor() as cursor:
        cursor.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        cursor.execute("CREATE ROLE newss_plain; GRANT SELECT ON ALL TABLES IN SCHEMA public TO newss_plain")
        cursor.execute("SET LOCAL ROLE newss_plain")
        plain = leader.identity()
        assert plain == leader.identity() != full
        assert plain.endswith(f"/{connection.settings_dict['NAME']}")
        assert leader.why_copied() == ""
        cursor.execute("RESET ROLE")
    leader.take_over(instance())
    Installation.objects.update(identity=plain.replace("/", "9/"))
    assert "belongs to another installation" in leader.why_copied()


@pytest.mark.django_db
def test_another_host_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    leader.take_over(instance())
    monkeypatch.setattr("socket.gethostname", lambda: "another-host")
    assert leader.why_copied() == ""
    leader.take_over(instance(host="another-host"))


@pytest.mark.django_db
def test_adopting_frees_runs_of_the_original_whose_process_lives_on_this_host() -> None:
    alive = instance(
        host=socket.gethostname(),
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        state=InstanceState.ACTIVE,
        heartbeat_at=timezone.now() - timedelta(minutes=5),
    )
    run = factories.run(
        status=RunStatus.RUNNING, claim_token="of the original", started_at=timezone.now(), instance=alive
    )
    leader.adopt()
    me = instance(pid=2)
    leader.take_over(me)
    assert [lost.pk for lost in recovery.recover(me)] == [run.pk]


@pytest.fixture
def copied_database(transactional_db: None, on_postgresql: bool, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Return a function that copies the test database, as a dump or a file copy does, and returns its address."""
    environment = child_environment()
    settings = connection.settings_dict
    name = f"{settings['NAME']}_copy"

    def administer(statement: str) -> None:
        connection.close()
        own = psycopg2.connect(
            dbname="postgres", user=settings["USER"], password=settings["PASSWORD"], host=settings["HOST"],
            port=settings["PORT"] or None,
        )  # fmt: skip
        own.autocommit = True
        with own.cursor() as cursor:
            cursor.execute(statement)
        own.close()

    def copy() -> str:
        if on_postgresql:
            administer(f'CREATE DATABASE "{name}" TEMPLATE "{settings["NAME"]}"')
            return environment["DATABASE_URL"].replace(f"/{settings['NAME']}?", f"/{name}?")
        target = tmp_path / "copy.sqlite3"
        source, copied = sqlite3.connect(settings["NAME"]), sqlite3.connect(target)
        source.backup(copied)
        for opened in (source, copied):
            opened.close()
        return f"sqlite:///{target}"

    yield copy
    if on_postgresql:
        administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def test_a_scheduler_on_a_copy_stands_by_until_it_is_told_to_adopt(
    copied_database: Callable[[], str], start_scheduler: Start
) -> None:
    original = start_scheduler()
    schedule = factories.schedule(interval_seconds=1, executor="threads")
    wait_until(lambda: Run.objects.executed().filter(schedule=schedule).exists(), what="a run of the original")
    original.terminate()
    count = Run.objects.count()
    url = copied_database()
    copy = start_scheduler(leading=False, DATABASE_URL=url)
    copy.wait_for("belongs to another installation")
    copy.wait_for("runapscheduler --adopt")
    assert "Leading since" not in copy.output
    copy.terminate()
    adopted = start_scheduler("--adopt", DATABASE_URL=url)
    assert "is adopted by default" in adopted.output
    adopted.terminate()
    # From now on it is its own.
    start_scheduler(DATABASE_URL=url).terminate()
    assert Run.objects.count() == count


def test_what_keeps_a_scheduler_from_leading_stands_on_its_row(start_scheduler: Start) -> None:
    start_scheduler().terminate()
    staging = start_scheduler(leading=False, NEWSS_ENVIRONMENT="staging")
    schedule = factories.schedule(interval_seconds=1, executor="threads")

    def row() -> SchedulerInstance:
        return SchedulerInstance.objects.get(pid=staging.process.pid)

    staging.wait_for("belongs to another installation")
    wait_until(lambda: "belongs to another installation" in row().note, what="a note on the row")
    assert row().state == InstanceState.STANDBY
    waits_for = factories.run().waits_for()
    assert "one is running, but it stands by" in waits_for
    assert "runapscheduler --adopt" in waits_for
    assert not Run.objects.filter(schedule=schedule).exists()
    leader_of_staging = start_scheduler("--adopt", NEWSS_ENVIRONMENT="staging")
    wait_until(lambda: not row().note, what="the note is taken back")
    leader_of_staging.kill()
    staging.wait_for("Leading since")
