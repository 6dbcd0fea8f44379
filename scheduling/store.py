"""The job store: django-apscheduler's `DjangoJobStore`, adapted to the fire path.

Differences from its parent: due jobs are fired in one transaction (`fire`), so `get_due_jobs` has nothing to add;
a row that cannot be unpickled is kept and rebuilt from its schedule, never deleted; execution rows are written in
batches (`scheduling.executions`). Its statements stand in
`scheduling.statements`.
"""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Any, NamedTuple, cast
from weakref import WeakValueDictionary

from apscheduler.job import Job
from django.db import connection
from django.db.models import Count, Min, Q
from django_apscheduler.jobstores import DjangoJobStore
from django_apscheduler.models import DjangoJob

from scheduling.ahead import Ahead
from scheduling.database import one_line
from scheduling.fires import Due, Fired, FiredRun, Known, Move, fire_all
from scheduling.models import Hold, Pause, Run, RunStatus, Schedule, ScheduleState
from scheduling.models.schedule import JOB_ID_PREFIX
from scheduling.places import Claim, Places
from scheduling.policies import Active, Interruption, NewRun
from scheduling.replace import replace_older
from scheduling.statements import (
    CHUNK,
    CONFIRM_POSTGRESQL,
    CONFIRM_SQLITE,
    COUNT_POSTGRESQL,
    COUNT_SQLITE,
    DUE,
    FIRST_MORE,
    MOVE_POSTGRESQL,
    MOVE_SQLITE,
    NEXT,
    array,
    as_text,
    as_utc,
    due_statement,
    insert_statement,
    listed,
)
from scheduling.triggers import ScheduleTrigger

logger = logging.getLogger(__name__)


class JobRow(NamedTuple):
    """A job as the store holds it; the due time (UTC) is that of the column."""

    id: str
    job_state: bytes
    next_run_time: datetime | None


class ScheduleJobStore(DjangoJobStore):  # type: ignore[misc]
    """The persistent store of the jobs that are derived from schedules; only the active scheduler touches it."""

    def __init__(self, epoch: int, places: Places | None = None) -> None:
        """Take the leadership epoch under which this store may fire, and the places that a fire may fill itself."""
        super().__init__()
        self.epoch = epoch
        self._places = places
        self._cache: dict[int, Known] = {}
        #: What is made ready for the next fire.
        self.ahead = Ahead(self, epoch, places)
        self._triggers: WeakValueDictionary[ScheduleTrigger, ScheduleTrigger] = WeakValueDictionary()

    def register_event_listeners(self) -> None:
        """Leave the execution rows to `scheduling.executions`, which writes them in batches."""

    def fire(self, now: datetime) -> Fired:
        """Commit what was made ready for now (`scheduling.ahead`), end the pauses that are over, then turn all that is
        due into committed runs (`scheduling.fires`).

        An error after something was committed is left to the next look, which meets it again.
        """
        open_until = self.ahead.open_until
        if open_until is not None and now < open_until:
            return Fired(next_due=open_until)
        with self._places.filling() if self._places is not None else nullcontext() as filling:
            early = self.ahead.commit(now, filling)
            try:
                next_resumption = Schedule.objects.resume_due(now)
                fired = fire_all(self, now, self.epoch, filling)
            except Exception as error:
                if not early:
                    raise
                logger.warning("%s runs are fired; then: %s", len(early), one_line(error))
                return Fired(early, now)
        times = [moment for moment in (fired.next_due, next_resumption) if moment is not None]
        return Fired(early + fired.runs, min(times, default=None))

    def remember(self, schedules: Iterable[Schedule]) -> None:
        """Keep freshly read schedules, so that a fire need not read them again."""
        # Of thousands, many have the same trigger; to make it anew for each takes long at a start.
        made: dict[tuple[Any, ...], ScheduleTrigger | None] = {}
        for schedule in schedules:
            self._cache.pop(schedule.pk, None)
            key = schedule.trigger_key()
            if key is not None and key in made:
                trigger = made[key]
            else:
                try:
                    trigger = schedule.trigger()
                except Exception as error:
                    logger.warning("Schedule %s is broken: %s", schedule.pk, error)
                    continue
                if trigger is not None:
                    trigger = self._triggers.setdefault(trigger, trigger)
                if key is not None:
                    made[key] = trigger
            if trigger is not None:
                self._cache[schedule.pk] = Known(schedule, trigger)

    def trigger(self, schedule: Schedule) -> ScheduleTrigger | None:
        """Return the trigger of a schedule that was remembered; None for one that is manual or broken."""
        entry = self._cache.get(schedule.pk)
        return entry.trigger if entry else None

    def rows(self, job_ids: Sequence[str] | None = None) -> list[JobRow]:
        """Return the job rows that are derived from schedules: all, or those with these ids."""
        jobs = DjangoJob.objects.filter(id__startswith=JOB_ID_PREFIX).order_by()
        if job_ids is None:
            chunks = [jobs]
        else:
            chunks = [jobs.filter(pk__in=job_ids[at : at + CHUNK]) for at in range(0, len(job_ids), CHUNK)]
        return [JobRow(*row) for chunk in chunks for row in chunk.values_list("id", "job_state", "next_run_time")]

    def stored_trigger(self, row: JobRow, function: str) -> ScheduleTrigger | None:
        """Return the trigger of a job that calls a function, None if the row's state cannot be read or calls another.

        The job itself is not made: at a start with thousands of them that took a fifth of the time.
        """
        try:
            state = pickle.loads(row.job_state)  # noqa: S301  as django-apscheduler reads its own table
            if state["func"] == function:
                return cast(ScheduleTrigger, state["trigger"])
            raise ValueError(f"it calls {state['func']}")
        except Exception as error:
            _say_unreadable(row.id, error)
            return None

    # What the fire path asks for; see `scheduling.fires.FireStore`.

    def next_due(self) -> datetime | None:
        """Return the earliest due time (UTC) of all schedules that are neither disabled nor paused."""
        rows = self._rows(due_statement(NEXT), [])
        return as_utc(rows[0][0]) if rows else None

    def lock_due(self, now: datetime, most: int) -> list[Due]:
        """Lock and return what is due, at most so many, neither disabled nor paused, and not held by an open edit.

        A schedule that got another trigger since its job was last brought into step is left until it is: its stored due
        time is one of the trigger before.
        """
        rows = self._rows(due_statement(DUE, locks=True), [as_text(now), most])
        due = [Due(schedule_id, version, as_utc(moment)) for schedule_id, version, moment in rows]
        changed = [one.schedule_id for one in due if self._version(one.schedule_id) != one.version]
        stale = self._read_again(changed) if changed else set()
        return [one for one in due if one.schedule_id not in stale] if stale else due

    def due_ahead(self, at: datetime, most: int) -> list[Due]:
        """Return schedules that will be due at a moment, unlocked, and as they were last read."""
        rows = self._rows(due_statement(DUE), [as_text(at), most])
        due = (Due(schedule_id, version, as_utc(moment)) for schedule_id, version, moment in rows)
        return [one for one in due if self._version(one.schedule_id) == one.version]

    def wait_for_nobody(self) -> None:
        """Let this transaction fail sooner than wait for what others hold locked, and leave no check to its commit."""
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '50ms'; SET CONSTRAINTS ALL IMMEDIATE")

    def confirm(self, due: Sequence[Due]) -> bool:
        """Lock these schedules; tell whether all are as they were read, and none is held by an open edit."""
        if connection.vendor == "postgresql":
            columns = zip(*((one.schedule_id, one.version) for one in due), strict=True)
            return not self._rows(CONFIRM_POSTGRESQL, [array(column) for column in columns])
        return not self._rows(CONFIRM_SQLITE, [json.dumps([(one.schedule_id, one.version) for one in due])])

    def crowded(self, schedule_ids: Collection[int]) -> bool:
        """Tell whether one of these schedules has more than one active run."""
        runs = Run.objects.active().filter(schedule__in=listed(schedule_ids)).order_by()
        return runs.values("schedule").annotate(count=Count("id")).filter(count__gt=1).exists()

    def known(self, due: Sequence[Due]) -> dict[int, Known]:
        """Return the schedules as `lock_due` knows them; broken ones are left out."""
        return {one.schedule_id: self._cache[one.schedule_id] for one in due if one.schedule_id in self._cache}

    def _version(self, schedule_id: int) -> int | None:
        entry = self._cache.get(schedule_id)
        return entry.schedule.version if entry else None

    def _read_again(self, schedule_ids: list[int]) -> set[int]:
        """Read schedules that changed, and return those whose trigger is not the one that their job was made of."""
        before = {key: self._cache[key] for key in schedule_ids if key in self._cache}
        self.remember(Schedule.objects.filter(pk__in=listed(schedule_ids)))
        stale = {
            key: old for key, old in before.items() if key in self._cache and self._cache[key].trigger != old.trigger
        }
        self._cache |= stale
        return set(stale)

    def holds(self, since: datetime) -> list[Interruption] | None:
        """Return the holds that ended after a moment; None while everything is held."""
        holds = Hold.objects.filter(Q(is_open=True) | Q(ended_at__gt=since)).select_related("held_by")
        found = []
        for hold in holds:
            if hold.ended_at is None:
                return None
            found.append(Interruption(hold.started_at, hold.ended_at, hold.words()))
        return found

    def pauses(self, schedule_ids: Collection[int], since: datetime) -> dict[int, list[Interruption]]:
        """Return the pauses of these schedules that ended after a moment."""
        found: dict[int, list[Interruption]] = {}
        for pause in Pause.objects.filter(ended_at__gt=since).select_related("paused_by"):
            if pause.schedule_id in schedule_ids:
                interruption = Interruption(pause.started_at, pause.ended_at, pause.words())
                found.setdefault(pause.schedule_id, []).append(interruption)
        return found

    def active(self, schedule_ids: Collection[int]) -> dict[int, Active]:
        """Return the active runs of each schedule that has some."""
        runs = Run.objects.active().filter(schedule__in=listed(schedule_ids)).order_by()
        rows = runs.values_list("schedule_id").annotate(
            oldest=Min("id", filter=Q(backfill__isnull=True)), count=Count("id", filter=Q(backfill__isnull=True))
        )
        return {schedule_id: Active(oldest, count) for schedule_id, oldest, count in rows}

    def fired_before(self, schedule_ids: Collection[int]) -> Mapping[int, int]:
        """Return how many runs of each schedule were counted so far."""
        states = ScheduleState.objects.filter(pk__in=listed(schedule_ids))
        return dict(states.values_list("pk", "fired"))

    def move(self, moves: list[Move], meanwhile: Callable[[], None] | None = None) -> set[int]:
        """Set the next times where the old one still stands; return the schedules that were moved.

        `meanwhile` is called when all is ready and only the database has work to do.
        """
        values = [(schedule_id, as_text(due), as_text(following)) for schedule_id, due, following in moves]
        if connection.vendor == "postgresql":
            statement, parameters = MOVE_POSTGRESQL, [array(column) for column in zip(*values, strict=True)]
        else:
            statement, parameters = MOVE_SQLITE, [json.dumps(values)]
        if meanwhile is not None:
            meanwhile()
        return {row[0] for row in self._rows(statement, parameters)} if values else set()

    def insert(self, runs: list[NewRun], now: datetime) -> list[FiredRun]:
        """Insert runs, passing over due times that already have a row; return the new ones."""
        return self.insert_ready(self.ready(runs, now))

    def ready(self, runs: list[NewRun], now: datetime, claim: Claim | None = None) -> list[Any] | None:
        """Return the parameters of the statement that inserts runs; None if there are none."""
        if not runs:
            return None
        _statement, constants = insert_statement()
        given: dict[str, Any] = dict.fromkeys(("queued_at", "finished_at", "started_at"), as_text(now))
        if claim is not None:
            given |= {"instance": claim.instance_id, "claim_token": claim.token}
        values = [
            [run.schedule_id, as_text(run.scheduled_for), run.status]
            if run.status in RunStatus.active() and run.not_before is None and not run.wait_reason
            else [
                run.schedule_id,
                as_text(run.scheduled_for),
                run.status,
                as_text(run.not_before),
                run.wait_reason[:200],
                run.outcome,
                as_text(run.missed_until),
                run.missed_count,
            ]
            for run in runs
        ]
        parameters = [given.get(name, value) for name, value in constants]
        if connection.vendor == "postgresql":
            more = [json.dumps(value[FIRST_MORE:]) if len(value) > FIRST_MORE else None for value in values]
            # Arrays that are shorter are filled up with NULL.
            parameters += [*(array(column) for column in zip(*(value[:FIRST_MORE] for value in values), strict=True))]
            parameters.append(more if any(more) else "{}")
        else:
            parameters.append(json.dumps(values))
        return parameters

    def insert_ready(self, parameters: list[Any] | None) -> list[FiredRun]:
        """Insert runs, passing over due times that already have a row; return the new ones."""
        if parameters is None:
            return []
        rows = self._rows(insert_statement()[0], parameters)
        return [FiredRun(pk, schedule_id, as_utc(due), status) for pk, schedule_id, due, status in rows]

    def count(self, fired: Mapping[int, int]) -> None:
        """Add to the counts of runs."""
        with connection.cursor() as cursor:
            cursor.execute(
                COUNT_POSTGRESQL if connection.vendor == "postgresql" else COUNT_SQLITE, [json.dumps(dict(fired))]
            )

    def replace(self, schedule_ids: Collection[int], now: datetime) -> None:
        """Cancel the active runs of these schedules that have a newer one."""
        replace_older(listed(schedule_ids), now)

    # What APScheduler asks for.

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return nothing: `fire` has dealt with what is due."""
        return []

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest due time of all jobs, UTC."""
        return self.next_due()

    def lookup_job(self, job_id: str) -> Job | None:
        """Return one job with the time of its column, or None if there is none or its state cannot be read."""
        row = DjangoJob.objects.filter(pk=job_id).values_list("id", "next_run_time", "job_state").first()
        return self._restore(*row) if row else None

    def _get_jobs(self, **filters: Any) -> list[Job]:
        rows = DjangoJob.objects.filter(id__startswith=JOB_ID_PREFIX, **filters)
        jobs = [self._restore(*row) for row in rows.values_list("id", "next_run_time", "job_state")]
        return [job for job in jobs if job is not None]

    def _restore(self, job_id: str, next_run_time: datetime | None, state: bytes) -> Job | None:
        """Return the job of a row; its state is not rewritten by a fire, so the column tells the time."""
        try:
            job = self._reconstitute_job(bytes(state))
        except Exception as error:
            _say_unreadable(job_id, error)
            return None
        job.next_run_time = next_run_time
        return job

    def _rows(self, statement: str, parameters: list[Any]) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())


def _say_unreadable(job_id: str, error: Exception) -> None:
    logger.warning("The stored state of job %s cannot be used; it is rebuilt from its schedule: %s", job_id, error)
