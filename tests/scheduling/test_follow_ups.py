"""Schedules that follow others: their runs are committed with the end of the predecessor's; circles are refused."""

from __future__ import annotations

import itertools
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduling.ends import Outcome, finish
from scheduling.models import Cause, FollowOn, FollowUp, Run, RunStatus, Schedule
from tests import factories
from tests.shared import examples

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def follow(on: FollowOn = FollowOn.SUCCESS, **successor: Any) -> tuple[Run, Schedule]:
    """Return a running run, and a schedule that follows its schedule."""
    before = factories.schedule(max_retries=successor.pop("retries", 0))
    after = factories.schedule(**successor)
    FollowUp.objects.create(predecessor=before, successor=after, on=on)
    return factories.running(schedule=before), after


@pytest.mark.django_db
def test_a_follow_up_is_committed_with_the_end_of_its_predecessor() -> None:
    run, after = follow(job="echo", parameters={"text": "its own"}, time_limit_seconds=5)
    assert finish(run.pk, "token", Outcome(RunStatus.SUCCEEDED))
    following = after.runs.get()
    assert (following.cause, following.status, following.parent) == (Cause.FOLLOW_UP, RunStatus.QUEUED, run)
    assert (following.job, following.parameters) == ("echo", {"text": "its own"})
    assert following.time_limit_seconds == 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("on", "followed"),
    [
        (FollowOn.SUCCESS, {"succeeded"}),
        (FollowOn.PARTIAL, {"succeeded", "partial"}),
        (FollowOn.FAILURE, {"failed", "timed_out", "lost"}),
        (FollowOn.ANY, {"succeeded", "partial", "failed", "timed_out", "lost", "cancelled"}),
    ],
)
def test_which_ends_are_followed(on: FollowOn, followed: set[str]) -> None:
    assert {status for status in RunStatus.final() if on.holds_for(status)} == followed
    for status in ("succeeded", "partial", "failed", "timed_out", "cancelled"):
        run, after = follow(on)
        assert finish(run.pk, "token", Outcome(RunStatus(status)))
        assert after.runs.exists() == (status in followed), status


@pytest.mark.django_db
def test_a_failure_that_will_be_retried_is_no_end() -> None:
    run, after = follow(FollowOn.ANY, retries=1)
    assert finish(run.pk, "token", Outcome(RunStatus.FAILED))
    assert not after.runs.exists()
    retry = Run.objects.get(parent=run)
    Run.objects.filter(pk=retry.pk).update(status="running", claim_token="token", started_at=NOW)
    assert finish(retry.pk, "token", Outcome(RunStatus.FAILED))
    assert after.runs.get().parent == retry


@pytest.mark.django_db
def test_a_cancelled_waiting_run_is_an_end_too() -> None:
    run, after = follow(FollowOn.ANY)
    Run.objects.filter(pk=run.pk).update(status="queued", claim_token="", started_at=None)
    assert run.cancel()
    assert after.runs.get().parent == run


@pytest.mark.django_db
def test_a_follow_up_that_meets_an_active_run_is_skipped_and_says_so() -> None:
    run, after = follow()
    active = factories.running(schedule=after)
    assert finish(run.pk, "token", Outcome(RunStatus.SUCCEEDED))
    skipped = after.runs.exclude(pk=active.pk).get()
    assert (skipped.status, skipped.parent) == (RunStatus.SKIPPED, run)
    assert str(active.pk) in skipped.outcome


@pytest.mark.django_db
def test_a_paused_schedule_does_not_follow_and_says_so_and_a_disabled_one_does_not_at_all() -> None:
    run, paused = follow(paused_at=NOW)
    assert finish(run.pk, "token", Outcome(RunStatus.SUCCEEDED))
    assert (paused.runs.get().status, paused.runs.get().outcome) == ("skipped", "Skipped: paused.")
    run, disabled = follow(enabled=False)
    assert finish(run.pk, "token", Outcome(RunStatus.SUCCEEDED))
    assert not disabled.runs.exists()


@pytest.mark.django_db
def test_several_schedules_follow_one() -> None:
    run, first = follow()
    second = factories.schedule()
    FollowUp.objects.create(predecessor=run.schedule, successor=second, on=FollowOn.SUCCESS)
    assert finish(run.pk, "token", Outcome(RunStatus.SUCCEEDED))
    assert (first.runs.count(), second.runs.count()) == (1, 1)


@pytest.mark.django_db
def test_a_circle_of_any_length_is_refused_and_named() -> None:
    schedules = [factories.schedule(name=name) for name in "abcd"]
    for before, after in itertools.pairwise(schedules):
        FollowUp.objects.create(predecessor=before, successor=after)
    closing = FollowUp(predecessor=schedules[3], successor=schedules[0])
    with pytest.raises(ValidationError, match="d → a → b → c → d"):
        closing.full_clean()
    with pytest.raises(ValidationError, match="circle"):
        closing.save()
    with pytest.raises(ValidationError, match="circle"):
        FollowUp(predecessor=schedules[0], successor=schedules[0]).clean()
    FollowUp(predecessor=schedules[0], successor=schedules[3]).full_clean()


@pytest.mark.django_db
def test_turning_a_follow_up_round_is_no_circle() -> None:
    a, b = factories.schedule(), factories.schedule()
    one = FollowUp.objects.create(predecessor=a, successor=b)
    one.predecessor, one.successor = b, a
    one.full_clean()
    one.save()


@pytest.mark.django_db
@settings(deadline=None, max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=15))
def test_whatever_is_tried_no_schedule_ever_follows_itself(edges: list[tuple[int, int]]) -> None:
    FollowUp.objects.all().delete()
    schedules = list(Schedule.objects.all()[:6]) or [factories.schedule() for _ in range(6)]
    kept: set[tuple[int, int]] = set()

    def reaches(start: int, goal: int) -> bool:
        return start == goal or any(reaches(after, goal) for before, after in kept if before == start)

    for before, after in edges:
        if (before, after) in kept:
            continue
        try:
            FollowUp.objects.create(predecessor=schedules[before], successor=schedules[after])
        except ValidationError:
            assert reaches(after, before)
        else:
            assert not reaches(after, before)
            kept.add((before, after))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("with_others", [False, True])
def test_two_edits_at_once_cannot_close_a_circle(with_others: bool) -> None:
    a, b, c, d = (factories.schedule() for _ in range(4))
    if with_others:
        # b → c and d → a stand; a → b and c → d then share no schedule, and still close a circle together.
        FollowUp.objects.create(predecessor=b, successor=c)
        FollowUp.objects.create(predecessor=d, successor=a)
        pairs = [(a, b), (c, d)]
    else:
        pairs = [(a, b), (b, a)]
    start = threading.Barrier(2)
    refused: list[str] = []

    def save(before: Schedule, after: Schedule) -> None:
        start.wait()
        try:
            FollowUp.objects.create(predecessor=before, successor=after)
        except ValidationError as error:
            refused.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=save, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
