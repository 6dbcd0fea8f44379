"""Pause and hold: who, why, until when; nothing is started, and nothing is run afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from scheduling.models import Cause, Hold, Pause, Run, RunStatus, Schedule, ScheduleState
from tests import factories

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def failed(schedule: Schedule, status: RunStatus = RunStatus.FAILED) -> Run:
    return factories.run(schedule=schedule, status=status, started_at=AT, finished_at=AT)


def test_a_pause_says_by_whom_why_and_until_when() -> None:
    schedule, anna = factories.schedule(), factories.user(username="anna")
    until = timezone.now() + hours(1)
    schedule.pause(anna, " moving house ", until)
    schedule = Schedule.objects.get()
    assert schedule.is_paused()
    assert (schedule.paused_by, schedule.pause_reason, schedule.paused_until) == (anna, "moving house", until)
    assert schedule.pause_words() == "paused by anna: moving house"
    assert "moving house" in LogEntry.objects.get().get_change_message()
    assert list(Schedule.objects.paused(timezone.now())) == [schedule]


def test_a_pause_until_the_end_of_the_calendar_is_refused() -> None:
    schedule = factories.schedule()
    with pytest.raises(ValidationError, match="Give a year"):
        schedule.pause(until=datetime(9999, 12, 31, 23, 59, tzinfo=UTC))
    assert not schedule.is_paused()


def test_a_pause_that_would_end_in_the_past_is_refused_at_its_field() -> None:
    with pytest.raises(ValidationError) as refused:
        factories.schedule().pause(until=AT, at=AT)
    assert list(refused.value.message_dict) == ["until"]


def test_resuming_keeps_when_and_why_it_was_paused() -> None:
    schedule, anna = factories.schedule(), factories.user(username="anna")
    schedule.pause(anna, "moving house", at=AT)
    assert schedule.resume(at=AT + hours(2))
    assert not schedule.resume(at=AT + hours(3))
    assert not schedule.is_paused()
    assert (schedule.pause_reason, schedule.paused_by, schedule.pause_words()) == ("", None, "")
    pause = Pause.objects.get()
    assert (pause.started_at, pause.ended_at, pause.words()) == (AT, AT + hours(2), "paused by anna: moving house")


def test_pausing_again_changes_reason_and_end_and_stays_one_pause() -> None:
    schedule = factories.schedule()
    schedule.pause(reason="first", at=AT)
    schedule.pause(reason="second", until=AT + hours(5), at=AT + hours(1))
    assert (schedule.paused_at, schedule.pause_reason, schedule.paused_until) == (AT, "second", AT + hours(5))
    assert not Pause.objects.exists()


def test_pausing_after_a_pause_that_ended_by_itself_is_a_new_one() -> None:
    schedule = factories.schedule()
    schedule.pause(until=AT + hours(1), at=AT)
    schedule.pause(reason="again", at=AT + hours(2))
    assert schedule.paused_at == AT + hours(2)
    assert Pause.objects.values_list("started_at", "ended_at").get() == (AT, AT + hours(1))


def test_pauses_that_are_over_end_when_they_were_to_end() -> None:
    schedules = [factories.schedule() for _ in range(3)]
    for number, schedule in enumerate(schedules, 1):
        schedule.pause(until=AT + hours(number), at=AT)
    assert Schedule.objects.resume_due(AT) == AT + hours(1)
    assert Schedule.objects.resume_due(AT + hours(2)) == AT + hours(3)
    assert list(Schedule.objects.filter(paused_at__isnull=False)) == [schedules[2]]
    assert sorted(Pause.objects.values_list("ended_at", flat=True)) == [AT + hours(1), AT + hours(2)]
    assert Schedule.objects.resume_due(AT + hours(9)) is None


def test_a_pause_ended_by_plain_sql_is_noted_too() -> None:
    schedule = factories.schedule()
    schedule.pause(reason="by hand", at=AT)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduling_schedule SET paused_at = NULL, pause_reason = ''")
    pause = Pause.objects.get()
    assert (pause.schedule, pause.started_at, pause.reason) == (schedule, AT, "by hand")
    assert abs(pause.ended_at - timezone.now()) < timedelta(minutes=1)


def test_a_schedule_with_all_that_hangs_on_it_can_be_deleted_by_plain_sql() -> None:
    schedule, other = factories.schedule(), factories.schedule()
    schedule.pause(at=AT)
    schedule.resume(at=AT + hours(1))
    ScheduleState.objects.create(schedule=schedule)
    schedule.follow_ups.create(successor=other)
    backfill = schedule.backfills.create(window_start=AT, window_end=AT + hours(1))
    run = factories.run(schedule=schedule, backfill=backfill)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM scheduling_schedule WHERE id = %s", [schedule.pk])
    connection.check_constraints()
    run.refresh_from_db()
    assert (run.schedule, run.backfill) == (None, None)


def test_failed_runs_in_a_row_pause_a_schedule_that_asks_for_it() -> None:
    schedule = factories.schedule(pause_after_failures=2)

    def note(run: Run) -> set[int]:
        return ScheduleState.objects.note_ends([run])

    assert not note(failed(schedule))
    assert not note(failed(schedule, RunStatus.SUCCEEDED))
    assert not note(failed(schedule, RunStatus.TIMED_OUT))
    assert not note(failed(schedule, RunStatus.CANCELLED))
    assert note(failed(schedule, RunStatus.LOST))
    schedule.refresh_from_db()
    assert schedule.pause_words() == "paused: 2 runs in a row failed"
    assert not note(failed(schedule))
    schedule.resume()
    assert not note(failed(schedule)), "failures are counted anew"


def test_failures_pause_nothing_unless_asked_for() -> None:
    schedule = factories.schedule()
    for _ in range(20):
        assert not ScheduleState.objects.note_ends([failed(schedule)])
    assert schedule.state.failures_in_row == 20
    assert not ScheduleState.objects.note_ends([factories.run(status=RunStatus.FAILED, finished_at=AT)])


def test_the_next_run_of_a_paused_schedule_comes_when_the_pause_is_over() -> None:
    schedule = factories.schedule(interval_seconds=3600, start_at=AT)
    assert schedule.next_run() is not None
    schedule.pause(reason="too loud")
    assert schedule.next_run() is None
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    schedule.pause(until=hour + hours(5))
    assert schedule.next_run() == hour + hours(5)


def test_a_paused_schedule_can_be_run_by_hand() -> None:
    schedule = factories.schedule()
    schedule.pause()
    run, created = schedule.run_now()
    assert created
    assert list(Run.objects.startable(timezone.now())) == [run]


def test_everything_is_held_once_and_released_once() -> None:
    anna, bert = factories.user(username="anna"), factories.user(username="bert")
    hold = Hold.objects.hold(anna, "database moves")
    assert Hold.objects.hold(bert, "me too") == hold
    assert Hold.objects.current() == hold
    assert hold.words() == "everything was held by anna: database moves"
    assert Hold.objects.release(bert)
    assert not Hold.objects.release(bert)
    hold.refresh_from_db()
    assert (hold.held_by, hold.released_by) == (anna, bert)
    assert Hold.objects.current() is None
    assert LogEntry.objects.count() == 2
    assert Hold.objects.hold() != hold


def test_while_everything_is_held_runs_wait_and_say_for_what() -> None:
    run = factories.run()
    Hold.objects.hold(reason="database moves")
    assert not Run.objects.startable(timezone.now()).exists()
    assert run.waits_for() == "Waits until all is released: everything was held: database moves."
    Hold.objects.release()
    assert Run.objects.startable(timezone.now()).get() == run


def startable() -> set[Run]:
    return set(Run.objects.startable(AT))


@pytest.mark.parametrize("policy", ["forbid", "queue", "replace"])
def test_runs_of_one_schedule_start_one_after_another(policy: str) -> None:
    schedule = factories.schedule(concurrency_policy=policy)
    first, second = factories.run(schedule=schedule), factories.run(schedule=schedule)
    other = factories.run(schedule=factories.schedule(concurrency_policy=policy))
    alone = [factories.run(), factories.run()]
    assert startable() == {first, other, *alone}
    Run.objects.filter(pk=first.pk).update(status=RunStatus.RUNNING, claim_token="x", started_at=AT)
    assert startable() == {other, *alone}
    assert second.waits_for_run(AT) == first
    Run.objects.filter(pk=first.pk).update(status=RunStatus.SUCCEEDED, finished_at=AT)
    assert startable() == {second, other, *alone}
    assert second.waits_for_run(AT) is None


def test_runs_of_a_schedule_that_allows_it_start_side_by_side() -> None:
    schedule = factories.schedule(concurrency_policy="allow")
    runs = {factories.run(schedule=schedule) for _ in range(3)}
    assert startable() == runs


def test_a_run_whose_time_has_not_come_holds_up_no_other() -> None:
    schedule = factories.schedule(concurrency_policy="queue")
    factories.run(schedule=schedule, not_before=AT + hours(1))
    due = factories.run(schedule=schedule)
    assert startable() == {due}


def test_a_backfill_comes_after_the_due_times_and_before_later_backfills() -> None:
    schedule = factories.schedule(concurrency_policy="forbid")
    first, second = (schedule.backfills.create(window_start=AT, window_end=AT + hours(1), at_once=2) for _ in range(2))
    past = {factories.run(schedule=schedule, backfill=first, cause=Cause.BACKFILL) for _ in range(2)}
    later = factories.run(schedule=schedule, backfill=second, cause=Cause.BACKFILL)
    assert startable() == past, "how many of one backfill run at once is the backfill's to say"
    run, created = schedule.run_now()
    assert created, "a backfill stands in nobody's way"
    assert startable() == {run}
    assert later.waits_for_run(AT) is not None
    Run.objects.filter(pk=next(iter(past)).pk).update(status=RunStatus.RUNNING, claim_token="x", started_at=AT)
    assert startable() == set()


@pytest.mark.parametrize(("policy", "started"), [("forbid", 1), ("queue", 3), ("allow", 5), ("replace", 5)])
def test_run_now_follows_the_concurrency_policy(policy: str, started: int) -> None:
    schedule = factories.schedule(concurrency_policy=policy, queue_limit=2, time_limit_seconds=7, memory_limit_mb=9)
    results = [schedule.run_now() for _ in range(5)]
    assert [created for _run, created in results] == [True] * started + [False] * (5 - started)
    runs = list(Run.objects.order_by("id"))
    assert len(runs) == started
    cancelled = [run.outcome for run in runs if run.status == RunStatus.CANCELLED]
    assert cancelled == (["Replaced by a newer run before it started."] * 4 if policy == "replace" else [])
    assert {run for run, created in results if not created} <= {runs[0] if policy == "forbid" else runs[-1]}
    assert (runs[0].time_limit_seconds, runs[0].kill_after_seconds, runs[0].memory_limit_mb) == (7, 30, 9)


def test_what_a_run_waits_for_is_found_however_long_the_history_of_its_schedule(on_postgresql: bool) -> None:
    if on_postgresql:
        pytest.skip("PostgreSQL plans by the size of its tables: here it would read them whole")
    plan = Run.objects.startable(AT).explain()
    assert "run_schedule_unended (schedule_id=? AND status=?)" in plan
    assert "run_schedule_newest" not in plan
