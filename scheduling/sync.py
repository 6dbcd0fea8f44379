"""From `Schedule` rows to APScheduler's jobs in the store: only what changed, and the next due time is kept where the
trigger is the same.

The rows are the truth. A job row that is missing or cannot be read is made anew, from the last due time that has a run.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from apscheduler.job import Job
from django.db import transaction
from django.db.models import Max
from django.utils.translation import ngettext
from django_apscheduler.models import DjangoJob

from scheduling import leader
from scheduling.jobs import registry
from scheduling.models import Cause, Run, RunStatus, Schedule, ScheduleChange
from scheduling.models.schedule import JOB_ID_PREFIX
from scheduling.policies import NewRun
from scheduling.statements import CHUNK, listed, take_notes
from scheduling.store import JobRow, ScheduleJobStore
from scheduling.triggers import DueTimes, ScheduleTrigger

logger = logging.getLogger(__name__)

RowState = tuple[int, bool]
"""What is remembered of a job row: the hash of its state, and whether it has no due time."""

FUNCTION = "scheduling.jobs.execution:execute_scheduled_scraping"


class Sync:
    """Keeps the job rows of one store in step with the schedules."""

    def __init__(self, scheduler: Any, store: ScheduleJobStore) -> None:
        self._scheduler = scheduler
        self._store = store
        self._settled: dict[int, tuple[int, RowState | None]] = {}
        #: From when the due times of a schedule count by its trigger, where this process was there when it got that.
        self._counts_from: dict[int, datetime] = {}

    def everything(self, now: datetime) -> int:
        """Compare all schedules with all jobs; return how many jobs were written or removed.

        Only those are looked at closely whose version, or whose job row, is not what it was when they last agreed; so
        the look that is taken each minute holds up no fire.
        """
        with transaction.atomic():
            leader.check_epoch(self._store.epoch)
            changed_at = self._take_notes()
            versions = dict(Schedule.objects.order_by().values_list("pk", "version"))
            rows = {row.id: row for row in self._store.rows()}
            removed = self._remove([job_id for job_id in rows if _schedule_id(job_id) not in versions])
            self._settled = {key: settled for key, settled in self._settled.items() if key in versions}
            self._counts_from = {key: since for key, since in self._counts_from.items() if key in versions}
            doubtful = [
                key
                for key, version in versions.items()
                if key in changed_at
                or self._settled.get(key) != (version, _row_state(rows.get(f"{JOB_ID_PREFIX}{key}")))
            ]
            schedules = Schedule.objects.filter(pk__in=listed(doubtful)).order_by() if doubtful else []
            return removed + self._apply(schedules, changed_at, now, rows)

    def changes(self, now: datetime) -> int:
        """Apply the changes noted since the last time; return how many jobs were written or removed.

        The notes are taken away as they are read: one whose transaction commits late is simply read later.
        """
        if not ScheduleChange.objects.exists():
            return 0
        with transaction.atomic():
            leader.check_epoch(self._store.epoch)
            changed_at = self._take_notes()
            schedules = Schedule.objects.in_bulk(list(changed_at))
            gone = [f"{JOB_ID_PREFIX}{key}" for key in changed_at if key not in schedules]
            return self._remove(gone) + self._apply(schedules.values(), changed_at, now)

    def _take_notes(self) -> dict[int, datetime]:
        """Delete the notes that are visible; return for each schedule when it was last changed."""
        changed_at: dict[int, datetime] = {}
        for schedule_id, at in take_notes():
            changed_at[schedule_id] = max(at, changed_at.get(schedule_id, at))
        return changed_at

    def _remove(self, job_ids: list[str]) -> int:
        for start in range(0, len(job_ids), CHUNK):
            DjangoJob.objects.filter(pk__in=job_ids[start : start + CHUNK]).delete()
        return len(job_ids)

    def _apply(
        self,
        schedules: Iterable[Schedule],
        changed_at: dict[int, datetime],
        now: datetime,
        rows: Mapping[str, JobRow] | None = None,
    ) -> int:
        """Bring the jobs of these schedules into step; `rows` are all job rows, where they have been read already."""
        schedules = self._with_all_notes(schedules, changed_at)
        self._store.remember(schedules)
        if rows is None:
            rows = {row.id: row for row in self._store.rows([schedule.job_id for schedule in schedules])}
        lost = [schedule for schedule in schedules if schedule.job_id not in rows]
        handled = self._last_due_times(lost)
        over = self._over(schedules)
        written, passed = [], []
        for schedule in schedules:
            since = changed_at.get(schedule.pk, now)
            edited = schedule.pk in changed_at
            found = rows.get(schedule.job_id)
            if schedule.pk in over:
                row = self._without_time(found)
            else:
                unfired = found.next_run_time if found is not None else None
                row = self._job_row(schedule, found, handled.get(schedule.pk), since, edited=edited)
                if found and row and unfired and unfired <= since and row.next_run_time != unfired:
                    passed.append(self._passed(schedule, found, unfired, since))
            if row is not None:
                written.append(row)
                if edited:
                    self._counts_from[schedule.pk] = since
            self._settled[schedule.pk] = schedule.version, _row_state(row or found)
        self._store.insert(passed, now)
        DjangoJob.objects.bulk_create(
            written,
            batch_size=CHUNK,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["next_run_time", "job_state"],
        )
        return len(written)

    def _with_all_notes(self, schedules: Iterable[Schedule], changed_at: dict[int, datetime]) -> list[Schedule]:
        """Return the schedules with the note of each edit that they contain taken too: it tells from when it counts.

        On PostgreSQL an edit may be committed between the reading of the notes and that of the rows.
        """
        found = {schedule.pk: schedule for schedule in schedules}
        while more := self._take_notes():
            changed_at |= more
            fresh = Schedule.objects.in_bulk(list(more))
            self._remove([f"{JOB_ID_PREFIX}{key}" for key in more if key not in fresh])
            found = {key: schedule for key, schedule in found.items() if key not in more} | fresh
        return list(found.values())

    def _job_row(
        self, schedule: Schedule, row: JobRow | None, last_due: datetime | None, since: datetime, *, edited: bool
    ) -> DjangoJob | None:
        """Return the job row to write for a schedule, or None where what stands is right.

        1. A disabled, manual or broken schedule has no due time; what row it has is kept for its execution history.
           (Neither has one that had its `max_runs`. One that is paused keeps it: its due times are found when it is
           resumed.)
        2. Where the trigger is the same, the due time stays.
        3. A new or edited trigger, or one switched on again, counts from when that was done, not from when it was
           noticed.
           Times by the trigger before, due until then and not fired, are a `missed` row.
        4. A lost row counts from the last due time that has a run, or from when the trigger was made, if that is known
           and later; of an unreadable one the due time is kept.
        """
        trigger = self._trigger(schedule) if schedule.enabled else None
        if trigger is None:
            return self._without_time(row)
        if row is None:
            known = [moment for moment in (last_due, self._counts_from.get(schedule.pk)) if moment is not None]
            return self._new_row(schedule, trigger, trigger.next_after(max(known, default=since)))
        stored = self._store.stored_trigger(row, FUNCTION)
        if stored is None and not edited:
            return self._new_row(schedule, trigger, row.next_run_time)
        if stored == trigger and (row.next_run_time is not None or trigger.next_after(since) is None):
            return None
        return self._new_row(schedule, trigger, trigger.next_after(since))

    def _passed(self, schedule: Schedule, row: JobRow, unfired: datetime, since: datetime) -> NewRun:
        """Return the `missed` row for due times by the trigger before an edit that nothing had fired until then."""
        before = self._store.stored_trigger(row, FUNCTION)
        times = before.due_times(unfired, since) if before else DueTimes(unfired, None, unfired, 1)
        return NewRun(
            schedule.pk,
            times.first,
            RunStatus.MISSED,
            outcome=ngettext(
                "One due time had passed when the schedule was edited, and no scheduler had run it.",
                "%(count)d due times had passed when the schedule was edited, and no scheduler had run them.",
                times.count,
            )
            % {"count": times.count},
            missed_until=times.latest,
            missed_count=times.count,
        )

    def _without_time(self, row: JobRow | None) -> DjangoJob | None:
        if row is None or row.next_run_time is None:
            return None
        return DjangoJob(id=row.id, next_run_time=None, job_state=row.job_state)

    def _over(self, schedules: list[Schedule]) -> set[int]:
        """Return the schedules that have had their `max_runs`."""
        limits = {schedule.pk: schedule.max_runs for schedule in schedules if schedule.max_runs is not None}
        if not limits:
            return set()
        fired = self._store.fired_before(limits)
        return {key for key, limit in limits.items() if fired.get(key, 0) >= limit}

    def _trigger(self, schedule: Schedule) -> ScheduleTrigger | None:
        if problem := self._problem(schedule):
            logger.warning("Schedule “%s” is broken: %s", schedule, problem)
            return None
        return self._store.trigger(schedule)

    def _problem(self, schedule: Schedule) -> str:
        """Return what is wrong with a schedule; one that the store knows has a trigger that can be understood."""
        is_known = self._store.trigger(schedule) is not None and schedule.job in registry
        if is_known and isinstance(schedule.parameters, dict):
            return ""
        return schedule.problem()

    def _new_row(self, schedule: Schedule, trigger: ScheduleTrigger, due: datetime | None) -> DjangoJob:
        job = Job(
            self._scheduler,
            id=schedule.job_id,
            name=schedule.name,
            func=FUNCTION,
            args=(schedule.pk,),
            kwargs={},
            trigger=trigger,
            executor=schedule.executor,
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
            next_run_time=due,
        )
        return DjangoJob(
            id=schedule.job_id,
            next_run_time=due,
            job_state=pickle.dumps(job.__getstate__(), self._store.pickle_protocol),
        )

    def _last_due_times(self, schedules: list[Schedule]) -> dict[int, datetime]:
        """Return the last due time of each schedule that already has a row: run, skipped or missed."""
        last: dict[int, datetime] = {}
        for start in range(0, len(schedules), CHUNK):
            runs = Run.objects.filter(cause=Cause.SCHEDULE, schedule__in=schedules[start : start + CHUNK])
            rows = runs.values_list("schedule_id").annotate(due=Max("scheduled_for"), until=Max("missed_until"))
            last |= {schedule_id: max(due, until or due) for schedule_id, due, until in rows}
        return last


def _row_state(row: JobRow | DjangoJob | None) -> RowState | None:
    return (hash(bytes(row.job_state)), row.next_run_time is None) if row is not None else None


def _schedule_id(job_id: str) -> int | None:
    number = job_id.removeprefix(JOB_ID_PREFIX)
    return int(number) if number.isascii() and number.isdigit() else None
