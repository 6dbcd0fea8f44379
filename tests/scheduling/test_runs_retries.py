"""What follows from the end of a run: another attempt, or none; all in the transaction of the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from scheduling import ends
from scheduling.ends import Outcome, finish
from scheduling.jobs.execution import execute_scheduled_scraping
from scheduling.models import Cause, Run, RunStatus, Schedule, ScheduleState
from scheduling.retries import MAX_RECOVERIES, SPREAD, Tries, back_off, next_attempt
from tests import factories

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
FAILED = Outcome(RunStatus.FAILED, "No coffee.")


def ends_as(outcome: Outcome, cause: Cause = Cause.SCHEDULE, **policy: Any) -> Run | None:
    """End a first run of a schedule with this policy; return the attempt that follows."""
    schedule = factories.schedule(**{"max_retries": 3, "timezone": "Europe/Berlin", **policy})
    run = factories.running(
        schedule=schedule, schedule_name=schedule.name, scheduled_for=NOW, cause=cause, time_limit_seconds=7
    )
    assert finish(run.pk, "token", outcome, NOW)
    return Run.objects.filter(parent=run).first()


@pytest.mark.django_db
def test_a_failed_run_is_tried_again_after_its_back_off_and_says_until_when() -> None:
    retry = ends_as(FAILED, retry_delay_seconds=600, retry_delay_max_seconds=6_000)
    assert retry is not None
    assert (retry.status, retry.cause, retry.attempt) == (RunStatus.QUEUED, Cause.RETRY, 2)
    assert (retry.scheduled_for, retry.time_limit_seconds) == (NOW, 7)
    assert retry.not_before is not None
    assert timedelta(seconds=480) <= retry.not_before - NOW <= timedelta(seconds=600)
    assert retry.wait_reason.startswith("Retry 1 of 3 waits until 2026-05-04 05:1")
    assert retry.wait_reason.endswith(", Europe/Berlin.")
    assert not Run.objects.startable(NOW).exists()
    assert Run.objects.startable(retry.not_before).get() == retry


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("outcome", "policy", "cause"),
    [
        (Outcome(RunStatus.FAILED), {}, Cause.RETRY),
        (Outcome(RunStatus.TIMED_OUT), {}, Cause.RETRY),
        (Outcome(RunStatus.LOST), {}, Cause.RECOVERY),
        (Outcome(RunStatus.LOST), {"max_retries": 0}, Cause.RECOVERY),
        (Outcome(RunStatus.LOST), {"rerun_lost": False}, None),
        (Outcome(RunStatus.FAILED), {"retry_failed": False}, None),
        (Outcome(RunStatus.TIMED_OUT), {"retry_timed_out": False}, None),
        (Outcome(RunStatus.FAILED), {"max_retries": 0}, None),
        (Outcome(RunStatus.FAILED, retry=False), {}, None),
        (Outcome(RunStatus.SUCCEEDED), {}, None),
        (Outcome(RunStatus.PARTIAL), {}, None),
        (Outcome(RunStatus.CANCELLED), {}, None),
        (Outcome(RunStatus.FAILED), {"enabled": False}, None),
        (Outcome(RunStatus.LOST), {"enabled": False}, None),
        (Outcome(RunStatus.FAILED), {"paused_at": NOW}, None),
        (Outcome(RunStatus.FAILED), {"paused_at": NOW, "paused_until": NOW}, Cause.RETRY),
    ],
)
def test_which_ends_are_tried_again(outcome: Outcome, policy: dict[str, Any], cause: Cause | None) -> None:
    attempt = ends_as(outcome, **policy)
    assert (attempt and attempt.cause) == cause


@pytest.mark.django_db
def test_attempts_end_after_the_number_of_retries_and_are_linked() -> None:
    schedule = factories.schedule(max_retries=2)
    run = factories.run(schedule=schedule)
    attempts = []
    while run is not None:
        Run.objects.filter(pk=run.pk).update(status="running", claim_token="token", started_at=NOW)
        assert finish(run.pk, "token", FAILED, NOW)
        attempts.append(run)
        run = Run.objects.filter(parent=run).first()
    assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
    assert [attempt.parent_id for attempt in attempts] == [None, attempts[0].pk, attempts[1].pk]


@pytest.mark.django_db
def test_what_is_lost_again_and_again_is_given_up() -> None:
    run = factories.run(schedule=factories.schedule())
    for _number in range(MAX_RECOVERIES):
        Run.objects.filter(pk=run.pk).update(status="running", claim_token="token", started_at=NOW)
        assert finish(run.pk, "token", Outcome(RunStatus.LOST), NOW)
        run = Run.objects.get(parent=run)
        assert run.cause == Cause.RECOVERY
    Run.objects.filter(pk=run.pk).update(status="running", claim_token="token", started_at=NOW)
    assert finish(run.pk, "token", Outcome(RunStatus.LOST), NOW)
    assert not Run.objects.active().exists()


@pytest.mark.django_db
def test_a_retry_takes_the_next_free_number_of_its_due_time() -> None:
    schedule = factories.schedule(max_retries=1)
    first = factories.running(schedule=schedule, scheduled_for=NOW, cause=Cause.SCHEDULE)
    factories.run(schedule=schedule, scheduled_for=NOW, cause=Cause.BACKFILL, attempt=2)
    assert finish(first.pk, "token", FAILED, NOW)
    assert Run.objects.get(parent=first).attempt == 3


@pytest.mark.django_db
def test_an_end_and_its_retry_are_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    run = factories.running(schedule=factories.schedule(max_retries=1))

    def fail(*_arguments: object) -> None:
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(ends, "_number", fail)
    with pytest.raises(DatabaseError):
        finish(run.pk, "token", FAILED, NOW)
    run.refresh_from_db()
    assert run.status == RunStatus.RUNNING
    assert not Run.objects.filter(parent=run).exists()


@pytest.mark.django_db
def test_only_the_end_after_all_attempts_counts_as_a_failed_run_and_pauses_the_schedule() -> None:
    schedule = factories.schedule(max_retries=1, pause_after_failures=1)
    run = factories.running(schedule=schedule)
    assert finish(run.pk, "token", FAILED, NOW)
    schedule.refresh_from_db()
    assert schedule.paused_at is None
    retry = Run.objects.get(parent=run)
    Run.objects.filter(pk=retry.pk).update(status="running", claim_token="token", started_at=NOW)
    assert finish(retry.pk, "token", FAILED, NOW)
    schedule.refresh_from_db()
    assert schedule.paused_at is not None
    assert schedule.state.failures_in_row == 1


@pytest.mark.django_db
def test_a_success_ends_the_failures_in_a_row() -> None:
    schedule = factories.schedule()
    for outcome, count in ((FAILED, 1), (FAILED, 2), (Outcome(RunStatus.SUCCEEDED), 0), (FAILED, 1)):
        assert finish(factories.running(schedule=schedule).pk, "token", outcome, NOW)
        assert ScheduleState.objects.get(schedule=schedule).failures_in_row == count


@pytest.mark.django_db
def test_an_end_under_an_old_claim_writes_nothing_and_causes_nothing() -> None:
    run = factories.running(schedule=factories.schedule(max_retries=1), claim_token="new")
    assert finish(run.pk, "token", FAILED, NOW) is None
    assert Run.objects.running().get() == run


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("job", "parameters", "retried"),
    [
        ("raise", {}, True),
        ("refuse", {}, True),
        ("refuse_for_good", {}, False),
        ("not registered", {}, False),
        ("noop", {"unheard": "of"}, False),
        ("half", {}, False),
        ("noop", {}, False),
    ],
)
def test_bad_configuration_is_never_tried_again(job: str, parameters: dict[str, Any], retried: bool) -> None:
    run = factories.running(schedule=factories.schedule(max_retries=1), job=job, parameters=parameters)
    ended = execute_scheduled_scraping(run.schedule_id, run.pk, "token")
    assert ended is not None
    assert ended.finished_at is not None
    assert Run.objects.filter(parent=run).exists() is retried


@pytest.mark.anydb
@given(
    first=st.integers(1, 10**6),
    longest=st.integers(1, 10**9),
    number=st.integers(1, 32_767),
    schedule=st.integers(1),
    run=st.integers(1),
)
def test_a_back_off_doubles_up_to_the_longest_and_never_surprises(
    first: int, longest: int, number: int, schedule: int, run: int
) -> None:
    row = Schedule(pk=schedule, retry_delay_seconds=first, retry_delay_max_seconds=max(first, longest))
    delay = back_off(row, Run(pk=run), number)
    full = min(first * 2 ** (number - 1), max(first, longest))
    assert full * (1 - SPREAD) - 1e-3 <= delay.total_seconds() <= full
    assert delay == back_off(row, Run(pk=run), number)


@pytest.mark.anydb
@given(
    status=st.sampled_from(RunStatus.final()),
    retries=st.integers(0, 20),
    recoveries=st.integers(0, 20),
    limit=st.integers(0, 20),
    retryable=st.booleans(),
)
def test_attempts_are_bounded_whatever_happens(
    status: RunStatus, retries: int, recoveries: int, limit: int, retryable: bool
) -> None:
    schedule = Schedule(pk=1, max_retries=limit, timezone="UTC")
    run = Run(pk=1, schedule_id=1, status=status, attempt=retries + recoveries + 1)
    attempt = next_attempt(run, schedule, Tries(retries, recoveries), retryable, NOW)
    if attempt is None:
        return
    assert status in RunStatus.bad()
    assert attempt.attempt == run.attempt + 1
    if attempt.cause == Cause.RETRY:
        assert retryable
        assert retries < limit
    else:
        assert recoveries < MAX_RECOVERIES
