"""The job `run_command`: a program's output is the run's log, its exit code decides; off unless switched on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest
from django.core.exceptions import ValidationError

from scheduling.jobs import registry
from scheduling.models import Cause, Run, RunStatus
from tests.scheduling.conftest import SchedulerProcess, wait_until

pytestmark = pytest.mark.anydb

Start = Callable[..., SchedulerProcess]


@pytest.fixture
def _switched_on(settings: Any) -> None:
    settings.NEWSS_ALLOW_COMMANDS = True


def start(**parameters: Any) -> Run:
    return Run.objects.start(job="run_command", parameters=parameters, cause=Cause.MANUAL)[0]


def ended(run: Run) -> Run:
    wait_until(lambda: not Run.objects.active().filter(pk=run.pk).exists(), what=f"the end of {run}")
    run.refresh_from_db()
    return run


def lines(run: Run) -> list[str]:
    return [line.message for line in run.log_lines.all()]


def test_commands_are_refused_unless_an_installation_switches_them_on(settings: Any) -> None:
    assert settings.NEWSS_ALLOW_COMMANDS is False
    with pytest.raises(ValidationError, match="NEWSS_ALLOW_COMMANDS=on"):
        registry.get("run_command").clean({"command": "true"})


@pytest.mark.usefixtures("_switched_on")
@pytest.mark.parametrize(
    ("parameters", "key", "message"),
    [
        ({"command": ""}, "command", "required"),
        ({"command": "echo 'oh"}, "command", "quotes do not match"),
        ({"command": "true", "environment": ["A=1"]}, "environment", "JSON object"),
        ({"command": "true", "environment": {"A": 1}}, "environment", "JSON object"),
        ({"command": "true", "environment": {"A=B": "1"}}, "environment", "A=B"),
        ({"command": "true", "environment": "{"}, "environment", "JSON"),
    ],
)
def test_wrong_parameters_are_refused_at_their_field(parameters: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        registry.get("run_command").clean(parameters)
    assert message in " ".join(refused.value.message_dict[key])


@pytest.mark.usefixtures("_switched_on")
def test_a_shell_may_have_quotes_that_only_it_understands() -> None:
    cleaned = registry.get("run_command").clean({"command": "echo it's # fine", "shell": True})
    assert cleaned["shell"] is True
    assert registry.describe("run_command", cleaned) == "/bin/sh -c 'echo it'\"'\"'s # fine'"


@pytest.mark.usefixtures("_switched_on")
def test_output_exit_codes_environment_and_input(start_scheduler: Start) -> None:
    start_scheduler(NEWSS_ALLOW_COMMANDS="on")
    good = start(command="printf 'one\\ntwo $HOME'")
    bad = start(command="echo so it goes >&2; exit 3", shell=True)
    environment = start(command="env", environment={"COLOUR": "green"}, directory="/")
    fed = start(command="cat", stdin="first\nsecond\n")
    shell = start(command="echo a | tr a b && pwd", shell=True, directory="/tmp")
    missing = start(command="no-such-program --at-all")
    killed = start(command="kill -9 $$", shell=True)
    assert (ended(good).status, good.outcome, lines(good)) == (
        RunStatus.SUCCEEDED,
        "Exit code 0.",
        ["one", "two $HOME"],
    )
    assert good.summary == {"exit_code": 0, "lines": 2}
    assert (ended(bad).status, bad.outcome) == (RunStatus.FAILED, "Exit code 3. It last printed: so it goes")
    seen = dict(line.split("=", 1) for line in lines(ended(environment)))
    assert seen["COLOUR"] == "green"
    assert {"PATH", "HOME", "USER", "LOGNAME", "SHELL"} <= set(seen)
    assert not {"SECRET_KEY", "DATABASE_URL"} & set(seen)
    assert lines(ended(fed)) == ["first", "second"]
    assert lines(ended(shell)) == ["b", "/tmp"]
    assert (ended(missing).status, missing.traceback) == (RunStatus.FAILED, "")
    assert "no-such-program" in missing.outcome
    assert ended(killed).outcome == "It was killed by signal 9 (SIGKILL)."


@pytest.mark.usefixtures("_switched_on")
def test_what_is_off_in_the_scheduler_is_not_executed(start_scheduler: Start) -> None:
    start_scheduler()
    run = ended(start(command="echo hello"))
    assert (run.status, lines(run)) == (RunStatus.FAILED, [])
    assert "NEWSS_ALLOW_COMMANDS=on" in run.outcome


@pytest.mark.usefixtures("_switched_on")
def test_a_thread_of_the_scheduler_runs_no_command(start_scheduler: Start) -> None:
    start_scheduler(NEWSS_ALLOW_COMMANDS="on")
    run, _new = Run.objects.start(
        job="run_command", parameters={"command": "echo hello"}, cause=Cause.MANUAL, executor="threads"
    )
    assert "processes" in ended(run).outcome
    assert lines(run) == []


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("_switched_on")
def test_a_cancel_ends_the_command_and_all_that_it_started(start_scheduler: Start) -> None:
    start_scheduler(NEWSS_ALLOW_COMMANDS="on")
    run = start(command="trap '' TERM; sleep 600 & echo $!; echo $$; wait; sleep 600", shell=True)
    wait_until(lambda: len(lines(run)) == 2, what="two process ids")
    pids = [int(line) for line in lines(run)]
    assert all(map(alive, pids))
    Run.objects.get(pk=run.pk).cancel()
    assert ended(run).status == RunStatus.CANCELLED
    wait_until(lambda: not any(map(alive, pids)), 12, "the end of the command")


@pytest.mark.usefixtures("_switched_on")
@pytest.mark.parametrize("how", ["ends", "killed"])
def test_nothing_of_a_command_outlives_its_run(start_scheduler: Start, how: str) -> None:
    scheduler = start_scheduler(NEWSS_ALLOW_COMMANDS="on")
    run = start(
        command="(trap '' HUP TERM; exec sleep 600) & echo $!; " + ("" if how == "ends" else "wait"), shell=True
    )
    wait_until(lambda: lines(run), what="a process id")
    (pid,) = map(int, lines(run))
    if how == "killed":
        assert alive(pid)
        scheduler.kill()
    else:
        assert ended(run).status == RunStatus.SUCCEEDED
    wait_until(lambda: not alive(pid), 5, "the end of what the command left behind")
