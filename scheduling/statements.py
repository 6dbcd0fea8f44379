"""The statements of the fire path, for SQLite and PostgreSQL; each takes its rows as one parameter.

Called by the store (`scheduling.store`) only, which says what they are for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from django.db import connection
from django.db.models.expressions import RawSQL

from scheduling.models import Cause, Run
from scheduling.models.run import FROM_SCHEDULE

CHUNK = 1_000
"""Rows in one statement that names each: SQLite allows 32,766 parameters. Those of a fire are one JSON parameter."""

# Jobs of others may stand in the same table; theirs have no schedule.
JOINED_POSTGRESQL = r"""
FROM django_apscheduler_djangojob AS job JOIN scheduling_schedule AS schedule
  ON schedule.id = CASE WHEN job.id ~ '^schedule-\d+$' THEN substr(job.id, 10)::bigint END
WHERE schedule.enabled AND schedule.paused_at IS NULL
"""
JOINED_SQLITE = """
FROM django_apscheduler_djangojob AS job CROSS JOIN scheduling_schedule AS schedule
  ON schedule.id = CAST(substr(job.id, 10) AS INTEGER) AND job.id GLOB 'schedule-[0-9]*'
WHERE schedule.enabled AND schedule.paused_at IS NULL
"""
NEXT = "SELECT job.next_run_time {joined} AND job.next_run_time IS NOT NULL ORDER BY job.next_run_time LIMIT 1"
# No lock that a run's foreign key would need to share, so that runs being inserted or ended are in nobody's way.
DUE = "SELECT schedule.id, schedule.version, job.next_run_time {joined} AND job.next_run_time <= %s {lock}"
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
INSERT_POSTGRESQL = """
INSERT INTO scheduling_run ({columns}) SELECT {values}
FROM json_array_elements(%s::json) WITH ORDINALITY AS new (value, number)
JOIN scheduling_schedule AS schedule ON schedule.id = (new.value->>0)::bigint
ORDER BY new.number
ON CONFLICT (schedule_id, scheduled_for, attempt) DO NOTHING RETURNING id, schedule_id, scheduled_for, status
"""
INSERT_SQLITE = """
INSERT INTO scheduling_run ({columns}) SELECT {values}
FROM json_each(%s) AS new
JOIN scheduling_schedule AS schedule ON schedule.id = json_extract(new.value, '$[0]')
WHERE true ORDER BY new.key
ON CONFLICT (schedule_id, scheduled_for, attempt) DO NOTHING RETURNING id, schedule_id, scheduled_for, status
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

CLAIMED = {"started_at": "NULL", "instance": "NULL", "claim_token": "''"}
"""What a fire says of the runs that it claims, and the value for others: fields of the run."""


@cache
def due_statement(pattern: str) -> str:
    """Return a statement on due jobs for the database at hand."""
    if connection.vendor == "postgresql":
        return pattern.format(joined=JOINED_POSTGRESQL, lock="FOR NO KEY UPDATE OF schedule SKIP LOCKED")
    return pattern.format(joined=JOINED_SQLITE, lock="")


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
        value = f"(new.value->>{place})::{kind}" if postgresql else f"json_extract(new.value, '$[{place}]')"
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


def listed(keys: Iterable[int]) -> RawSQL:
    """Return a subquery of these keys as one parameter, however many they are."""
    text = json.dumps(list(keys))
    if connection.vendor == "postgresql":
        return RawSQL("SELECT value::bigint FROM json_array_elements_text(%s::json)", [text])
    return RawSQL("SELECT value FROM json_each(%s)", [text])


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
