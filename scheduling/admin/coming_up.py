"""*Coming up*: the fires of the next seven days by hour as a heat map; an hour opens its list."""

from __future__ import annotations

from datetime import datetime
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


def view(request: HttpRequest) -> HttpResponse:
    """Show the week, and the list of the hour that `hour` (local, like 2026-03-04T15:00) names."""
    require(request, "scheduling.view_schedule")
    now = timezone.now()
    chosen = _chosen(request.GET.get("hour", ""))
    week = forecast.week(now)
    context = {
        **admin.site.each_context(request),
        "title": _("Coming up"),
        "opts": Schedule._meta,
        "hours": list(range(24)),
        "rows": [_row(week, day, chosen) for day in week.days],
        "week": week,
        "chosen": chosen,
        "fires": _fires(chosen, now) if chosen else None,
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


def _row(week: forecast.Week, day: Any, chosen: datetime | None) -> dict[str, Any]:
    picked = timezone.localtime(chosen) if chosen else None
    cells = []
    for hour in range(24):
        count = week.by_hour.get((day, hour), 0)
        cells.append(
            {
                "count": count,
                "shade": -(-SHADES * count // week.highest) if count else 0,
                "address": f"?hour={day.isoformat()}T{hour:02}:00#hour",
                "chosen": picked is not None and (picked.date(), picked.hour) == (day, hour),
                "title": f"{date_format(day, 'l j F')}, {hour:02}:00",
            }
        )
    return {"label": date_format(day, "D j M"), "cells": cells}


def _fires(chosen: datetime, now: datetime) -> list[dict[str, Any]]:
    fires = forecast.hour(chosen, now)
    words = registry.describe_all([(fire.schedule.job, fire.schedule.parameters) for fire in fires])
    return [
        {"due": fire.due, "schedule": fire.schedule, "what": what, "job": registry.label(fire.schedule.job)}
        for fire, what in zip(fires, words, strict=True)
    ]
