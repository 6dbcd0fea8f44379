"""The seam for jobs: registry, forms, context, execution."""

from __future__ import annotations

import logging

import pytest
from django import forms
from django.core.exceptions import ValidationError

from scheduling.jobs import Job, JobForm, RunContext, registry
from scheduling.jobs.execution import execute_scheduled_scraping
from scheduling.models import Run, RunStatus, Tag
from scheduling.runs import claim, hand_back
from tests import factories
from tests.scheduling.test_fire_path import Clockwork


class ManyForm(JobForm):
    count = forms.IntegerField(min_value=1, initial=3)
    tags = forms.ModelMultipleChoiceField(Tag.objects.all(), required=False)


MANY = Job("many", "Many", lambda context: None, ManyForm)


@pytest.mark.django_db
def test_parameters_are_typed_and_stored_as_json() -> None:
    tags = [Tag.objects.create(name=name) for name in "ab"]
    assert MANY.clean({"count": "5", "tags": [tags[1].pk, tags[0].pk]}) == {"count": 5, "tags": [t.pk for t in tags]}
    assert MANY.clean({}) == {"count": 3, "tags": []}


@pytest.mark.django_db
def test_each_wrong_parameter_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        MANY.clean({"count": 0, "colour": "red", "tags": [99]})
    assert set(caught.value.message_dict) == {"count", "colour", "tags"}
    assert "count, tags" in caught.value.message_dict["colour"][0]


@pytest.mark.anydb
def test_an_unknown_job_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValidationError) as caught:
        registry.get("make coffee")
    assert "noop" in caught.value.message_dict["job"][0]


@pytest.mark.anydb
def test_two_functions_cannot_share_a_name() -> None:
    with pytest.raises(ValueError, match="two jobs are named 'noop'"):
        registry.add(Job("noop", "Another", lambda context: None))


def claimed(clockwork: Clockwork, **values: object) -> Run:
    factories.run(**values)
    from django.utils import timezone

    (run,) = claim("threads", 1, clockwork.instance, clockwork.epoch, timezone.now())
    return run


@pytest.mark.django_db(transaction=True)
def test_a_run_is_claimed_once() -> None:
    from django.utils import timezone

    clockwork = Clockwork()
    run = claimed(clockwork)
    assert claim("threads", 1, clockwork.instance, clockwork.epoch, timezone.now()) == []
    run.refresh_from_db()
    assert (run.status, run.instance) == (RunStatus.RUNNING, clockwork.instance)


@pytest.mark.django_db(transaction=True)
def test_a_late_write_under_an_old_claim_is_refused() -> None:
    clockwork = Clockwork()
    run = claimed(clockwork)
    assert hand_back(run, "elsewhere")
    assert execute_scheduled_scraping(None, run.pk, run.claim_token) is None
    context = RunContext(run)
    context.log("too late")
    context.progress(5, 10)
    context.flush()
    assert context.cancelled
    run.refresh_from_db()
    assert (run.status, run.progress_done, run.log_lines.count()) == (RunStatus.QUEUED, 0, 0)


@pytest.mark.django_db(transaction=True)
def test_progress_counts_and_log_reach_the_row() -> None:
    clockwork = Clockwork()
    run = claimed(clockwork)
    context = RunContext(run)
    context.progress(1, 4, "first")
    context.count(new=2)
    context.count(known=1)
    context.log("careful", logging.WARNING)
    context.flush()
    run.refresh_from_db()
    assert (run.progress_done, run.progress_total, run.progress_message, run.progress_percent) == (1, 4, "first", 25)
    assert run.summary == {"new": 2, "known": 1}
    line = run.log_lines.get()
    assert (line.message, line.get_level_display()) == ("careful", "warning")


@pytest.mark.django_db(transaction=True)
def test_a_parameter_that_the_job_no_longer_has_fails_the_run_in_words() -> None:
    clockwork = Clockwork()
    run = claimed(clockwork, parameters={"sugar": 2})
    ended = execute_scheduled_scraping(None, run.pk, run.claim_token)
    assert ended is not None
    assert (ended.status, ended.traceback) == (RunStatus.FAILED, "")
    assert "sugar" in ended.outcome or "Unknown parameter" in ended.outcome


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("job", "parameters", "error_class", "nothing_due"),
    [
        ("noop", {}, "", False),
        ("idle", {}, "", True),
        ("refuse", {}, "JobError", False),
        ("raise", {}, "LookupError", False),
        ("echo", {"colour": "red"}, "parameters", False),
    ],
)
def test_a_run_keeps_its_class_of_error_and_whether_anything_was_due(
    job: str, parameters: dict[str, str], error_class: str, nothing_due: bool
) -> None:
    run = factories.running(job=job, parameters=parameters)
    ended = execute_scheduled_scraping(None, run.pk, run.claim_token)
    assert ended is not None
    assert (ended.error_class, ended.nothing_due) == (error_class, nothing_due)
