"""What a killed process had logged and not yet written to the database."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.jobs import RunContext
from scheduling.jobs.spool import Spool
from scheduling.models import Run, RunLog
from scheduling.runs import keep_log
from tests import factories

NOW = datetime(2026, 5, 4, 3, 2, 1, 654_321, tzinfo=UTC)


@pytest.fixture
def spool() -> Iterator[Spool]:
    with tempfile.TemporaryFile() as file:
        yield Spool(file.fileno())


@pytest.mark.anydb
@given(messages=st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_every_line_comes_back_as_it_was(messages: list[str]) -> None:
    entries = [(NOW + timedelta(seconds=number), 20, message) for number, message in enumerate(messages)]
    with tempfile.TemporaryFile() as file:
        spool = Spool(file.fileno())
        for entry in entries:
            spool.append(entry)
        assert spool.entries() == entries
        spool.replace(entries[1:])
        spool.append((NOW, 30, "last"))
        assert spool.entries() == [*entries[1:], (NOW, 30, "last")]


@pytest.mark.anydb
def test_a_line_that_was_not_completed_is_left_out() -> None:
    with tempfile.TemporaryFile() as file:
        spool = Spool(file.fileno())
        spool.append((NOW, 20, "whole"))
        os.write(file.fileno(), b'["2026-05-04T03')
        assert [message for _at, _level, message in spool.entries()] == ["whole"]


@pytest.mark.django_db(transaction=True)
def test_what_was_not_flushed_is_kept_once_and_in_order(spool: Spool) -> None:
    run = factories.running()
    context = RunContext(run, spool)
    context.log("flushed")
    context.flush()
    assert spool.entries() == []
    context.log("one")
    context.log("two")
    # Killed after the database had the first of them, before the file was told.
    at, level, message = spool.entries()[0]
    RunLog.objects.create(run=run, at=at, level=level, message=message)
    keep_log(run, spool)
    keep_log(run, spool)
    assert [line.message for line in run.log_lines.all()] == ["flushed", "one", "two"]


@pytest.mark.django_db
def test_the_log_of_a_run_that_is_no_longer_held_is_not_written(spool: Spool) -> None:
    run = factories.running()
    spool.append((NOW, 20, "too late"))
    Run.objects.filter(pk=run.pk).update(claim_token="another")
    keep_log(run, spool)
    assert not run.log_lines.exists()
