"""The job store: django-apscheduler's `DjangoJobStore`, adapted to the fire path.

Differences from its parent: due jobs are fired in one transaction (`fire`), so `get_due_jobs` has nothing to add;
a row that cannot be unpickled is kept and rebuilt from its schedule, never deleted; execution rows are written in
batches (`scheduling.executions`). The statements that differ between SQLite and PostgreSQL stand here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from apscheduler.job import Job
from django.conf import settings
from django.db import connection
from django.db.models import Min
from django.utils.translation import gettext as _
from django_apscheduler.jobstores import DjangoJobStore
from django_apscheduler.models import DjangoJob

from scheduling.fires import Fired, Known, Move, fire
from scheduling.models import Run, Schedule
from scheduling.models.schedule import JOB_ID_PREFIX

logger = logging.getLogger(__name__)

CHUNK = 1_000
"""Rows in one INSERT: SQLite allows 32,766 parameters in a statement."""

OLDEST_POSTGRESQL = 14
"""The oldest major version of PostgreSQL that still gets fixes."""
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"}
"""File systems on which SQLite warns of broken locks; see https://www.sqlite.org/faq.html#q5"""

MOVE_POSTGRESQL = """
UPDATE django_apscheduler_djangojob AS job SET next_run_time = move.following
FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS move (id, due, following)
WHERE job.id = move.id AND job.next_run_time = move.due
RETURNING job.id
"""
MOVE_SQLITE = """
UPDATE django_apscheduler_djangojob AS job SET next_run_time = move.following
FROM (SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS due,
             json_extract(value, '$[2]') AS following FROM json_each(%s)) AS move
WHERE job.id = move.id AND job.next_run_time = move.due
RETURNING id
"""
LOCK_POSTGRESQL = """
SELECT id, version FROM scheduling_schedule WHERE enabled AND id = ANY(%s) FOR UPDATE SKIP LOCKED
"""
LOCK_SQLITE = """
SELECT id, version FROM scheduling_schedule WHERE enabled AND id IN (SELECT value FROM json_each(%s))
"""
ACTIVE_POSTGRESQL = """
SELECT schedule_id, min(id) FROM scheduling_run
WHERE status IN ('queued', 'running') AND schedule_id = ANY(%s) GROUP BY schedule_id
"""
ACTIVE_SQLITE = """
SELECT schedule_id, min(id) FROM scheduling_run
WHERE status IN ('queued', 'running') AND schedule_id IN (SELECT value FROM json_each(%s)) GROUP BY schedule_id
"""


class ScheduleJobStore(DjangoJobStore):  # type: ignore[misc]
    """The persistent store of the jobs that are derived from schedules; only the active scheduler touches it."""

    def __init__(self, epoch: int) -> None:
        """Take the leadership epoch under which this store may fire."""
        super().__init__()
        self.epoch = epoch
        self._cache: dict[int, Known] = {}

    def register_event_listeners(self) -> None:
        """Leave the execution rows to `scheduling.executions`, which writes them in batches."""

    def fire(self, now: datetime) -> Fired:
        """Turn everything that is due into committed runs; see `scheduling.fires.fire`."""
        return fire(self, now, self.epoch)

    def remember(self, schedules: Iterable[Schedule]) -> None:
        """Keep freshly read schedules, so that a fire need not read them again."""
        for schedule in schedules:
            self._cache.pop(schedule.pk, None)
            try:
                trigger = schedule.trigger()
            except Exception as error:
                logger.warning("Schedule %s is broken: %s", schedule.pk, error)
                continue
            if trigger is not None:
                self._cache[schedule.pk] = Known(schedule, trigger)

    # What the fire path asks for; see `scheduling.fires.FireStore`.

    def due(self, now: datetime) -> list[tuple[int, datetime]]:
        """Return (schedule id, due time) of all jobs that are due, oldest first."""
        rows = (
            DjangoJob.objects.filter(next_run_time__lte=now, id__startswith=JOB_ID_PREFIX)
            .order_by("next_run_time")
            .values_list("id", "next_run_time")
        )
        return [(int(job_id.removeprefix(JOB_ID_PREFIX)), due) for job_id, due in rows]

    def lock(self, schedule_ids: list[int]) -> dict[int, int]:
        """Lock the enabled schedules among these that no open edit holds; return their versions."""
        return dict(self._rows(LOCK_POSTGRESQL, LOCK_SQLITE, schedule_ids))

    def known(self, versions: dict[int, int]) -> dict[int, Known]:
        """Return the schedules at exactly these versions; those that changed are read anew, broken ones left out."""
        changed = [
            key
            for key, version in versions.items()
            if key not in self._cache or self._cache[key].schedule.version != version
        ]
        for start in range(0, len(changed), CHUNK):
            self.remember(Schedule.objects.filter(pk__in=changed[start : start + CHUNK]))
        return {key: self._cache[key] for key in versions if key in self._cache}

    def active_runs(self, schedule_ids: Iterable[int]) -> dict[int, int]:
        """Return the oldest active run of each schedule that has one."""
        return dict(self._rows(ACTIVE_POSTGRESQL, ACTIVE_SQLITE, list(schedule_ids)))

    def move(self, moves: list[Move]) -> set[int]:
        """Set the next times where the old one still stands; return the schedules that were moved."""
        ids = [f"{JOB_ID_PREFIX}{move.schedule_id}" for move in moves]
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(MOVE_POSTGRESQL, [ids, [m.due for m in moves], [m.next_due for m in moves]])
            else:
                rows = [[i, _text(m.due), _text(m.next_due)] for i, m in zip(ids, moves, strict=True)]
                cursor.execute(MOVE_SQLITE, [json.dumps(rows)])
            return {int(row[0].removeprefix(JOB_ID_PREFIX)) for row in cursor.fetchall()}

    def insert(self, runs: list[Run]) -> list[Run]:
        """Insert runs, passing over due times that already have a row; return the new ones with their ids."""
        new = []
        for start in range(0, len(runs), CHUNK):
            new += self._insert_chunk(runs[start : start + CHUNK])
        return new

    def next_due(self) -> datetime | None:
        """Return the earliest due time of all jobs, UTC."""
        jobs = DjangoJob.objects.filter(id__startswith=JOB_ID_PREFIX)
        following: datetime | None = jobs.aggregate(next=Min("next_run_time"))["next"]
        return following

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
            logger.warning(
                "The stored state of job %s cannot be read; it is rebuilt from its schedule: %s", job_id, error
            )
            return None
        job.next_run_time = next_run_time
        return job

    def _rows(self, postgresql: str, sqlite: str, ids: list[int]) -> list[tuple[int, int]]:
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(postgresql, [ids])
            else:
                cursor.execute(sqlite, [json.dumps(ids)])
            return [(first, second) for first, second in cursor.fetchall()]

    def _insert_chunk(self, runs: list[Run]) -> list[Run]:
        if not runs:
            return []
        fields = [field for field in Run._meta.concrete_fields if not field.primary_key]
        columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
        row = f"({', '.join(['%s'] * len(fields))})"
        values = [field.get_db_prep_save(field.pre_save(run, add=True), connection) for run in runs for field in fields]
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO scheduling_run ({columns}) VALUES {', '.join([row] * len(runs))} "
                "ON CONFLICT (schedule_id, scheduled_for, attempt) DO NOTHING RETURNING id, schedule_id, scheduled_for",
                values,
            )
            ids = {(schedule_id, _aware(due)): pk for pk, schedule_id, due in cursor.fetchall()}
        new = []
        for run in runs:
            assert run.scheduled_for is not None
            if pk := ids.get((run.schedule_id, run.scheduled_for)):
                run.pk = pk
                new.append(run)
        return new


def _text(moment: datetime | None) -> str | None:
    """Return a time as Django stores it in SQLite."""
    adapted = connection.ops.adapt_datetimefield_value(moment)
    return None if adapted is None else str(adapted)


def _aware(value: datetime | str) -> datetime:
    """Return the UTC time of a raw value; SQLite's cursors give text or naive times."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def folder() -> Path | None:
    """Return the folder that an SQLite database lies in; None for a server's."""
    return None if connection.vendor == "postgresql" else Path(str(connection.settings_dict["NAME"])).parent


def complaints() -> list[tuple[str, str]]:
    """Return what this database, as it is set up, is not fit for: (what, what to do)."""
    return _complaints_postgresql() if connection.vendor == "postgresql" else _complaints_sqlite()


def _complaints_postgresql() -> list[tuple[str, str]]:
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
        )
        version, connections = cursor.fetchone()
    if version < OLDEST_POSTGRESQL * 10_000:
        found.append(
            (
                _("The PostgreSQL server is of version %(version)d.") % {"version": version // 10_000},
                _("Upgrade it: what NEWSS does is tested on current versions, %(oldest)d at least.")
                % {"oldest": OLDEST_POSTGRESQL},
            )
        )
    # A run in a child process or thread has a connection and one more for its log; the scheduler itself has six.
    needed = 2 * (settings.NEWSS_EXECUTOR_PROCESSES + settings.NEWSS_EXECUTOR_THREADS) + 6
    if needed > connections:
        found.append(
            (
                _("The scheduler may need %(needed)d connections; the server allows %(allowed)d in all.")
                % {"needed": needed, "allowed": connections},
                _("Raise max_connections, or lower NEWSS_EXECUTOR_PROCESSES and NEWSS_EXECUTOR_THREADS."),
            )
        )
    return found


def _complaints_sqlite() -> list[tuple[str, str]]:
    found = []
    with connection.cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        found.append(
            (
                _("The SQLite file is in journal mode “%(mode)s”: readers and writers block each other.")
                % {"mode": mode},
                _("Put it on a local file system and let NEWSS open it once; it then sets WAL."),
            )
        )
    path = Path(str(connection.settings_dict["NAME"])).resolve()
    mounts = [disk for disk in psutil.disk_partitions(all=True) if path.is_relative_to(disk.mountpoint)]
    if mounts and (mount := max(mounts, key=lambda disk: len(disk.mountpoint))).fstype in NETWORK_FILE_SYSTEMS:
        found.append(
            (
                _("The SQLite file lies on a network file system (%(kind)s), where its locks cannot be relied on.")
                % {"kind": mount.fstype},
                _("Put it on a local disk, or use PostgreSQL."),
            )
        )
    return found
