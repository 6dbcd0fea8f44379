"""The job `call_procedure`: only what the installation names; notices are the run's log, a stop reaches the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from scheduling.jobs import registry
from scheduling.models import Cause, Run, RunStatus
from tests.scheduling.conftest import SchedulerProcess, wait_until

Start = Callable[..., SchedulerProcess]
ALLOWED = "tidy,public.slow"
TIDY = """
CREATE TABLE tidied (what text);
CREATE PROCEDURE tidy(what text, days int, options jsonb, INOUT kept int DEFAULT 0) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tidied VALUES (what);
    COMMIT;
    RAISE NOTICE '% after % days', options->>'mode', days;
    kept := 41 + 1;
END $$;
CREATE PROCEDURE slow(seconds float) LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(seconds); END $$;
"""


@pytest.fixture
def _procedures(transactional_db: None, on_postgresql: bool) -> Any:
    if not on_postgresql:
        pytest.skip("SQLite has no procedures")
    with connection.cursor() as cursor:
        cursor.execute(TIDY)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE tidied; DROP PROCEDURE tidy; DROP PROCEDURE slow;")


def start(procedure: str, *arguments: Any) -> Run:
    values = {"procedure": procedure, "arguments": list(arguments)}
    return Run.objects.create(job="call_procedure", parameters=values, cause=Cause.MANUAL, executor="processes")


def ended(run: Run) -> Run:
    wait_until(lambda: not Run.objects.active().filter(pk=run.pk).exists(), what=f"the end of {run}")
    run.refresh_from_db()
    return run


def calls() -> int:
    """Return how many calls of `slow` the server executes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL%slow%' AND state = 'active'")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db
def test_what_the_installation_does_not_name_is_refused_in_words(settings: Any, on_postgresql: bool) -> None:
    settings.NEWSS_PROCEDURES = ["tidy"]
    definition = registry.get("call_procedure")
    wrong = "NEWSS_PROCEDURES allows: tidy" if on_postgresql else "SQLite has no stored procedures"
    with pytest.raises(ValidationError, match=wrong):
        definition.clean({"procedure": "pg_catalog.drop_all", "arguments": []})
    if on_postgresql:
        assert definition.clean({"procedure": "tidy"}) == {"procedure": "tidy", "arguments": []}
        for arguments in ({"a": 1}, 7, list(range(51))):
            with pytest.raises(ValidationError, match="JSON list"):
                definition.clean({"procedure": "tidy", "arguments": arguments})


@pytest.mark.anydb
def test_a_call_is_described_in_words() -> None:
    assert (
        registry.describe("call_procedure", {"procedure": "tidy", "arguments": ["ü", 2, None]}) == 'tidy("ü", 2, null)'
    )


@pytest.mark.usefixtures("_procedures")
def test_a_procedure_commits_as_it_goes_its_notices_are_logged_and_its_values_kept(start_scheduler: Start) -> None:
    start_scheduler(NEWSS_PROCEDURES=ALLOWED)
    good = start("tidy", "it's; DROP TABLE tidied", 7, {"mode": "all"})
    bad, unknown, forbidden = start("tidy", "x", "seven", None), start("public.slow"), start("pg_sleep", 1)
    run = ended(good)
    assert (run.status, run.summary, run.outcome) == (RunStatus.SUCCEEDED, {"kept": 42}, "tidy() ended.")
    assert [line.message for line in run.log_lines.all()] == ["NOTICE:  all after 7 days"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT what FROM tidied")
        assert cursor.fetchall() == [("it's; DROP TABLE tidied",)]
    outcomes = {run.pk: (ended(run).status, run.outcome) for run in (bad, unknown, forbidden)}
    assert {status for status, _outcome in outcomes.values()} == {RunStatus.FAILED}
    assert "The procedure failed: invalid input syntax" in outcomes[bad.pk][1]
    assert "does not exist" in outcomes[unknown.pk][1]
    assert "is not allowed in this installation" in outcomes[forbidden.pk][1]


@pytest.mark.usefixtures("_procedures")
def test_a_stop_reaches_the_server_and_a_kill_leaves_no_call_behind(start_scheduler: Start) -> None:
    scheduler = start_scheduler(NEWSS_PROCEDURES=ALLOWED)
    asked = start("public.slow", 600)
    wait_until(lambda: calls() == 1, what="the call")
    asked.cancel()
    assert ended(asked).status == RunStatus.CANCELLED
    assert calls() == 0
    start("public.slow", 600)
    wait_until(lambda: calls() == 1, what="the second call")
    scheduler.kill()
    wait_until(lambda: calls() == 0, what="the server notices that nobody is there")
