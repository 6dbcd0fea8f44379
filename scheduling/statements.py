"""The statements that write thousands of rows at once, for SQLite and PostgreSQL; each takes its rows as one parameter.

Those of the fire path are called by the store (`scheduling.store`) only, which says what they are for; that of ends by
`scheduling.ends`, that of execution rows by `scheduling.executions`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from django.db import connection
from django.db.models.expressions import RawSQL

from scheduling.models import Cause, Run
from scheduling.models.run import FROM_SCHEDULE

CHUNK = 1_000
"""Rows in one statement that names each: SQLite allows 32,766 parameters. Those of a fire are one JSON parameter."""

# Jobs of others may stand in the same table; theirs have no schedule. Not by a regular expression, which would take as
# long as all the rest of finding what is due. The schedule of each due job is looked up by its key, whatever the server
# believes of tables that a burst has just rewritten: neither a lock nor an offset can be taken out of the inner query.
JOINED_POSTGRESQL = """
FROM django_apscheduler_djangojob AS job CROSS JOIN LATERAL (
  SELECT id, version FROM scheduling_schedule
  WHERE id = CASE WHEN starts_with(job.id, 'schedule-') AND translate(job.id, '0123456789', '') = 'schedule-'
      AND length(job.id) BETWEEN 10 AND 27 THEN substr(job.id, 10)::bigint END
    AND enabled AND paused_at IS NULL {each}
) AS schedule
WHERE true
"""
# The plus keeps jobs from being found by their ids, all of them each time: their due times find those that matter.
JOINED_SQLITE = """
FROM django_apscheduler_djangojob AS job CROSS JOIN scheduling_schedule AS schedule
  ON schedule.id = CAST(substr(job.id, 10) AS INTEGER) AND +job.id GLOB 'schedule-[0-9]*'
WHERE schedule.enabled AND schedule.paused_at IS NULL
"""
NEXT = "SELECT job.next_run_time {joined} AND job.next_run_time IS NOT NULL ORDER BY job.next_run_time LIMIT 1"
# No lock that a run's foreign key would need to share, so that runs being inserted or ended are in nobody's way. Times
# come as text here and from new runs: `as_utc` makes one object of the many that are the same.
DUE = """
SELECT schedule.id, schedule.version, {due} {joined} AND job.next_run_time <= %s
ORDER BY job.next_run_time LIMIT %s
"""
# Whether schedules are as they were read; the statement locks them. Returns those that are not, or are held by an edit.
CONFIRM_POSTGRESQL = """
WITH read AS (SELECT * FROM unnest(%s::bigint[], %s::bigint[]) AS read (id, version)), locked AS (
  SELECT schedule.id FROM read JOIN scheduling_schedule AS schedule USING (id, version)
  FOR NO KEY UPDATE OF schedule SKIP LOCKED
)
SELECT id FROM read EXCEPT ALL SELECT id FROM locked LIMIT 1
"""
CONFIRM_SQLITE = """
SELECT json_extract(value, '$[0]') FROM json_each(%s)
LEFT JOIN scheduling_schedule AS schedule ON schedule.id = json_extract(value, '$[0]')
WHERE schedule.version IS NOT json_extract(value, '$[1]') LIMIT 1
"""
MOVE_POSTGRESQL = """
UPDATE django_apscheduler_djangojob AS job SET next_run_time = move.following
FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS move (id, due, following)
WHERE job.id = 'schedule-' || move.id AND job.next_run_time = move.due
RETURNING move.id
"""
MOVE_SQLITE = """
UPDATE django_apscheduler_djangojob AS job SET next_run_time = move.following
FROM (SELECT 'schedule-' || json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS due,
             json_extract(value, '$[2]') AS following FROM json_each(%s)) AS move
WHERE job.id = move.id AND job.next_run_time = move.due
RETURNING CAST(substr(id, 10) AS INTEGER)
"""
INSERT_POSTGRESQL = """
INSERT INTO scheduling_run ({columns}) SELECT {values}
FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::json[])
  WITH ORDINALITY AS new (schedule_id, scheduled_for, status, more, number)
JOIN scheduling_schedule AS schedule ON schedule.id = new.schedule_id
ORDER BY new.number
ON CONFLICT (schedule_id, scheduled_for, attempt) DO NOTHING RETURNING id, schedule_id, scheduled_for::text, status
"""
INSERT_SQLITE = """
INSERT INTO scheduling_run ({columns}) SELECT {values}
FROM json_each(%s) AS new
JOIN scheduling_schedule AS schedule ON schedule.id = json_extract(new.value, '$[0]')
WHERE true ORDER BY new.key
ON CONFLICT (schedule_id, scheduled_for, attempt) DO NOTHING RETURNING id, schedule_id, scheduled_for || '', status
"""
COUNT_POSTGRESQL = """
INSERT INTO scheduling_schedulestate AS state (schedule_id, fired, failures_in_row)
SELECT key::bigint, value::int, 0 FROM json_each_text(%s) ORDER BY key::bigint
ON CONFLICT (schedule_id) DO UPDATE SET fired = state.fired + excluded.fired
"""
COUNT_SQLITE = """
INSERT INTO scheduling_schedulestate AS state (schedule_id, fired, failures_in_row)
SELECT CAST(key AS INTEGER), value, 0 FROM json_each(%s) WHERE true
ON CONFLICT (schedule_id) DO UPDATE SET fired = state.fired + excluded.fired
"""
TAKE_NOTES = """
DELETE FROM scheduling_schedulechange WHERE id IN (SELECT id FROM scheduling_schedulechange {lock})
RETURNING schedule_id, at
"""

# The claim is compared with the row: whoever lost it writes nothing. On SQLite the plus keeps the rows from being found
# by their status: of thousands that run, each would be compared with each of those that end.
END_POSTGRESQL = """
UPDATE scheduling_run AS run
SET {assignments}, started_at = (ended.value->>2)::timestamptz, finished_at = (ended.value->>3)::timestamptz
FROM json_array_elements(%s::json) AS ended (value)
WHERE run.id = (ended.value->>0)::bigint AND run.claim_token = ended.value->>1 AND run.status = 'running'
RETURNING run.id
"""
END_SQLITE = """
UPDATE scheduling_run AS run
SET {assignments}, started_at = json_extract(ended.value, '$[2]'), finished_at = json_extract(ended.value, '$[3]')
FROM json_each(%s) AS ended
WHERE run.id = json_extract(ended.value, '$[0]') AND run.claim_token = json_extract(ended.value, '$[1]')
  AND +run.status = 'running'
RETURNING id
"""
# A beginning that is written after the end changes nothing.
EXECUTIONS = """
INSERT INTO django_apscheduler_djangojobexecution AS execution
  (job_id, run_time, status, duration, finished, exception, traceback)
SELECT job.id, {values} FROM {rows} JOIN django_apscheduler_djangojob AS job ON job.id = {job_id}
WHERE true
ON CONFLICT (job_id, run_time) DO UPDATE SET status = excluded.status, duration = excluded.duration,
  finished = excluded.finished, exception = excluded.exception, traceback = excluded.traceback
WHERE excluded.finished IS NOT NULL OR execution.finished IS NULL
"""
EXECUTIONS_POSTGRESQL = EXECUTIONS.format(
    values="(new.value->>1)::timestamptz, new.value->>2, (new.value->>3)::numeric, (new.value->>4)::numeric,"
    " new.value->>5, new.value->>6",
    rows="json_array_elements(%s::json) AS new (value)",
    job_id="new.value->>0",
)
EXECUTIONS_SQLITE = EXECUTIONS.format(
    values=", ".join(f"json_extract(new.value, '$[{place}]')" for place in range(1, 7)),
    rows="json_each(%s) AS new",
    job_id="json_extract(new.value, '$[0]')",
)

GIVEN = {
    "scheduled_for": ("timestamptz", "NULL"),
    "status": ("text", "'queued'"),
    "not_before": ("timestamptz", "NULL"),
    "wait_reason": ("text", "''"),
    "outcome": ("text", "''"),
    "missed_until": ("timestamptz", "NULL"),
    "missed_count": ("int", "0"),
}
"""What a `NewRun` brings, in this order after the schedule's id: field, type on PostgreSQL, value where left out."""
FIRST_MORE = 3
"""Where what most runs lack begins among the values of a new run; on PostgreSQL that is JSON of its own, or nothing."""

CLAIMED = {"started_at": "NULL", "instance": "NULL", "claim_token": "''"}
"""What a fire says of the runs that it claims, and the value for others: fields of the run."""


@cache
def due_statement(pattern: str, *, locks: bool = False) -> str:
    """Return a statement on due jobs for the database at hand, which locks their schedules if so told."""
    if connection.vendor == "postgresql":
        each = "FOR NO KEY UPDATE SKIP LOCKED" if locks else "OFFSET 0"
        return pattern.format(joined=JOINED_POSTGRESQL.format(each=each), due="job.next_run_time::text")
    return pattern.format(joined=JOINED_SQLITE, due="job.next_run_time || ''")


@cache
def insert_statement() -> tuple[str, list[tuple[str, Any]]]:
    """Return the statement that inserts runs, and its constants before the rows: (field, value) in order.

    Each column is copied from the schedule, brought by the row, or has its default; so a new column with a default
    needs nothing here.
    """
    postgresql = connection.vendor == "postgresql"

    def given(name: str) -> str:
        kind, default = GIVEN[name]
        place = 1 + list(GIVEN).index(name)
        if not postgresql:
            value = f"json_extract(new.value, '$[{place}]')"
        else:
            value = f"new.{name}" if place < FIRST_MORE else f"(new.more->>{place - FIRST_MORE})::{kind}"
        return f"coalesce({value}, {default})" if default != "NULL" else value

    columns, values, constants = [], [], []
    for column in Run._meta.concrete_fields:
        if column.primary_key:
            continue
        columns.append(connection.ops.quote_name(str(column.column)))
        if column.attname in FROM_SCHEDULE:
            values.append(f"schedule.{connection.ops.quote_name(FROM_SCHEDULE[column.attname])}")
        elif column.name in GIVEN:
            values.append(given(column.name))
        else:
            value: Any = Cause.SCHEDULE if column.name == "cause" else column.get_default()
            place = f"%s::{column.db_type(connection)}" if postgresql else "%s"
            if column.name == "finished_at":
                place = f"CASE WHEN {given('status')} NOT IN ('queued', 'running') THEN {place} END"
            elif column.name in CLAIMED:
                place = f"CASE WHEN {given('status')} = 'running' THEN {place} ELSE {CLAIMED[column.name]} END"
            values.append(place)
            constants.append((column.name, column.get_db_prep_save(value, connection)))
    pattern = INSERT_POSTGRESQL if postgresql else INSERT_SQLITE
    return pattern.format(columns=", ".join(columns), values=", ".join(values)), constants


def end_together(runs: Sequence[tuple[int, str, datetime, datetime]], values: Mapping[str, Any]) -> set[int]:
    """Write the same values to runs, given as (id, claim token, begin, end); return those still under it."""
    fields = [field for field in Run._meta.concrete_fields if field.name in values]
    assignments = ", ".join(f"{connection.ops.quote_name(str(field.column))} = %s" for field in fields)
    pattern = END_POSTGRESQL if connection.vendor == "postgresql" else END_SQLITE
    parameters = [field.get_db_prep_save(values[field.name], connection) for field in fields]
    text = as_text.__wrapped__  # each of these times is another
    rows = [[pk, token, text(begun), text(ended)] for pk, token, begun, ended in runs]
    with connection.cursor() as cursor:
        cursor.execute(pattern.format(assignments=assignments), [*parameters, json.dumps(rows)])
        return {row[0] for row in cursor.fetchall()}


def write_executions(rows: Sequence[Sequence[Any]]) -> None:
    """Write execution rows of django-apscheduler, given as (job id, run time, status, duration, finished, exception,
    traceback); those of jobs that are not in the store are passed over."""
    with connection.cursor() as cursor:
        cursor.execute(
            EXECUTIONS_POSTGRESQL if connection.vendor == "postgresql" else EXECUTIONS_SQLITE,
            [json.dumps([[job_id, as_text(moment), *rest] for job_id, moment, *rest in rows])],
        )


def take_notes() -> list[tuple[int, datetime]]:
    """Delete the notes of changes that no other transaction is about to delete; return (schedule id, when) of each."""
    lock = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_NOTES.format(lock=lock))
        return [(schedule_id, as_utc(at)) for schedule_id, at in cursor.fetchall()]


def listed(keys: Iterable[int]) -> RawSQL:
    """Return a subquery of these keys as one parameter, however many they are."""
    text = json.dumps(list(keys))
    if connection.vendor == "postgresql":
        return RawSQL("SELECT value::bigint FROM json_array_elements_text(%s::json)", [text])
    return RawSQL("SELECT value FROM json_each(%s)", [text])


def array(values: Iterable[object]) -> str:
    """Return numbers or times as the text of a PostgreSQL array: adapting each of thousands would take longer."""
    return "{" + ",".join("NULL" if value is None else f'"{value}"' for value in values) + "}"


@lru_cache(maxsize=10_000)
def as_text(moment: datetime | None) -> str | None:
    """Return a time as Django hands it to the database, as text; in a burst most are the same."""
    adapted = connection.ops.adapt_datetimefield_value(moment)
    return None if adapted is None else str(adapted)


@lru_cache(maxsize=10_000)
def as_utc(value: datetime | str) -> datetime:
    """Return the UTC time of a raw value; SQLite's cursors give text or naive times."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
