"""From schedules to jobs: only what changed, and the due time is kept where the trigger is the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_apscheduler.models import DjangoJob

from scheduling.jobs import registry
from scheduling.models import Cause, Run, RunStatus, Schedule, ScheduleChange
from scheduling.sync import Sync
from tests import factories
from tests.scheduling.test_fire_path import Clockwork

pytestmark = pytest.mark.django_db(transaction=True)


def next_time(schedule: Schedule) -> datetime | None:
    return DjangoJob.objects.get(pk=schedule.job_id).next_run_time


def now() -> datetime:
    return datetime.now(UTC)


def test_a_rename_keeps_the_due_time_and_writes_nothing() -> None:
    clockwork = Clockwork()
    schedule = factories.schedule(interval_seconds=3600)
    clockwork.sync.changes(now())
    before = DjangoJob.objects.filter(pk=schedule.job_id).values().get()
    Schedule.objects.filter(pk=schedule.pk).update(description="new words", parameters={})
    assert clockwork.sync.changes(now()) == 0
    assert DjangoJob.objects.filter(pk=schedule.job_id).values().get() == before


def test_a_new_trigger_counts_from_the_edit() -> None:
    clockwork = Clockwork()
    schedule = factories.schedule(interval_seconds=3600)
    clockwork.sync.changes(now())
    Schedule.objects.filter(pk=schedule.pk).update(interval_seconds=10)
    edited = now()
    # Noticed half a minute late: the due times since the edit are still there to be dealt with.
    clockwork.sync.changes(edited + timedelta(seconds=30))
    due = next_time(schedule)
    assert due is not None
    assert edited - timedelta(seconds=1) < due <= edited + timedelta(seconds=10)


@pytest.mark.parametrize("full", [True, False])
def test_an_edit_between_the_reading_of_notes_and_rows_counts_from_its_own_instant(
    monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    clockwork = Clockwork()
    schedule = factories.schedule(interval_seconds=3600)
    clockwork.sync.changes(now())
    Schedule.objects.filter(pk=schedule.pk).update(interval_seconds=7200)
    original, edits = Sync._take_notes, [{"interval_seconds": 2}]

    def take_notes(self: Sync) -> dict[int, datetime]:
        notes = original(self)
        if edits:
            Schedule.objects.filter(pk=schedule.pk).update(**edits.pop())
        return notes

    monkeypatch.setattr(Sync, "_take_notes", take_notes)
    began = now()
    # The round began half a minute ago, on a machine that is slow.
    look = clockwork.sync.everything if full else clockwork.sync.changes
    look(began - timedelta(seconds=30))
    due = next_time(schedule)
    assert due is not None
    assert due > began
    assert not ScheduleChange.objects.exists()


@pytest.mark.parametrize("change", [{"interval_seconds": 3600}, {"enabled": False}, {"trigger_kind": "manual"}])
def test_due_times_that_passed_unfired_before_an_edit_are_a_missed_row(change: dict[str, object]) -> None:
    clockwork = Clockwork()
    start = now().replace(microsecond=0)
    schedule = factories.schedule(interval_seconds=10, start_at=start - timedelta(hours=1))
    clockwork.sync.changes(now())
    # No scheduler fires what is due, then the schedule is edited.
    DjangoJob.objects.update(next_run_time=start - timedelta(seconds=50))
    Schedule.objects.filter(pk=schedule.pk).update(**change)
    clockwork.sync.changes(now())
    missed = Run.objects.get()
    assert (missed.status, missed.schedule, missed.cause) == (RunStatus.MISSED, schedule, Cause.SCHEDULE)
    assert missed.scheduled_for == start - timedelta(seconds=50)
    assert missed.missed_until == missed.scheduled_for + timedelta(seconds=10 * (missed.missed_count - 1))
    assert missed.missed_count >= 6
    assert "had passed when the schedule was edited" in missed.outcome


def test_a_disabled_schedule_has_no_due_time_and_comes_back_when_enabled() -> None:
    clockwork = Clockwork()
    schedule = factories.schedule(interval_seconds=60)
    clockwork.sync.changes(now())
    Schedule.objects.update(enabled=False)
    clockwork.sync.changes(now())
    assert next_time(schedule) is None
    Schedule.objects.update(enabled=True)
    clockwork.sync.changes(now())
    due = next_time(schedule)
    assert due is not None
    assert now() < due <= now() + timedelta(seconds=60)


def test_a_deleted_schedule_has_no_job_also_by_plain_sql() -> None:
    clockwork = Clockwork()
    schedule = factories.schedule()
    run, _ = schedule.run_now()
    clockwork.sync.changes(now())
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM scheduling_schedule WHERE id = %s", [schedule.pk])
    clockwork.sync.changes(now())
    assert not DjangoJob.objects.exists()
    run.refresh_from_db()
    assert (run.schedule, run.schedule_name) == (None, schedule.name)


@pytest.mark.parametrize("has_run", [False, True])
def test_a_job_row_that_is_lost_costs_no_due_time(has_run: bool) -> None:
    clockwork = Clockwork()
    schedule = factories.schedule(interval_seconds=10)
    clockwork.sync.changes(now())
    first = next_time(schedule)
    assert first is not None
    if has_run:
        factories.run(schedule=schedule, cause=Cause.SCHEDULE, scheduled_for=first)
    DjangoJob.objects.filter(pk=schedule.job_id).delete()
    # Noticed by the look that is taken each minute.
    clockwork.sync.everything(now() + timedelta(seconds=60))
    assert next_time(schedule) == first + timedelta(seconds=10 if has_run else 0)


def test_a_job_row_that_is_lost_after_an_edit_counts_from_the_edit() -> None:
    clockwork = Clockwork()
    schedule = factories.schedule(interval_seconds=10)
    clockwork.sync.changes(now())
    old = now() - timedelta(hours=5)
    factories.run(schedule=schedule, cause=Cause.SCHEDULE, scheduled_for=old, queued_at=old)
    Schedule.objects.filter(pk=schedule.pk).update(interval_seconds=20)
    edited = now()
    clockwork.sync.changes(edited)
    DjangoJob.objects.filter(pk=schedule.job_id).delete()
    clockwork.sync.everything(edited + timedelta(seconds=60))
    due = next_time(schedule)
    assert due is not None
    assert edited - timedelta(seconds=1) < due <= edited + timedelta(seconds=20)


def test_every_way_of_writing_is_noted_and_raises_the_version() -> None:
    schedule = factories.schedule()
    versions = [schedule.version]
    schedule.description = "saved"
    schedule.save()
    Schedule.objects.filter(pk=schedule.pk).update(description="updated")
    Schedule.objects.bulk_update([schedule], ["description"])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE scheduling_schedule SET description = 'by sql'")
    schedule.refresh_from_db()
    assert schedule.version == versions[0] + 4
    assert ScheduleChange.objects.filter(schedule_id=schedule.pk).count() == 5


def test_a_manual_schedule_has_no_due_time() -> None:
    clockwork = Clockwork()
    schedule = factories.schedule(trigger_kind="manual", interval_seconds=None)
    clockwork.sync.everything(now())
    assert not DjangoJob.objects.filter(pk=schedule.job_id, next_run_time__isnull=False).exists()


def test_a_foreign_job_in_the_same_table_is_left_alone() -> None:
    DjangoJob.objects.create(id="somebody else's", next_run_time=now(), job_state=b"theirs")
    clockwork = Clockwork()
    clockwork.sync.everything(now())
    assert clockwork.store.fire(now()).runs == []
    assert bytes(DjangoJob.objects.get().job_state) == b"theirs"


def test_the_look_each_minute_reads_no_schedule_that_has_not_changed() -> None:
    clockwork = Clockwork()
    schedules = [factories.schedule() for _ in range(3)]
    factories.schedule(trigger_kind="crontab", crontab="not a crontab")
    assert clockwork.sync.everything(now()) == 3
    with CaptureQueriesContext(connection) as captured:
        assert clockwork.sync.everything(now()) == 0
    assert not [query for query in captured.captured_queries if "interval_seconds" in query["sql"]]
    Schedule.objects.filter(pk=schedules[0].pk).update(interval_seconds=7)
    ScheduleChange.objects.all().delete()
    DjangoJob.objects.filter(pk=schedules[1].job_id).update(next_run_time=None)
    DjangoJob.objects.filter(pk=schedules[2].job_id).update(job_state=b"rubbish")
    assert clockwork.sync.everything(now()) == 3, "a lost note, a lost time, a lost state"
    assert clockwork.sync.everything(now()) == 0


def test_a_job_that_is_no_longer_registered_ends_its_schedule_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    clockwork = Clockwork()
    gone, good = factories.schedule(job="echo"), factories.schedule()
    clockwork.sync.everything(now())
    monkeypatch.delitem(registry._jobs, "echo")
    restarted = Clockwork()
    restarted.sync.everything(now())
    assert (next_time(gone), next_time(good) is None) == (None, False)
    assert "not registered" in gone.problem()
