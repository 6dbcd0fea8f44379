"""Backfills: which due times of the past get a run, in which order, how many at once, and what is left alone."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling import leader, runs
from scheduling.models import Backfill, Cause, Run, RunStatus, Schedule, SchedulerInstance
from scheduling.models import backfill as backfill_module
from scheduling.models.backfill import _covered
from tests import factories
from tests.shared import examples

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 4, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def hourly() -> Schedule:
    return factories.schedule(
        trigger_kind="crontab", crontab="0 * * * *", interval_seconds=None, timezone="UTC", time_limit_seconds=7
    )


def make(schedule: Schedule, **values: Any) -> Backfill:
    return Backfill(**{"schedule": schedule, "window_start": START, "window_end": START + 3 * HOUR, **values})


def ended(schedule: Schedule, hour: int, status: str, **values: Any) -> Run:
    return factories.run(
        schedule=schedule,
        cause=Cause.SCHEDULE,
        status=status,
        scheduled_for=START + hour * HOUR,
        finished_at=START + (hour + 1) * HOUR,
        **values,
    )


def hours(backfill: Backfill) -> list[int]:
    due_times = Run.objects.filter(backfill=backfill).order_by("id").values_list("scheduled_for", flat=True)
    return [(due - START) // HOUR for due in due_times if due]


def test_both_ends_of_the_window_are_inside_and_the_future_is_not(hourly: Schedule) -> None:
    preview = make(hourly).preview(now=START + 2.5 * HOUR)
    assert [item.scheduled_for for item in preview] == [START, START + HOUR, START + 2 * HOUR]
    assert {(item.attempt, item.wanted, item.words) for item in preview} == {(1, True, "Runs: it has no run.")}
    assert not Run.objects.exists()


def test_each_run_is_a_committed_row_that_says_for_which_due_time_and_why(hourly: Schedule) -> None:
    ada = factories.user(username="ada")
    backfill = make(hourly, requested_by=ada)
    assert len(backfill.start()) == 4
    run = Run.objects.filter(backfill=backfill).earliest("id")
    assert (run.status, run.cause, run.requested_by, run.attempt) == (RunStatus.QUEUED, Cause.BACKFILL, ada, 1)
    assert (run.scheduled_for, run.job, run.schedule_name) == (START, "noop", hourly.name)
    assert run.time_limit_seconds == 7
    assert run.wait_reason == "Waits for its turn in the backfill: at most 1 at once."


WHICH = {
    "missing": [0, 3, 4, 5],
    "failed": [0, 2, 3, 4, 5, 6],
    "all": [0, 1, 2, 3, 4, 5, 6, 7],
}


@pytest.mark.parametrize("which", WHICH)
def test_which_due_times_get_a_run(hourly: Schedule, which: str) -> None:
    ended(hourly, 1, "succeeded")
    ended(hourly, 2, "failed")
    ended(hourly, 3, "skipped")
    ended(hourly, 4, "missed", missed_until=START + 5 * HOUR, missed_count=2)
    ended(hourly, 6, "lost")
    ended(hourly, 6, "timed_out", attempt=2)
    ended(hourly, 7, "failed")
    ended(hourly, 7, "partial", attempt=2)
    factories.run(schedule=hourly, scheduled_for=START + 8 * HOUR, cause=Cause.SCHEDULE)
    backfill = make(hourly, window_end=START + 8 * HOUR, which=which)
    backfill.start()
    assert hours(backfill) == WHICH[which]


def test_a_due_time_that_has_a_row_gets_the_next_attempt_linked_to_it(hourly: Schedule) -> None:
    missed = ended(hourly, 0, "missed", missed_until=START + HOUR, missed_count=2)
    failed = ended(hourly, 2, "failed", attempt=3)
    done = ended(hourly, 3, "succeeded")
    backfill = make(hourly, which="failed")
    words = [item.words for item in backfill.preview()]
    assert words == [
        f"Runs again as attempt 2: run {missed.pk} is missed.",
        f"Runs: run {missed.pk} covers it and is missed.",
        f"Runs again as attempt 4: run {failed.pk} is failed.",
        f"Left alone: run {done.pk} is succeeded.",
    ]
    backfill.start()
    rows = Run.objects.filter(backfill=backfill).order_by("id").values_list("scheduled_for", "attempt", "parent")
    assert list(rows) == [
        (START, 2, missed.pk),
        (START + HOUR, 1, missed.pk),
        (START + 2 * HOUR, 4, failed.pk),
    ]


def test_a_second_backfill_of_the_same_window_finds_nothing_left(hourly: Schedule) -> None:
    make(hourly).start()
    again = make(hourly, which="all")
    assert not any(item.wanted for item in again.preview())
    with pytest.raises(ValidationError, match="nothing to run"):
        again.start()
    assert Backfill.objects.count() == 1
    assert Run.objects.count() == 4


def test_the_newest_can_come_first(hourly: Schedule) -> None:
    backfill = make(hourly, order="newest")
    assert [item.scheduled_for for item in backfill.preview()] == [START + n * HOUR for n in (3, 2, 1, 0)]
    backfill.start()
    assert hours(backfill) == [3, 2, 1, 0]


@pytest.fixture
def instance() -> SchedulerInstance:
    return SchedulerInstance.objects.create(
        host="a", pid=os.getpid(), process_started=psutil.Process().create_time(), state="active"
    )


def claim(instance: SchedulerInstance, limit: int = 10) -> list[Run]:
    epoch = leader.Leadership.objects.get_or_create(pk=1)[0].epoch
    return runs.claim("processes", limit, instance, epoch, timezone.now())


def end(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, finished_at=timezone.now())


def test_a_look_that_finds_nothing_queued_is_one_short_question(instance: SchedulerInstance) -> None:
    factories.run(status=RunStatus.SUCCEEDED, started_at=START, finished_at=START)
    epoch = leader.Leadership.objects.get_or_create(pk=1)[0].epoch
    with CaptureQueriesContext(connection) as asked:
        assert runs.claim("processes", 10, instance, epoch, timezone.now()) == []
    assert len(asked) == 1
    assert asked[0]["sql"].count("SELECT") == 1, "no rule of what may start is asked about"


def test_no_more_of_its_runs_than_at_once_are_started(hourly: Schedule, instance: SchedulerInstance) -> None:
    hourly.concurrency_policy = "allow"
    hourly.save()
    backfill = make(hourly, at_once=2, window_end=START + 4 * HOUR)
    backfill.start()
    first = claim(instance)
    assert [run.scheduled_for for run in first] == [START, START + HOUR]
    assert claim(instance) == []
    end(first[1])
    assert [run.scheduled_for for run in claim(instance)] == [START + 2 * HOUR]
    end(first[0])
    assert [run.scheduled_for for run in claim(instance, limit=1)] == [START + 3 * HOUR]
    assert Run.objects.filter(backfill=backfill).queued().count() == 1


def test_what_became_due_by_itself_comes_before_a_backfill(hourly: Schedule, instance: SchedulerInstance) -> None:
    make(hourly).start()
    later = factories.run(executor="processes")
    assert claim(instance, limit=1) == [later]


def test_backfills_of_several_schedules_do_not_share_their_limit(instance: SchedulerInstance) -> None:
    for _ in range(3):
        schedule = factories.schedule(created_at=START, interval_seconds=3600, concurrency_policy="allow")
        make(schedule, at_once=2).start()
    assert len(claim(instance)) == 3 * 2
    assert claim(instance) == []


def test_a_backfill_is_cancelled_as_a_whole(hourly: Schedule, instance: SchedulerInstance) -> None:
    ada = factories.user(username="ada")
    backfill = make(hourly)
    backfill.start()
    (running,) = claim(instance)
    other = factories.run(schedule=hourly)
    assert backfill.cancel(ada) == 4
    assert backfill.cancelled_at is not None
    running.refresh_from_db()
    assert (running.status, running.cancel_requested_by) == (RunStatus.RUNNING, ada)
    statuses = Run.objects.filter(backfill=backfill).exclude(pk=running.pk).values_list("status", flat=True)
    assert list(statuses) == [RunStatus.CANCELLED] * 3
    other.refresh_from_db()
    assert other.status == RunStatus.QUEUED
    assert backfill.cancel(ada) == 0
    assert LogEntry.objects.filter(user=ada, object_id=backfill.pk).latest("pk").change_message == "Cancelled 4 runs"


def test_its_counts_come_with_the_list(hourly: Schedule, django_assert_num_queries: Any) -> None:
    backfill = make(hourly)
    backfill.start()
    first, second, third, _rest = Run.objects.filter(backfill=backfill).order_by("id")
    for run, status in ((first, "succeeded"), (second, "partial"), (third, "failed")):
        Run.objects.filter(pk=run.pk).update(status=status, finished_at=START)
    with django_assert_num_queries(1):
        row = Backfill.objects.with_counts().get()
    assert (row.run_count, row.active_count, row.succeeded_count, row.bad_count) == (4, 1, 2, 1)


def test_what_makes_no_sense_is_refused_at_its_field(hourly: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    future = timezone.now() + HOUR
    for values, field, message in (
        ({"window_end": START}, "window_end", "The end must be after the start."),
        ({"window_start": datetime(1, 1, 1, tzinfo=UTC)}, "window_start", "Give a year from 1970 to 8999."),
        ({"window_end": datetime(9999, 12, 31, tzinfo=UTC)}, "window_end", "Give a year from 1970 to 8999."),
        (
            {"window_start": future, "window_end": future + HOUR},
            "window_start",
            "A backfill is for due times of the past.",
        ),
        ({"at_once": 0}, "at_once", "Ensure this value is greater than or equal to 1."),
        ({"which": "some"}, "which", "Value 'some' is not a valid choice."),
        (
            {"schedule": factories.schedule(trigger_kind="manual", interval_seconds=None)},
            "schedule",
            "This schedule is run by hand only; it has no due times.",
        ),
        (
            {"schedule": factories.schedule(job="gone")},
            "schedule",
            "The job “gone” is not registered in this installation.",
        ),
    ):
        with pytest.raises(ValidationError) as caught:
            make(**{"schedule": hourly, **values}).start()
        assert caught.value.message_dict == {field: [message]}
    with pytest.raises(ValidationError) as caught:
        Backfill(schedule=hourly).full_clean()
    assert sorted(caught.value.message_dict) == ["window_end", "window_start"]
    monkeypatch.setattr(backfill_module, "MOST_DUE_TIMES", 3)
    with pytest.raises(ValidationError, match="There are 4 due times between these; a backfill holds at most 3"):
        make(hourly).start()
    assert len(make(hourly).preview()) == 3
    assert not Backfill.objects.exists()


def test_a_window_of_a_year_of_seconds_is_refused_without_listing_it(hourly: Schedule) -> None:
    every_second = factories.schedule(interval_seconds=1, created_at=START - timedelta(days=400))
    backfill = make(every_second, window_start=START - timedelta(days=365))
    with pytest.raises(ValidationError, match="There are 31546801 due times"):
        backfill.full_clean()
    assert len(backfill.preview()) == 10_000


def test_the_next_due_time_is_left_alone(hourly: Schedule) -> None:
    before = hourly.next_run()
    version = Schedule.objects.get(pk=hourly.pk).version
    make(hourly).start()
    hourly.refresh_from_db()
    assert hourly.version == version
    assert hourly.next_run() == before


def test_however_many_due_times_are_looked_at_and_committed_in_few_statements() -> None:
    minutely = factories.schedule(created_at=START, interval_seconds=60)
    backfill = make(minutely, window_end=START + timedelta(minutes=999))
    with CaptureQueriesContext(connection) as captured:
        assert len(backfill.start()) == 1000
    others = [query["sql"] for query in captured if not query["sql"].startswith('INSERT INTO "scheduling_run"')]
    assert len(others) <= 20, others
    assert Run.objects.filter(backfill=backfill).values("scheduled_for").distinct().count() == 1000


@settings(derandomize=True, deadline=None, max_examples=examples(50))
@given(
    st.sets(st.integers(0, 50), max_size=20),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10)), max_size=5),
)
def test_a_due_time_is_covered_by_the_missed_run_in_whose_range_it_lies(
    due: set[int], ranges: list[tuple[int, int]]
) -> None:
    due_times = sorted(START + n * HOUR for n in due)
    missed = [
        Run(scheduled_for=START + begin * HOUR, missed_until=START + (begin + length) * HOUR)
        for begin, length in sorted(ranges)
    ]
    found = _covered(due_times, missed)
    for moment in due_times:
        covering = [run for run in missed if run.scheduled_for <= moment <= run.missed_until]
        assert found.get(moment) is (covering[-1] if covering else None)
