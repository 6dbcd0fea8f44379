"""What the rows of scheduling hold by themselves: constraints, transitions of a run, words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from scheduling.models import Cause, Run, RunStatus, Schedule, SchedulerInstance
from scheduling.models.choices import ShownChoices
from tests import factories

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"status": "sleeping"},
        {"cause": "boredom"},
        {"attempt": 0},
        {"status": "succeeded"},
        {"finished_at": NOW},
        {"status": "running"},
        {"status": "missed", "finished_at": NOW},
        {"missed_count": 3},
        {"cause": "schedule"},
        {
            "status": "missed",
            "finished_at": NOW,
            "scheduled_for": NOW,
            "missed_until": NOW - timedelta(1),
            "missed_count": 1,
        },
    ],
)
def test_the_database_refuses_a_run_that_makes_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.run(**values)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"interval_seconds": 0},
        {"interval_seconds": None},
        {"trigger_kind": "moon"},
        {"trigger_kind": "crontab", "crontab": ""},
        {"trigger_kind": "date"},
        {"executor": "abacus"},
        {"start_at": NOW, "end_at": NOW},
    ],
)
def test_the_database_refuses_a_schedule_that_makes_no_sense(values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.schedule(**values)


@pytest.mark.django_db
def test_a_fire_is_unique_by_schedule_due_time_and_attempt() -> None:
    schedule = factories.schedule()
    factories.run(schedule=schedule, scheduled_for=NOW, cause=Cause.SCHEDULE)
    factories.run(schedule=schedule, scheduled_for=NOW, cause=Cause.SCHEDULE, attempt=2)
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.run(schedule=schedule, scheduled_for=NOW, cause=Cause.SCHEDULE)


@pytest.mark.django_db
def test_only_one_process_can_be_active() -> None:
    SchedulerInstance.objects.create(host="a", pid=1, process_started=0, state="active")
    with pytest.raises(IntegrityError), transaction.atomic():
        SchedulerInstance.objects.create(host="b", pid=2, process_started=0, state="active")


@pytest.mark.anydb
@pytest.mark.parametrize("kind", ShownChoices.__subclasses__(), ids=lambda kind: kind.__name__)
def test_every_status_has_a_word_a_colour_and_an_icon(kind: type[ShownChoices]) -> None:
    for status in kind:
        assert kind(status.value) is status
        assert status.label
        assert status.colour in {"grey", "blue", "green", "amber", "red"}
        assert status.icon


@pytest.mark.django_db
def test_a_run_outlives_its_schedule_and_keeps_the_name() -> None:
    schedule = factories.schedule(name="Gone tomorrow")
    run, created = schedule.run_now()
    assert created
    schedule.delete()
    run.refresh_from_db()
    assert (run.schedule, run.schedule_name, run.title) == (None, "Gone tomorrow", "Gone tomorrow")


@pytest.mark.django_db
def test_run_now_while_a_run_is_active_returns_that_one() -> None:
    schedule = factories.schedule()
    first, _ = schedule.run_now()
    second, created = schedule.run_now()
    assert (second, created) == (first, False)


@pytest.mark.django_db
def test_the_same_request_key_is_one_run() -> None:
    schedule = factories.schedule()
    first, _ = schedule.run_now(request_key="abc")
    first.cancel()
    again, created = schedule.run_now(request_key="abc")
    assert (again, created) == (first, False)
    loose, _ = Run.objects.start(job="noop", parameters={}, cause=Cause.API, request_key="xyz")
    same, created = Run.objects.start(job="noop", parameters={}, cause=Cause.API, request_key="xyz")
    assert (same, created) == (loose, False)


@pytest.mark.django_db
def test_a_queued_run_is_cancelled_at_once_and_says_by_whom() -> None:
    somebody = factories.user(username="ada")
    run = factories.run()
    assert run.cancel(somebody)
    assert (run.status, run.outcome) == (RunStatus.CANCELLED, "Cancelled by ada before it started.")
    assert not run.cancel(somebody)


@pytest.mark.django_db
def test_a_running_run_is_asked_once() -> None:
    run = factories.run(status="running", claim_token="t", started_at=NOW)
    assert run.cancel()
    assert run.status == RunStatus.RUNNING
    assert run.cancel_requested_at is not None
    assert not run.cancel()


@pytest.mark.django_db
def test_a_queued_run_says_what_it_waits_for() -> None:
    run = factories.run()
    assert "no" in run.waits_for().lower()
    assert "runapscheduler" in run.waits_for()
    SchedulerInstance.objects.create(host="a", pid=1, process_started=0, state="active")
    assert run.waits_for() == "Waits to be started by the scheduler."
    run.wait_reason = "Waits for a free place."
    assert run.waits_for() == "Waits for a free place."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"trigger_kind": "crontab", "crontab": "61 * * * *"}, "crontab"),
        ({"trigger_kind": "crontab"}, "crontab"),
        ({"interval_seconds": None}, "interval_seconds"),
        ({"trigger_kind": "date"}, "run_at"),
        ({"trigger_kind": "date", "run_at": NOW - timedelta(days=9999)}, "run_at"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"start_at": NOW, "end_at": NOW}, "end_at"),
        ({"job": "unheard of"}, "job"),
    ],
)
def test_what_is_wrong_is_said_at_the_field(values: dict[str, object], field: str) -> None:
    schedule = Schedule(**{"name": "x", "job": "noop", "interval_seconds": 60, **values})
    with pytest.raises(ValidationError) as caught:
        schedule.full_clean()
    assert list(caught.value.message_dict) == [field]


@pytest.mark.django_db
def test_a_past_one_off_date_can_still_be_saved_when_it_is_not_what_changed() -> None:
    schedule = factories.schedule(trigger_kind="date", run_at=NOW - timedelta(days=9999), interval_seconds=None)
    schedule.description = "it is done"
    schedule.full_clean()


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"interval_seconds": 900}, "Every 15 minutes"),
        ({"interval_seconds": 1}, "Every second"),
        ({"interval_seconds": 90}, "Every 90 seconds"),
        (
            {"trigger_kind": "crontab", "crontab": "30 6 * * 1-5", "timezone": "Europe/Berlin"},
            "At 06:30 on Monday through Friday, Europe/Berlin",
        ),
        (
            {"trigger_kind": "date", "run_at": datetime(2026, 12, 24, 5, 30, tzinfo=UTC), "timezone": "Europe/Berlin"},
            "Once, on 24 December 2026 at 06:30, Europe/Berlin",
        ),
        ({"trigger_kind": "manual"}, "Only by hand"),
        ({"trigger_kind": "crontab", "crontab": "what?"}, "Not understood"),
    ],
)
def test_a_trigger_in_words(values: dict[str, object], words: str) -> None:
    assert Schedule(**values).words() == words


@pytest.mark.anydb
def test_next_fires_are_in_utc_and_in_the_schedule_s_zone() -> None:
    schedule = Schedule(trigger_kind="crontab", crontab="0 9 * * *", timezone="Europe/Berlin")
    after = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
    # Clocks go forward on the 29th: the same wall-clock time is an hour earlier in UTC.
    assert schedule.next_fires(2, after=after) == [
        datetime(2026, 3, 29, 7, 0, tzinfo=UTC),
        datetime(2026, 3, 30, 7, 0, tzinfo=UTC),
    ]
