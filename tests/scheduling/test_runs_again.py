"""A person ends a run, or runs it again."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from scheduling.ends import cancelled, finish
from scheduling.models import Cause, Run, RunStatus
from tests import factories


@pytest.mark.django_db
def test_a_waiting_retry_is_cancelled_at_once_and_says_by_whom_and_why() -> None:
    schedule = factories.schedule(max_retries=3)
    run = factories.run(schedule=schedule, cause=Cause.RETRY, attempt=2)
    ada = factories.user(username="ada")
    assert run.cancel(ada, "the site is down")
    assert run.outcome == "Cancelled by ada before it started. Reason: the site is down"
    assert (run.cancel_requested_by, run.cancel_reason) == (ada, "the site is down")
    assert not Run.objects.active().exists()


@pytest.mark.django_db
def test_a_cancelled_running_run_says_by_whom_and_why_at_its_end() -> None:
    run = factories.running()
    assert run.cancel(factories.user(username="ada"), "too slow")
    ended = finish(run.pk, "token", cancelled(run.pk))
    assert ended is not None
    assert ended.outcome == "Cancelled by ada while it ran. Reason: too slow"


@pytest.mark.django_db
def test_a_long_reason_is_cut_to_what_the_column_holds() -> None:
    run = factories.running()
    assert run.cancel(reason="x" * 500)
    assert run.cancel_reason == "x" * 200


@pytest.mark.django_db
def test_a_run_is_run_again_linked_to_it_with_its_own_parameters_or_others() -> None:
    ada = factories.user(username="ada")
    schedule = factories.schedule(job="echo", parameters={"text": "now"})
    run = factories.run(schedule=schedule, job="echo", parameters={"text": "then"})
    run.cancel()
    again, is_new = run.again(ada)
    assert is_new
    assert (again.parent, again.schedule, again.cause, again.requested_by) == (run, schedule, Cause.MANUAL, ada)
    assert again.parameters == {"text": "then"}
    assert (again.attempt, again.scheduled_for) == (1, None)
    same, is_new = run.again(ada)
    assert (same, is_new) == (again, False)
    again.cancel()
    other, _ = run.again(ada, {"text": "other"})
    assert other.parameters == {"text": "other"}


@pytest.mark.django_db
def test_a_run_without_a_schedule_is_run_again_too() -> None:
    run, _ = Run.objects.start(job="echo", parameters={"text": "hi"}, cause=Cause.API, executor="threads")
    again, is_new = run.again()
    assert is_new
    assert (again.parent, again.parameters, again.executor, again.schedule) == (run, {"text": "hi"}, "threads", None)


@pytest.mark.django_db
def test_running_again_refuses_parameters_that_the_job_does_not_take() -> None:
    run = factories.run(job="echo", parameters={"text": "hi"}, status=RunStatus.QUEUED)
    with pytest.raises(ValidationError, match="Unknown parameter"):
        run.again(parameters={"colour": "red"})
    run.job = "not registered"
    with pytest.raises(ValidationError, match="no job"):
        run.again()
