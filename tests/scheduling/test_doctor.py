"""The doctor finds what is wrong, and says what to do."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling import changes, doctor, leader
from scheduling.database import complaints
from scheduling.doctor import Severity, database, machine
from scheduling.models import (
    Hold,
    Installation,
    InstanceState,
    Run,
    RunStatus,
    Schedule,
    ScheduleChange,
    SchedulerInstance,
)
from tests import factories
from tests.zygote import Zygote

ROOT = Path(__file__).resolve().parents[2]
NOW = timezone.now


def found(id_: str) -> list[doctor.Finding]:
    return [finding for finding in doctor.examine() if finding.id == id_]


def process(state: InstanceState = InstanceState.ACTIVE, **values: Any) -> SchedulerInstance:
    return SchedulerInstance.objects.create(
        **{
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "state": state,
            **values,
        }
    )


@pytest.fixture
def lock() -> Any:
    """Hold the leader lock, as a healthy leader does."""
    held = leader.leader_lock()
    assert held.acquire()
    yield held
    held.release()


def long_ago(schedule: Schedule) -> Schedule:
    """Return the schedule as one that the scheduler has had time to notice."""
    Schedule.objects.filter(pk=schedule.pk).update(created_at=NOW() - timedelta(hours=1))
    return schedule


@pytest.mark.django_db
def test_a_healthy_installation_has_no_errors(lock: leader.LeaderLock) -> None:
    leader.take_over(process(InstanceState.STANDBY))
    schedule = long_ago(factories.schedule())
    DjangoJob.objects.create(id=schedule.job_id, next_run_time=NOW() + timedelta(seconds=30), job_state=state_of())
    ScheduleChange.objects.all().delete()
    assert [finding for finding in doctor.examine() if finding.severity == Severity.ERROR] == []


def state_of(**values: Any) -> bytes:
    import pickle

    from scheduling.triggers import FixedIntervalTrigger

    trigger = FixedIntervalTrigger(60, datetime(2026, 1, 1, tzinfo=UTC))
    return pickle.dumps({"version": 1, "id": "x", "trigger": trigger, "args": (), "kwargs": {}, **values})


def test_e000_an_examination_that_fails_is_told(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble() -> None:
        raise LookupError("no such thing")

    monkeypatch.setattr(changes, "missing_triggers", stumble)
    (finding,) = found("doctor.E000")
    assert "no such thing" in finding.what


def test_e001_a_database_that_is_away_is_the_only_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object) -> None:
        raise OperationalError("connection refused\n  Is the server running?")

    monkeypatch.setattr(database, "MigrationExecutor", away)
    (finding,) = doctor.examine()
    assert (finding.id, finding.severity) == ("doctor.E001", Severity.ERROR)
    assert "connection refused Is the server running?" in finding.what


def test_e002_missing_migrations_are_the_only_finding(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [(SimpleNamespace(app_label="scheduling", name="0002_change_triggers"), False)]
    fake = SimpleNamespace(
        loader=SimpleNamespace(graph=SimpleNamespace(leaf_nodes=list)), migration_plan=lambda _targets: plan
    )
    monkeypatch.setattr(database, "MigrationExecutor", lambda _connection: fake)
    (finding,) = doctor.examine()
    assert (finding.id, finding.remedy) == ("doctor.E002", "python manage.py migrate")
    assert "scheduling.0002_change_triggers" in finding.what


def test_e003_a_missing_trigger_is_found_and_repaired(transactional_db: None, on_postgresql: bool) -> None:
    assert changes.missing_triggers() == set()
    name = "newss_schedule_note" if on_postgresql else "newss_schedule_updated"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}" + (" ON scheduling_schedule" if on_postgresql else ""))
    try:
        (finding,) = found("doctor.E003")
        assert name in finding.what
    finally:
        with pytest.raises(SystemExit):  # no scheduler runs here
            call_command("schedule_doctor", repair=True)
    assert not found("doctor.E003")
    schedule = factories.schedule()
    ScheduleChange.objects.all().delete()
    schedule.save()
    schedule.refresh_from_db()
    assert (ScheduleChange.objects.count(), schedule.version) == (1, 2)


def test_w004_too_few_connections_or_no_wal(
    db: None, zygote: Zygote, on_postgresql: bool, settings: Any, tmp_path: Path
) -> None:
    assert complaints() == []
    if on_postgresql:
        settings.NEWSS_EXECUTOR_THREADS = 1_000
        (finding,) = found("doctor.W004")
        assert "NEWSS_EXECUTOR_THREADS" in finding.remedy
    else:
        code = (
            "from scheduling.database import complaints; from django.db import connection;"
            "c = connection.cursor(); c.execute('PRAGMA journal_mode=DELETE'); print(complaints())"
        )
        log, plain = tmp_path / "log", f"sqlite:///{tmp_path / 'plain.sqlite3'}"
        assert zygote.start(log, "shell", "--no-imports", "-c", code, DATABASE_URL=plain).wait() == 0
        assert "journal mode “delete”" in log.read_text()


def test_w004_a_server_that_ends_what_takes_a_moment(db: None, on_postgresql: bool) -> None:
    if not on_postgresql:
        pytest.skip("SQLite has no server")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '5s'; SET LOCAL idle_in_transaction_session_timeout = '1s'")
    (finding,) = found("doctor.W004")
    assert "idle_in_transaction_session_timeout = 1000 ms" in finding.what
    assert "statement_timeout" not in finding.what


def test_e005_a_copied_database(db: None) -> None:
    Installation.objects.create(environment="production", identity="sqlite:/srv/production.sqlite3")
    (finding,) = found("doctor.E005")
    assert "/srv/production.sqlite3" in finding.what
    assert "--adopt" in finding.remedy


def test_e006_changes_that_are_not_applied_while_a_leader_lives(db: None) -> None:
    factories.schedule()
    ScheduleChange.objects.update(at=NOW() - timedelta(minutes=5))
    assert not found("doctor.E006")
    process()
    assert "1 noted change" in found("doctor.E006")[0].what


def test_w007_w008_w009_rows_of_the_job_store(db: None) -> None:
    schedule = factories.schedule()
    for job_id, state in (
        (schedule.job_id, b"damaged"),
        ("schedule-4711", state_of()),
        ("tidy_up", state_of()),
    ):
        DjangoJob.objects.create(id=job_id, job_state=state)
    assert schedule.job_id in found("doctor.W007")[0].what
    assert "schedule-4711" in found("doctor.W008")[0].what
    assert "tidy_up" in found("doctor.W009")[0].what
    DjangoJob.objects.filter(pk=schedule.job_id).update(job_state=state_of(args=(os.system,)))
    assert "system, which is not read" in found("doctor.W007")[0].what


def test_e020_e021_w024_nobody_leads(db: None) -> None:
    assert found("doctor.E021")[0].remedy == "python manage.py runapscheduler"
    process(InstanceState.STANDBY, note="It has its reasons.")
    assert not found("doctor.E021")
    assert "1 stand by" in found("doctor.E020")[0].what
    assert "It has its reasons." in found("doctor.W024")[0].what


def test_e022_a_silent_leader(db: None) -> None:
    process(heartbeat_at=NOW() - timedelta(minutes=2))
    assert "has been silent since" in found("doctor.E022")[0].what


def test_e023_a_leader_without_the_lock(db: None) -> None:
    process()
    assert found("doctor.E023")
    held = leader.leader_lock()
    assert held.acquire()
    assert not found("doctor.E023")
    held.release()
    assert found("doctor.E023")


def test_e025_e026_w027_clocks(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [*found("doctor.E025"), *found("doctor.E026"), *found("doctor.W027")]
    monkeypatch.setattr(leader, "server_time", lambda: NOW() + timedelta(seconds=61))
    assert re.search(r"6[01]\.\d s apart", found("doctor.E025")[0].what)
    process(heartbeat_at=NOW() + timedelta(hours=1))
    assert found("doctor.E026")
    factories.run(queued_at=NOW() + timedelta(hours=1))
    assert found("doctor.W027")


def test_w028_everything_is_held(db: None) -> None:
    Hold.objects.create(reason="Moving house", held_by=factories.user(username="ada"))
    assert "by ada: Moving house" in found("doctor.W028")[0].what


def test_e029_runs_whose_process_is_gone(db: None) -> None:
    gone = process(heartbeat_at=NOW() - timedelta(minutes=2))
    run = factories.run(status=RunStatus.RUNNING, claim_token="t", started_at=NOW(), instance=gone)
    assert str(run.pk) in found("doctor.E029")[0].what


def test_w030_e031_w032_runs_that_wait_or_run_for_long(db: None) -> None:
    hour_ago = NOW() - timedelta(hours=1)
    factories.run(queued_at=hour_ago)
    factories.run(queued_at=hour_ago, executor="carrier pigeons")
    factories.run(queued_at=NOW())
    (waiting,) = found("doctor.W030")
    assert "1 run(s)" in waiting.what
    assert "NEWSS_EXECUTOR_THREADS" in waiting.remedy
    assert "carrier pigeons" in found("doctor.E031")[0].what
    endless = {"status": RunStatus.RUNNING, "claim_token": "t", "started_at": NOW() - timedelta(days=2)}
    limited = factories.run(**endless, time_limit_seconds=10**6)
    unlimited = factories.run(**endless)
    assert [str(unlimited) in finding.what for finding in found("doctor.W032")] == [True]
    assert str(limited) not in found("doctor.W032")[0].what


def test_e040_e041_broken_schedules(db: None) -> None:
    gone = factories.schedule(job="a job that is not there")
    twisted = factories.schedule(trigger_kind="crontab", crontab="61 25 * * *")
    wrong = factories.schedule(job="sleep", parameters={"seconds": "many"})
    factories.schedule(job="nor this", enabled=False)
    named = {re.findall(r"\((\d+)\)", finding.what)[0] for finding in found("doctor.E040")}
    assert named == {str(gone.pk), str(twisted.pk)}
    assert [f"({wrong.pk})" in finding.what for finding in found("doctor.E041")] == [True]


def test_e042_e043_schedules_out_of_step_while_a_leader_lives(db: None) -> None:
    late, unknown, done = (long_ago(factories.schedule()) for _ in range(3))
    paused = long_ago(factories.schedule(paused_at=NOW()))
    manual = long_ago(factories.schedule(trigger_kind="manual"))
    DjangoJob.objects.create(id=late.job_id, next_run_time=NOW() - timedelta(minutes=5), job_state=state_of())
    DjangoJob.objects.create(id=done.job_id, next_run_time=NOW() + timedelta(minutes=5), job_state=state_of())
    assert not found("doctor.E042")
    process()
    assert [f"({late.pk})" in finding.what for finding in found("doctor.E042")] == [True]
    assert [f"({unknown.pk})" in finding.what for finding in found("doctor.E043")] == [True]
    assert paused.pk != manual.pk


def test_w044_w045_schedules_without_a_future(db: None) -> None:
    past = NOW() - timedelta(days=1)
    ended = factories.schedule(end_at=past)
    factories.schedule(trigger_kind="date", run_at=past)
    forgotten = factories.schedule(paused_at=past, paused_until=past, pause_reason="holidays")
    assert [f"({ended.pk})" in finding.what for finding in found("doctor.W044")] == [True]
    assert [f"({forgotten.pk})" in finding.what for finding in found("doctor.W045")] == [True]


@pytest.mark.parametrize(("free_mb", "id_"), [(10, "doctor.E060"), (300, "doctor.W061")])
def test_e060_w061_little_space(db: None, monkeypatch: pytest.MonkeyPatch, free_mb: int, id_: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free_mb * 1_000_000))
    assert f"{free_mb} MB free" in found(id_)[0].what


def test_e062_w063_w064_zone_data(db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    assert re.fullmatch(r"\d{4}\w", machine.zone_data_version() or "")
    monkeypatch.setattr(machine, "zone_data_version", lambda: None)
    assert found("doctor.W063")
    monkeypatch.setattr(machine, "zone_data_version", lambda: "2019c")
    assert "2019c" in found("doctor.W064")[0].what
    monkeypatch.setattr(machine, "zone_names", frozenset)
    assert found("doctor.E062")


def test_e065_a_module_that_a_job_needs(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from scheduling.jobs import registry

    monkeypatch.setattr(registry, "preload", lambda: ["json", "no_such_module"])
    (finding,) = found("doctor.E065")
    assert "no_such_module" in finding.what


def test_e066_w067_system_checks(db: None, settings: Any) -> None:
    settings.NEWSS_EXECUTOR_THREADS = 0
    settings.NEWSS_CONTACT = ""
    assert "scheduling.E001" in found("doctor.E066")[0].what
    assert any("scrapers.W001" in finding.what for finding in found("doctor.W067"))


@pytest.mark.anydb
def test_the_command_prints_findings_and_ends_with_1(transactional_db: None, zygote: Zygote, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert zygote.start(log, "schedule_doctor").wait() == 1
    connection.close()
    shown = log.read_text()
    assert "doctor.E021 No scheduler process runs" in shown
    assert "    → python manage.py runapscheduler" in shown
    assert re.search(r"\d+ error", shown)


def test_the_command_prints_json_when_asked(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("schedule_doctor", "--json")
    assert ended.value.code == 1
    assert {"id", "severity", "what", "remedy"} == set(json.loads(capsys.readouterr().out)[0])


def test_the_command_ends_with_0_when_all_is_well(
    db: None, lock: leader.LeaderLock, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.NEWSS_CONTACT = "mailto:news@example.org"
    leader.take_over(process(InstanceState.STANDBY))
    call_command("schedule_doctor")
    assert "0 errors" in (out := capsys.readouterr().out) or "in order" in out


@pytest.mark.anydb
def test_every_finding_stands_in_the_docs_and_has_a_test() -> None:
    in_code = set()
    for path in (ROOT / "scheduling" / "doctor").glob("*.py"):
        in_code |= set(re.findall(r'"(doctor\.[EW]\d{3})"', path.read_text()))
    in_docs = set(re.findall(r"^\| (doctor\.[EW]\d{3}) \|", (ROOT / "docs" / "doctor.md").read_text(), re.MULTILINE))
    assert in_code == in_docs
    tested = Path(__file__).read_text()
    assert [id_ for id_ in sorted(in_code) if f"_{id_.removeprefix('doctor.').lower()}" not in tested] == []


def test_a_run_that_waits_for_its_time_is_no_finding(db: None) -> None:
    Run.objects.all().delete()
    hour_ago = NOW() - timedelta(hours=1)
    factories.run(queued_at=hour_ago, not_before=NOW() + timedelta(hours=1))
    assert not found("doctor.W030")
