"""*Coming up*: the fires of the next seven days by hour as a heat map; an hour opens its list."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from scheduling import forecast
from scheduling.admin.base import require
from scheduling.jobs import registry
from scheduling.models import Schedule

SHADES = 5
TIMES_SHOWN = 12
"""So many due times of one schedule are listed for an hour."""


def view(request: HttpRequest) -> HttpResponse:
    """Show the week, and the list of the hour that `hour` (local, like 2026-03-04T15:00) names."""
    require(request, "scheduling.view_schedule")
    now = timezone.now()
    chosen = _chosen(request.GET.get("hour", ""))
    week = forecast.week(now)
    due = _by_schedule(chosen, now) if chosen else None
    context = {
        **admin.site.each_context(request),
        "title": _("Coming up"),
        "opts": Schedule._meta,
        "hours": list(range(24)),
        "rows": [_row(week, day, chosen) for day in week.days],
        "week": week,
        "chosen": chosen,
        "due": due,
        "unlisted": _unlisted(week, chosen, due) if chosen and due else 0,
    }
    return TemplateResponse(request, "scheduling/coming_up.html", context)


def _chosen(text: str) -> datetime | None:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None or not timezone.is_naive(moment):
        return None
    return timezone.make_aware(moment.replace(minute=0, second=0, microsecond=0))


def _row(week: forecast.Week, day: date, chosen: datetime | None) -> dict[str, Any]:
    picked = timezone.localtime(chosen) if chosen else None
    name = date_format(day, _("l j F"))
    cells = []
    for hour in range(24):
        count = week.by_hour.get((day, hour), 0)
        cells.append(
            {
                "count": count,
                "shade": _shade(count, week),
                "address": f"?hour={day.isoformat()}T{hour:02}:00#hour",
                "chosen": picked is not None and (picked.date(), picked.hour) == (day, hour),
                "title": f"{name}, {hour:02}:00",
            }
        )
    return {"label": date_format(day, _("D j M")), "cells": cells}


def _shade(count: int, week: forecast.Week) -> int:
    """Return how dark an hour is: 2 for the week's usual hour, 5 for twice as many fires or more."""
    return min(SHADES, max(1, round(2 + 3 * (count / week.usual - 1)))) if count else 0


def _unlisted(week: forecast.Week, chosen: datetime, due: list[dict[str, Any]]) -> int:
    """Return how many fires of the hour were counted that are too many to be listed."""
    local = timezone.localtime(chosen)
    listed: int = sum(len(one["times"]) + one["more"] for one in due)
    counted = week.by_hour.get((local.date(), local.hour), 0)
    return max(0, counted - listed)


def _by_schedule(chosen: datetime, now: datetime) -> list[dict[str, Any]]:
    """Return the schedules that are due within the hour, in the order of their first due time."""
    times: dict[Schedule, list[datetime]] = {}
    for fire in forecast.hour(chosen, now):
        times.setdefault(fire.schedule, []).append(fire.due)
    words = registry.describe_all([(schedule.job, schedule.parameters) for schedule in times])
    return [
        {
            "schedule": schedule,
            "times": due[:TIMES_SHOWN],
            "more": max(0, len(due) - TIMES_SHOWN),
            "what": what,
            "job": registry.label(schedule.job),
        }
        for (schedule, due), what in zip(times.items(), words, strict=True)
    ]
