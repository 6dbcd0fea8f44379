"""What a job can ask of its run: since when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduling.jobs import LastSuccess, RunContext
from scheduling.models import Cause
from tests import factories

AT = datetime(2026, 5, 4, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def daily(**values: Any) -> Any:
    return factories.schedule(
        **{"trigger_kind": "crontab", "crontab": "0 6 * * *", "interval_seconds": None, "timezone": "UTC", **values}
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("schedule", "run", "start"),
    [
        ({}, {"scheduled_for": AT}, AT - 24 * HOUR),
        ({}, {"queued_at": AT + HOUR}, AT),
        ({"start_at": AT}, {"scheduled_for": AT}, None),
        ({"start_at": AT - 24 * HOUR}, {"scheduled_for": AT}, AT - 24 * HOUR),
        ({"trigger_kind": "manual"}, {"queued_at": AT}, None),
        ({"job": "gone"}, {"scheduled_for": AT}, None),
        ({"crontab": "0 6 1 1 *"}, {"scheduled_for": AT}, datetime(2026, 1, 1, 6, tzinfo=UTC)),
    ],
)
def test_the_window_goes_from_the_due_time_before_to_this_one(
    schedule: dict[str, Any], run: dict[str, Any], start: datetime | None
) -> None:
    made = factories.run(schedule=daily(**schedule), cause=Cause.BACKFILL, **run)
    assert RunContext(made).window == (start, made.scheduled_for or made.queued_at)


@pytest.mark.django_db
def test_a_run_without_schedule_has_an_open_window_and_no_last_success() -> None:
    run = factories.run(queued_at=AT)
    assert RunContext(run).window == (None, AT)
    assert RunContext(run).last_success is None


@pytest.mark.django_db
def test_the_last_success_is_the_newest_run_of_the_schedule_that_succeeded() -> None:
    schedule = daily()
    other: dict[str, Any] = {"status": "succeeded", "started_at": AT, "finished_at": AT + HOUR}
    factories.run(schedule=schedule, queued_at=AT - HOUR, scheduled_for=AT - HOUR, **other)
    last = factories.run(schedule=schedule, queued_at=AT, scheduled_for=AT, **other)
    factories.run(schedule=daily(), queued_at=AT + HOUR, **other)
    for status in ("partial", "failed", "skipped"):
        factories.run(schedule=schedule, queued_at=AT + HOUR, **{**other, "status": status})
    context = RunContext(factories.run(schedule=schedule, queued_at=AT + HOUR))
    assert context.last_success == LastSuccess(last.pk, AT, AT, AT + HOUR)


@pytest.mark.django_db(transaction=True)
def test_a_job_may_ask_within_an_event_loop() -> None:
    schedule = daily()
    succeeded = factories.run(
        schedule=schedule, status="succeeded", scheduled_for=AT, started_at=AT, finished_at=AT + HOUR
    )
    context = RunContext(factories.run(schedule=schedule, scheduled_for=AT + 24 * HOUR))

    async def ask() -> tuple[Any, Any]:
        return context.window, context.last_success

    window, last = asyncio.run(ask())
    assert window == (AT, AT + 24 * HOUR)
    assert last is not None
    assert last.run_id == succeeded.pk
