"""The admin's first page: what the scheduler does, what ran last, what comes next."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from scheduling import overview
from scheduling.admin.schedule_rows import next_runs
from scheduling.jobs import registry
from scheduling.models import Run, Schedule

SHOWN = 10


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the dashboard shows to the context of the admin's index, as far as the person may see it."""
    context["title"] = ""
    if request.user.has_perm("scheduling.view_run"):
        context |= {"strip": overview.strip(), "recent_runs": Run.objects.order_by("-queued_at", "-id")[:SHOWN]}
    if request.user.has_perm("scheduling.view_schedule"):
        context["next_up"] = next_up()
    return context


def next_up() -> list[dict[str, Any]]:
    """Return the next due times of all schedules in order, each with what would run."""
    now = timezone.now()
    schedules = list(Schedule.objects.enabled())
    due = {key: moment for key, moment in next_runs(schedules, now).items() if moment is not None}
    first = sorted((schedule for schedule in schedules if schedule.pk in due), key=lambda one: due[one.pk])[:SHOWN]
    words = registry.describe_all([(schedule.job, schedule.parameters) for schedule in first])
    return [
        {"schedule": schedule, "due": due[schedule.pk], "what": what, "job": registry.label(schedule.job)}
        for schedule, what in zip(first, words, strict=True)
    ]
