"""django-celery-beat's tables become schedules; they are read by SQL, so that the package need not be installed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.utils.translation import gettext as _

from scheduling.imports.lines import Line
from scheduling.imports.mapping import Refused, job_for, parameters
from scheduling.models import ConcurrencyPolicy, TriggerKind

TASKS = "django_celery_beat_periodictask"
QUERY = """
SELECT task.id, task.name, task.task, task.args, task.kwargs, task.enabled, task.one_off, task.start_time, task.expires,
       task.description, task.solar_id,
       interval.every, interval.period,
       crontab.minute, crontab.hour, crontab.day_of_month, crontab.month_of_year, crontab.day_of_week, crontab.timezone,
       clocked.clocked_time
FROM django_celery_beat_periodictask task
LEFT JOIN django_celery_beat_intervalschedule interval ON interval.id = task.interval_id
LEFT JOIN django_celery_beat_crontabschedule crontab ON crontab.id = task.crontab_id
LEFT JOIN django_celery_beat_clockedschedule clocked ON clocked.id = task.clocked_id
WHERE task.task <> 'celery.backend_cleanup'
ORDER BY task.id
"""
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}


def lines(database: str, mapping: Mapping[str, str], zone: str) -> Iterator[Line]:
    """Yield what becomes of each periodic task; raises `Refused` if the database has no such tables."""
    with connections[database].cursor() as cursor:
        if TASKS not in connections[database].introspection.table_names(cursor):
            raise Refused(_("the database “%(name)s” has no tables of django-celery-beat") % {"name": database})
        cursor.execute(QUERY)
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        line = Line(_("task %(id)s") % {"id": row["id"]}, f"{row['name']}: {row['task']}")
        try:
            line.values = _values(row, mapping, zone)
        except Refused as refusal:
            line.refused = str(refusal)
        yield line


def _values(row: dict[str, Any], mapping: Mapping[str, str], zone: str) -> dict[str, Any]:
    trigger = _trigger(row, zone)
    definition = job_for(row["task"], mapping)
    try:
        args, kwargs = json.loads(row["args"] or "[]"), json.loads(row["kwargs"] or "{}")
    except ValueError as error:
        raise Refused(_("its arguments are no JSON: %(error)s") % {"error": error}) from error
    return {
        "name": row["name"],
        "description": row["description"] or "",
        "enabled": bool(row["enabled"]),
        "job": definition.name,
        "parameters": parameters(definition, args, kwargs),
        # Celery starts a task while the one before still runs.
        "concurrency_policy": ConcurrencyPolicy.ALLOW,
        "start_at": _moment(row["start_time"]),
        "end_at": _moment(row["expires"]),
        "max_runs": 1 if row["one_off"] and trigger["trigger_kind"] != TriggerKind.DATE else None,
        **trigger,
    }


def _trigger(row: dict[str, Any], zone: str) -> dict[str, Any]:
    if row["solar_id"] is not None:
        raise Refused(_("there is no trigger by the sun (%(name)s)") % {"name": "solar"})
    if row["every"] is not None:
        if row["period"] not in SECONDS:
            raise Refused(_("an interval is one second at least, not %(period)s") % {"period": row["period"]})
        return {
            "trigger_kind": TriggerKind.INTERVAL,
            "interval_seconds": row["every"] * SECONDS[row["period"]],
            "timezone": zone,
        }
    if row["clocked_time"] is not None:
        return {"trigger_kind": TriggerKind.DATE, "run_at": _moment(row["clocked_time"]), "timezone": zone}
    if row["minute"] is not None:
        return {**_crontab(row), "timezone": row["timezone"] or zone}
    raise Refused(_("it has no schedule"))


def _crontab(row: dict[str, Any]) -> dict[str, Any]:
    """Return a crontab trigger; Celery wants both day fields to match where cron is content with either."""
    minute, hour, month = row["minute"], row["hour"], row["month_of_year"]
    day, weekday = row["day_of_month"], row["day_of_week"]
    if day == "*" or weekday == "*":
        return {"trigger_kind": TriggerKind.CRONTAB, "crontab": f"{minute} {hour} {day} {month} {weekday}"}
    both = (f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}")
    return {
        "trigger_kind": TriggerKind.ALL_OF,
        "parts": [{"kind": TriggerKind.CRONTAB.value, "crontab": crontab} for crontab in both],
    }


def _moment(value: Any) -> datetime | None:
    """Return a time of a raw cursor, UTC: SQLite gives text or naive times."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
