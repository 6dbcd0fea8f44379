"""What other schedulers run becomes schedules, line by line, or is refused in words."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from django.core.management import CommandError, call_command
from django.db import connection
from django_apscheduler.jobstores import DjangoJobStore
from django_apscheduler.models import DjangoJob
from hypothesis import given
from hypothesis import strategies as st

from scheduling.imports.apscheduler_jobs import trigger_values
from scheduling.imports.crontab_file import Crontab, split_percent
from scheduling.imports.lines import check
from scheduling.imports.pickles import Unreadable, read_state
from scheduling.models import CatchUp, ConcurrencyPolicy, Schedule, TriggerKind
from tests import factories

ZONE = ZoneInfo("Europe/Berlin")


def collect() -> None:
    """What somebody's code had APScheduler call."""


def say(text: str) -> None:
    """The same, with an argument."""


MAP = [f"--map={__name__}:collect=noop", f"--map={__name__}:say=echo"]


@pytest.fixture(autouse=True)
def _commands_are_on(settings: Any) -> None:
    settings.NEWSS_ALLOW_COMMANDS = True


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("import_schedules", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def planned(text: str, **options: Any) -> list[dict[str, Any]]:
    """Return what becomes of the lines of a crontab: their values, or why they are refused."""
    return [line.values or {"refused": line.refused} for line in Crontab("jobs", "UTC", **options).lines(text)]


# Crontabs.

CRONTAB = """\
# a comment
SHELL=/bin/sh
PATH = /usr/local/bin:/usr/bin:/bin
GREETING="hello there"
CRON_TZ=Europe/Berlin

30 6 * * 1-5\t/usr/bin/python3 -m http.server --help
@daily  cd /srv && ./backup.sh > backup.log 2>&1
0 12 * * * mail -s "100\\% done" ada%Dear Ada,%all is well.
@reboot /usr/sbin/something
61 * * * * true
* * * *
"""


@pytest.mark.django_db
def test_a_users_crontab_becomes_schedules_of_commands() -> None:
    lines = check(Crontab("ada", "UTC").lines(CRONTAB))
    daily = [line.schedule for line in lines[:3]]
    assert [schedule.crontab for schedule in daily if schedule] == ["30 6 * * 1-5", "@daily", "0 12 * * *"]
    assert {schedule.timezone for schedule in daily if schedule} == {"Europe/Berlin"}
    first, second, third = (schedule.parameters for schedule in daily if schedule)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "GREETING": "hello there"}
    assert first == {
        "command": "/usr/bin/python3 -m http.server --help",
        "shell": False,
        "directory": "",
        "environment": environment,
        "stdin": "",
    }
    assert (second["command"], second["shell"]) == ("cd /srv && ./backup.sh > backup.log 2>&1", True)
    assert third["command"] == 'mail -s "100% done" ada'
    assert third["stdin"] == "Dear Ada,\nall is well.\n"
    refused = [line.refused for line in lines[3:]]
    assert "@reboot" in refused[0]
    assert refused[1]
    assert "five fields" in refused[2]


@pytest.mark.anydb
@pytest.mark.parametrize("blank", ["\t", "    ", " \t"])
def test_a_system_crontab_names_users(blank: str) -> None:
    crontab = Crontab("crontab", "UTC", system=True, user="news")
    text = f"17 *\t* * *\troot{blank}cd / && run-parts --report /etc/cron.hourly\n* * * * * news\n"
    lines = list(crontab.lines(text))
    assert lines[0].values["parameters"]["command"] == "cd / && run-parts --report /etc/cron.hourly"
    assert "ran as root" in lines[0].notes[0]
    assert "names a user" in lines[1].refused


@pytest.mark.anydb
def test_only_a_line_break_ends_a_line_of_a_crontab() -> None:
    crontab = Crontab("crontab", "UTC")
    lines = list(crontab.lines("* * * * * echo a\u2028b\x0cc\r\n@daily /bin/true\r\n"))
    assert [line.values["parameters"]["command"] for line in lines] == ["echo a\u2028b\x0cc", "/bin/true"]


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("command", "shell"),
    [
        ("/bin/true", False),
        ("echo 'a b' \"c d\"", False),
        ("echo $HOME", True),
        ("a; b", True),
        ("ls *.txt", True),
        ("LEVEL=2 program", True),
        ("program --level=2", False),
        ("cd /", True),
        ("echo it's", True),
    ],
)
def test_a_shell_is_used_only_where_the_line_needs_one(command: str, shell: bool) -> None:
    (values,) = planned(f"* * * * * {command}")
    assert values["parameters"]["shell"] is shell
    assert values["parameters"]["command"] == command


@pytest.mark.anydb
def test_another_shell_is_called_by_name() -> None:
    (values,) = planned("SHELL=/bin/bash\n* * * * * echo {1..3}")
    assert values["parameters"]["command"] == "/bin/bash -c 'echo {1..3}'"
    assert values["parameters"]["shell"] is False
    assert "SHELL" not in values["parameters"]["environment"]


@pytest.mark.anydb
def test_assignments_hold_for_the_lines_below_them() -> None:
    first, second = planned("* * * * * one\nCRON_TZ=Asia/Tokyo\n'A B' = ' c '\n* * * * * two")
    assert (first["timezone"], first["parameters"]["environment"]) == ("UTC", {})
    assert (second["timezone"], second["parameters"]["environment"]) == ("Asia/Tokyo", {"A B": " c "})


@given(pieces=st.lists(st.text(st.characters(exclude_characters="%\\", codec="utf-8")), min_size=1, max_size=4))
@pytest.mark.anydb
def test_percent_signs_divide_and_escaped_ones_stay(pieces: list[str]) -> None:
    command, stdin = split_percent("%".join(piece + r"\%" for piece in pieces))
    assert command == (pieces[0] + "%").strip()
    assert stdin == ("\n".join(piece + "%" for piece in pieces[1:]) + "\n" if len(pieces) > 1 else "")


@pytest.mark.django_db
def test_a_dry_run_lists_what_becomes_of_each_line_and_saves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text("30 6 * * 1-5 /usr/bin/true\n@reboot nothing\n")
    out = run("crontab", str(file), "--dry-run", "--timezone", "Europe/Berlin")
    assert "line 1: 30 6 * * 1-5 /usr/bin/true" in out
    assert "06:30" in out
    assert "Europe/Berlin" in out
    assert "refused: @reboot is no time" in out
    assert "2 line(s): 1 new, 0 known, 1 refused. Nothing was saved" in out
    assert not Schedule.objects.exists()


@pytest.mark.django_db
def test_nothing_is_imported_while_a_line_is_refused_unless_told_so(tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text("30 6 * * 1-5 /usr/bin/true\n@reboot nothing\n")
    with pytest.raises(CommandError, match="--skip-refused"):
        run("crontab", str(file))
    assert not Schedule.objects.exists()
    run("crontab", str(file), "--skip-refused", "--disabled")
    schedule = Schedule.objects.get()
    assert (schedule.job, schedule.enabled, schedule.executor) == ("run_command", False, "processes")
    assert "30 6 * * 1-5 /usr/bin/true" in schedule.description
    out = run("crontab", str(file), "--skip-refused")
    assert "0 new, 1 known" in out
    assert Schedule.objects.count() == 1


@pytest.mark.django_db
def test_crontabs_are_refused_while_commands_are_switched_off(settings: Any, tmp_path: Path) -> None:
    settings.NEWSS_ALLOW_COMMANDS = False
    file = tmp_path / "crontab"
    file.write_text("* * * * * true\n")
    assert "NEWSS_ALLOW_COMMANDS=on" in run("crontab", str(file), "--dry-run")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crontab", "/nowhere/at/all"], "^/nowhere/at/all: No such file or directory$"),
        (["crontab", sys.executable], "is not a text file in UTF-8.$"),
        (["crontab", os.devnull, "--timezone", "Mars/Olympus"], "Mars/Olympus"),
        (["celery-beat"], "no tables of django-celery-beat"),
        (["apscheduler", "--database", "elsewhere"], "elsewhere"),
        (["apscheduler", "--map", "nonsense"], "NAME=JOB"),
    ],
)
def test_what_cannot_be_read_is_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*arguments)


def test_a_crontab_with_a_nul_character_is_no_text_file(tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_bytes(b"* * * * * echo a\0b\n")
    with pytest.raises(CommandError, match="is not a text file"):
        run("crontab", str(file))


# django-celery-beat.

CELERY_BEAT = [
    "CREATE TABLE django_celery_beat_intervalschedule (id integer PRIMARY KEY, every integer, period varchar(24))",
    "CREATE TABLE django_celery_beat_crontabschedule (id integer PRIMARY KEY, minute varchar(240), hour varchar(96),"
    " day_of_week varchar(64), day_of_month varchar(124), month_of_year varchar(64), timezone varchar(63))",
    "CREATE TABLE django_celery_beat_clockedschedule (id integer PRIMARY KEY, clocked_time timestamp with time zone)",
    "CREATE TABLE django_celery_beat_periodictask (id integer PRIMARY KEY, name varchar(200), task varchar(200),"
    " args text, kwargs text, queue varchar(200), exchange varchar(200), routing_key varchar(200), headers text,"
    " priority integer, expires timestamp with time zone, expire_seconds integer, one_off boolean,"
    " start_time timestamp with time zone, enabled boolean, last_run_at timestamp with time zone,"
    " total_run_count integer, date_changed timestamp with time zone, description text, clocked_id integer,"
    " crontab_id integer, interval_id integer, solar_id integer)",
    "INSERT INTO django_celery_beat_intervalschedule VALUES (1, 5, 'minutes'), (2, 10, 'microseconds')",
    "INSERT INTO django_celery_beat_crontabschedule VALUES (1, '30', '6', 'mon-fri', '*', '*', 'Europe/Berlin'),"
    " (2, '0', '12', '5', '13', '*', 'UTC')",
    "INSERT INTO django_celery_beat_clockedschedule VALUES (1, '2099-12-24 18:00:00+00')",
]
TASK = (
    "INSERT INTO django_celery_beat_periodictask (id, name, task, args, kwargs, one_off, enabled, description,"
    " start_time, {kind}_id) VALUES ({id}, 'task {id}', '{task}', '{args}', '{kwargs}', {one_off}, {enabled}, 'why', "
    "{start}, {key})"
)


def add_task(id: int, kind: str, key: int, **values: str) -> None:
    defaults = {"task": "noop", "args": "[]", "kwargs": "{}", "one_off": "false", "enabled": "true", "start": "NULL"}
    with connection.cursor() as cursor:
        cursor.execute(TASK.format(id=id, kind=kind, key=key, **{**defaults, **values}))


@pytest.fixture
def celery_beat(db: None) -> None:
    with connection.cursor() as cursor:
        for statement in CELERY_BEAT:
            cursor.execute(statement)


@pytest.mark.usefixtures("celery_beat")
def test_periodic_tasks_of_celery_become_schedules() -> None:
    add_task(1, "interval", 1, start="'2026-01-01 00:00:00+00'")
    add_task(2, "crontab", 1, enabled="false")
    add_task(3, "crontab", 2)
    add_task(4, "clocked", 1, one_off="true")
    add_task(5, "interval", 1, task="my.tasks.say", args='["hello"]', one_off="true")
    run("celery-beat", "--map", "my.tasks.say=echo")
    interval, crontab, both, clocked, say = Schedule.objects.order_by("name")
    assert (interval.trigger_kind, interval.interval_seconds) == (TriggerKind.INTERVAL, 300)
    assert interval.start_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (crontab.crontab, crontab.timezone, crontab.enabled) == ("30 6 * * mon-fri", "Europe/Berlin", False)
    assert crontab.description == "why"
    # Celery fires on Friday the 13th, cron would on every Friday and every 13th.
    assert both.trigger_kind == TriggerKind.ALL_OF
    fires = both.next_fires(3, after=datetime(2026, 1, 1, tzinfo=UTC))
    assert [fire.date() for fire in fires] == [date(2026, 2, 13), date(2026, 3, 13), date(2026, 11, 13)]
    assert (clocked.run_at, clocked.max_runs) == (datetime(2099, 12, 24, 18, tzinfo=UTC), None)
    assert (say.job, say.parameters, say.max_runs) == ("echo", {"text": "hello"}, 1)
    assert interval.concurrency_policy == ConcurrencyPolicy.ALLOW


@pytest.mark.usefixtures("celery_beat")
@pytest.mark.parametrize(
    ("kind", "key", "values", "message"),
    [
        ("solar", 1, {}, "no trigger by the sun"),
        ("interval", 2, {}, "not microseconds"),
        ("interval", 1, {"task": "my.tasks.unknown"}, "--map my.tasks.unknown=JOB"),
        ("interval", 1, {"args": "[1, 2]"}, "called with 2 arguments"),
        ("interval", 1, {"kwargs": '{"colour": "red"}'}, "Unknown parameter"),
        ("interval", 1, {"args": "oops"}, "no JSON"),
    ],
)
def test_what_cannot_be_a_schedule_is_refused_in_words(
    kind: str, key: int, values: dict[str, str], message: str
) -> None:
    add_task(1, kind, key, **values)
    assert message in run("celery-beat", "--dry-run")


# Raw django-apscheduler jobs.


@pytest.fixture
def stored(db: None) -> Iterator[Any]:
    """Return a function that stores a job as django-apscheduler's README does; no scheduler works on it."""
    scheduler = BackgroundScheduler(timezone=ZONE)
    scheduler.add_jobstore(DjangoJobStore(), "default")
    scheduler.start(paused=True)

    def store(function: Any, trigger: Any, *, paused: bool = False, **options: Any) -> None:
        scheduler.add_job(function, trigger, **({"next_run_time": None} if paused else {}), **options)

    yield store
    scheduler.shutdown(wait=True)


@pytest.mark.django_db
def test_raw_jobs_become_schedules(stored: Any) -> None:
    stored(collect, CronTrigger(day_of_week="mon-fri", hour=6, minute=30, timezone=ZONE), id="weekdays")
    stored(say, IntervalTrigger(minutes=5, timezone=ZONE), id="often", kwargs={"text": "hi"}, max_instances=3)
    stored(say, DateTrigger(datetime(2099, 1, 1, tzinfo=ZONE)), id="once", misfire_grace_time=30, args=["out"])
    stored(collect, IntervalTrigger(hours=1, timezone=ZONE), id="resting", paused=True, misfire_grace_time=None)
    factories.schedule()
    out = run("apscheduler", "--dry-run", MAP[0])
    assert f"no registered job is “{__name__}:say”" in out
    assert "4 line(s): 2 new, 0 known, 2 refused." in out
    run("apscheduler", *MAP)
    weekdays, often, once, resting = (
        Schedule.objects.get(name=name) for name in ("weekdays", "often", "once", "resting")
    )
    assert (weekdays.job, weekdays.crontab, weekdays.timezone) == ("noop", "30 6 * * 1-5", "Europe/Berlin")
    assert (often.interval_seconds, often.parameters, often.concurrency_policy) == (300, {"text": "hi"}, "allow")
    assert (once.run_at, once.parameters) == (datetime(2099, 1, 1, tzinfo=ZONE), {"text": "out"})
    assert (once.catch_up, once.misfire_grace_time) == (CatchUp.SKIP, 30)
    assert (resting.enabled, resting.catch_up, often.enabled) == (False, CatchUp.ONCE, True)


CRONS = [
    {"day_of_week": "0", "hour": "8"},
    {"day_of_week": "sat-sun", "hour": "8,20"},
    {"day_of_week": "*/2"},
    {"day_of_week": "mon,wed", "day": "1-7", "hour": "9-17/2"},
    {"day": "last", "hour": "23", "minute": "59"},
    {"day": "2nd fri", "hour": "10"},
    {"day": "last mon", "month": "jan-mar,6"},
    {"minute": "10/15"},
    {"second": "*/20", "hour": "3"},
    {"month": "*/3", "day": "31"},
]


@pytest.mark.django_db
@pytest.mark.parametrize("fields", CRONS, ids=str)
def test_a_cron_trigger_fires_when_its_schedule_does(fields: dict[str, str]) -> None:
    trigger = CronTrigger(timezone=ZoneInfo("UTC"), **fields)
    schedule = factories.schedule(**trigger_values(trigger, "UTC"), interval_seconds=None)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    expected = []
    for _fire in range(20):
        following = trigger.get_next_fire_time(moment, moment + timedelta(microseconds=1))
        assert following is not None
        moment = following
        expected.append(moment)
    assert schedule.next_fires(20, after=datetime(2026, 1, 1, tzinfo=UTC)) == expected


@pytest.mark.django_db
def test_combinations_and_calendar_intervals(stored: Any) -> None:
    both = AndTrigger([CronTrigger(day="13", timezone=ZONE), CronTrigger(day_of_week="fri", timezone=ZONE)])
    either = OrTrigger([CronTrigger(hour=6, timezone=ZONE), CronTrigger(hour=18, timezone=ZONE)], jitter=5)
    monthly = CalendarIntervalTrigger(months=1, hour=7, start_date=date(2026, 1, 31), timezone=ZONE)
    for name, trigger in (("both", both), ("either", either), ("monthly", monthly)):
        stored(collect, trigger, id=name)
    run("apscheduler", *MAP)
    schedules = {schedule.name: schedule for schedule in Schedule.objects.all()}
    after = datetime(2026, 1, 1, tzinfo=UTC)
    assert [f.astimezone(ZONE).date() for f in schedules["both"].next_fires(2, after=after)] == [
        date(2026, 2, 13),
        date(2026, 3, 13),
    ]
    assert [f.astimezone(ZONE).hour for f in schedules["either"].next_fires(3, after=after)] == [6, 18, 6]
    assert schedules["either"].jitter_seconds == 5
    assert schedules["monthly"].words().endswith("Europe/Berlin")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (CronTrigger(year="2027", timezone=ZONE), "no field for the year"),
        (CronTrigger(week="1", timezone=ZONE), "no field for the week"),
        (IntervalTrigger(seconds=1.5, timezone=ZONE), "whole number of seconds, not 1.5"),
        (CalendarIntervalTrigger(months=1, days=1, timezone=ZONE), "in one unit"),
        (AndTrigger([OrTrigger([CronTrigger(hour=1)]), CronTrigger(hour=2)]), "within a combination"),
        (DateTrigger(datetime(2001, 1, 1, tzinfo=UTC)), "in the past"),
    ],
)
def test_triggers_that_cannot_be_taken_over_are_refused_in_words(stored: Any, trigger: Any, message: str) -> None:
    # Paused, since APScheduler would look for the first time of two triggers that never meet for minutes.
    stored(collect, trigger, id="odd", paused=True)
    assert message in run("apscheduler", "--dry-run", *MAP)


# Pickles of unknown origin.


class Evil:
    """What executes code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class EvilTrigger:
    """What an AndTrigger's state can name: APScheduler would import it and call this."""

    def __getstate__(self) -> dict[str, Any]:
        return {"path": "never made"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise AssertionError("executed")


@pytest.mark.anydb
def test_a_pickle_cannot_execute_anything(tmp_path: Path) -> None:
    target = tmp_path / "made by a pickle"
    with pytest.raises(Unreadable, match="mkdir, which is not read"):
        read_state(pickle.dumps({"trigger": Evil(target)}))
    assert not target.exists()
    with pytest.raises(Unreadable, match="getattr no_cache, which is not read"):
        read_state(b"cbuiltins\ngetattr\n(czoneinfo\nZoneInfo\nS'no_cache'\ntR.")
    with pytest.raises(Unreadable, match="EvilTrigger, which is not read"):
        read_state(pickle.dumps({"trigger": AndTrigger([EvilTrigger()])}))


@pytest.mark.anydb
@pytest.mark.parametrize("name", ["apscheduler.triggers.cron obj_to_ref", "builtins eval", "os system"])
def test_only_listed_names_are_looked_up(name: str) -> None:
    module, function = name.split()
    with pytest.raises(Unreadable, match="which is not read"):
        read_state(f"c{module}\n{function}\n.".encode())


@pytest.mark.anydb
@given(noise=st.binary(max_size=60))
def test_damaged_pickles_are_unreadable_and_no_more(noise: bytes) -> None:
    with pytest.raises(Unreadable):
        read_state(noise)


@pytest.mark.django_db
def test_an_unreadable_job_is_one_refused_line(stored: Any) -> None:
    stored(collect, IntervalTrigger(seconds=90), id="good")
    DjangoJob.objects.create(id="bad", job_state=b"\x80\x05oops")
    out = run("apscheduler", "--skip-refused", *MAP)
    assert "job bad: bad\n    → refused: it is damaged" in out
    assert Schedule.objects.get().name == "good"
