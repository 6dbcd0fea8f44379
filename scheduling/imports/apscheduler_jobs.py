"""Raw django-apscheduler jobs, as its README shows them, become schedules. Their pickles are read without executing
foreign code (`pickles`); APScheduler's meaning of a trigger is kept where it differs from ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.cron.expressions import (
    LastDayOfMonthExpression,
    RangeExpression,
    WeekdayPositionExpression,
)
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger
from django.db import connections
from django.utils.translation import gettext as _
from django_apscheduler.models import DjangoJob

from scheduling.imports.lines import Line
from scheduling.imports.mapping import Refused, job_for, parameters
from scheduling.imports.pickles import Combined, Unreadable, read_state
from scheduling.models import CatchUp, ConcurrencyPolicy, TriggerKind
from scheduling.models.schedule import JOB_ID_PREFIX
from scheduling.triggers import CalendarUnit

HIGHEST = {"month": 12, "day": 31, "hour": 23, "minute": 59, "second": 59}


def lines(database: str, mapping: Mapping[str, str], zone: str) -> Iterator[Line]:
    """Yield what becomes of each stored job that is not derived from a schedule; raises `Refused` without the table."""
    with connections[database].cursor() as cursor:
        if DjangoJob._meta.db_table not in connections[database].introspection.table_names(cursor):
            raise Refused(_("the database “%(name)s” has no table of django-apscheduler") % {"name": database})
    rows = DjangoJob.objects.using(database).exclude(id__startswith=JOB_ID_PREFIX).order_by("id")
    for job_id, next_run_time, state in rows.values_list("id", "next_run_time", "job_state"):
        line = Line(_("job %(id)s") % {"id": job_id}, job_id)
        try:
            read = read_state(bytes(state))
            line.said = f"{job_id}: {read.get('func')} ({read['trigger']})"
            line.values = _values(job_id, next_run_time, read, mapping, zone)
        except (Refused, Unreadable) as refusal:
            line.refused = str(refusal)
        yield line


def _values(
    job_id: str, next_run_time: datetime | None, state: dict[str, Any], mapping: Mapping[str, str], zone: str
) -> dict[str, Any]:
    definition = job_for(str(state.get("func")), mapping)
    grace = state.get("misfire_grace_time")
    coalesce = state.get("coalesce", True)
    several = state.get("max_instances", 1) > 1
    return {
        "name": job_id[:200],
        "description": _("From the APScheduler job %(id)s: %(func)s") % {"id": job_id, "func": state.get("func")},
        # A job without a next time is paused.
        "enabled": next_run_time is not None,
        "job": definition.name,
        "parameters": parameters(definition, state.get("args") or (), state.get("kwargs") or {}),
        "concurrency_policy": ConcurrencyPolicy.ALLOW if several else ConcurrencyPolicy.FORBID,
        **({"catch_up": CatchUp.SKIP, "misfire_grace_time": int(grace)} if grace is not None else {}),
        **({"catch_up": CatchUp.EACH} if grace is None and not coalesce else {}),
        **trigger_values(state["trigger"], zone),
    }


def trigger_values(trigger: Any, zone: str) -> dict[str, Any]:
    """Return the fields of a schedule that fires when an APScheduler trigger does; raises `Refused`."""
    if isinstance(trigger, Combined):
        return _combination(trigger, zone)
    values = {**_plain(trigger), "timezone": _zone_name(trigger, zone)}
    window = {"start_at": getattr(trigger, "start_date", None), "end_at": getattr(trigger, "end_date", None)}
    if not isinstance(trigger, CalendarIntervalTrigger):
        values |= {name: moment for name, moment in window.items() if moment is not None}
    return values | {"jitter_seconds": int(getattr(trigger, "jitter", None) or 0)}


def _combination(trigger: Combined, zone: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    zones, starts = set(), set()
    for inner in trigger.triggers:
        if isinstance(inner, Combined):
            raise Refused(_("a combination within a combination is not taken over"))
        values = _plain(inner)
        if "parts" in values:
            raise Refused(_("a combination of triggers with both a day and a weekday is not taken over"))
        if isinstance(inner, IntervalTrigger):
            starts.add(inner.start_date)
        elif getattr(inner, "start_date", None) and not isinstance(inner, CalendarIntervalTrigger):
            raise Refused(_("a part of a combination cannot have a start of its own"))
        if getattr(inner, "end_date", None):
            raise Refused(_("a part of a combination cannot have an end of its own"))
        zones.add(_zone_name(inner, zone))
        parts.append({"kind": values.pop("trigger_kind").value, **{key: _json(value) for key, value in values.items()}})
    if len(zones) > 1 or len(starts) > 1:
        raise Refused(_("the parts of a combination have one zone and one start"))
    return {
        "trigger_kind": TriggerKind.ALL_OF if trigger.all_of else TriggerKind.ANY_OF,
        "parts": parts,
        "timezone": zones.pop() if zones else zone,
        "jitter_seconds": int(trigger.jitter or 0),
        **({"start_at": starts.pop()} if starts else {}),
    }


def _plain(trigger: Any) -> dict[str, Any]:
    match trigger:
        case CronTrigger():
            return _cron(trigger)
        case IntervalTrigger():
            seconds = trigger.interval / timedelta(seconds=1)
            if seconds != int(seconds):
                raise Refused(_("an interval is a whole number of seconds, not %(seconds)s") % {"seconds": seconds})
            return {"trigger_kind": TriggerKind.INTERVAL, "interval_seconds": int(seconds)}
        case DateTrigger():
            return {"trigger_kind": TriggerKind.DATE, "run_at": trigger.run_date}
        case CalendarIntervalTrigger():
            return _calendar(trigger)
    raise Refused(_("the trigger %(name)s is not taken over") % {"name": type(trigger).__name__})


def _cron(trigger: CronTrigger) -> dict[str, Any]:
    """Return a crontab: there weekdays count from Monday, here from Sunday; there a day and a weekday must both fit."""
    fields = {field.name: field for field in trigger.fields}
    for name in ("year", "week"):
        if str(fields[name]) != "*":
            raise Refused(_("a crontab has no field for the %(name)s") % {"name": name})
    second, minute, hour, month = (
        ",".join(_numbers(expression, name) for expression in fields[name].expressions)
        for name in ("second", "minute", "hour", "month")
    )
    begin = f"{minute} {hour}" if second == "0" else f"{second} {minute} {hour}"
    days, positions = [], []
    for expression in fields["day"].expressions:
        if isinstance(expression, WeekdayPositionExpression):
            weekday = (expression.weekday + 1) % 7
            positions.append(f"{weekday}L" if expression.option_num == 5 else f"{weekday}#{expression.option_num + 1}")
        elif isinstance(expression, LastDayOfMonthExpression):
            days.append("L")
        else:
            days.append(_numbers(expression, "day"))
    weekdays = [_weekdays(expression) for expression in fields["day_of_week"].expressions]
    free = weekdays == ["*"]
    if positions and (days or not free):
        raise Refused(_("a day such as “2nd fri” beside another day is not taken over"))
    day, weekday_field = ",".join(days) or "*", ",".join(positions or weekdays)
    if day == "*" or (free and not positions):
        return {"trigger_kind": TriggerKind.CRONTAB, "crontab": f"{begin} {day} {month} {weekday_field}"}
    both = (f"{begin} {day} {month} *", f"{begin} * {month} {weekday_field}")
    return {
        "trigger_kind": TriggerKind.ALL_OF,
        "parts": [{"kind": TriggerKind.CRONTAB.value, "crontab": crontab} for crontab in both],
    }


def _numbers(expression: Any, field: str) -> str:
    """Return an expression in numbers; a first value with a step goes on to the field's end, as in APScheduler."""
    if not isinstance(expression, RangeExpression):
        return str(expression)
    last = HIGHEST[field] if expression.last is None and expression.step else expression.last
    return _range(expression.first, last, expression.step)


def _weekdays(expression: Any) -> str:
    """Return an expression of weekdays, counted from 1 for Monday to 7 for Sunday: cron knows both 0 and 7."""
    if not isinstance(expression, RangeExpression):
        return f"1-7/{expression.step}" if expression.step else "*"
    last = 6 if expression.last is None and expression.step else expression.last
    return _range(expression.first + 1, None if last is None else last + 1, expression.step)


def _range(first: int, last: int | None, step: int | None) -> str:
    if last is None or last == first:
        return str(first)
    return f"{first}-{last}/{step}" if step else f"{first}-{last}"


def _calendar(trigger: CalendarIntervalTrigger) -> dict[str, Any]:
    counts = {
        CalendarUnit.YEARS: trigger.years,
        CalendarUnit.MONTHS: trigger.months,
        CalendarUnit.WEEKS: trigger.weeks,
        CalendarUnit.DAYS: trigger.days,
    }
    used = [(unit, count) for unit, count in counts.items() if count]
    zone = ZoneInfo(_zone_name(trigger, "UTC"))
    if len(used) != 1:
        raise Refused(_("a calendar interval counts in one unit, not in several"))
    return {
        "trigger_kind": TriggerKind.CALENDAR,
        "calendar_unit": used[0][0],
        "calendar_count": used[0][1],
        "calendar_at": trigger._time.replace(tzinfo=None),
        "calendar_first_day": trigger.start_date,
        **({"end_at": datetime.combine(trigger.end_date, time.max, zone)} if trigger.end_date else {}),
    }


def _zone_name(trigger: Any, zone: str) -> str:
    found = getattr(trigger, "timezone", None)
    return str(getattr(found, "key", None) or getattr(found, "zone", None) or zone)


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date | time) else value
