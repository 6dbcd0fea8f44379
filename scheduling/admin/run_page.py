"""What the page of one run shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from scheduling.jobs import registry
from scheduling.models import Run, RunLog, RunStatus

LOG_LINES = 500
"""How many of the newest log lines the page shows."""
USUAL_RUNS = 50
"""How many past runs of the schedule the usual duration is taken from."""


def shown_counts(summary: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the counts that a job reported and that are not nought, by name in words."""
    return [(_(name.replace("_", " ")), count) for name, count in summary.items() if count]


def usual_seconds(run: Run) -> float | None:
    """Return the median duration of the schedule's last ended runs, or None if there are none."""
    if run.schedule_id is None:
        return None
    past = Run.objects.executed().filter(schedule_id=run.schedule_id).exclude(pk=run.pk)
    newest = past.order_by("-queued_at", "-id").only("started_at", "finished_at")[:USUAL_RUNS]
    spans = sorted(one.duration.total_seconds() for one in newest if one.duration)
    return spans[len(spans) // 2] if spans else None


def context(run: Run, request: HttpRequest) -> dict[str, Any]:
    """Return the context of the page and of its live part."""
    usual = usual_seconds(run)
    elapsed = run.duration.total_seconds() if run.duration else None
    lines = list(run.log_lines.order_by("-id")[:LOG_LINES])[::-1]
    level = request.GET.get("level", "")
    if level.isdigit():
        lines = [line for line in lines if line.level >= int(level)]
    return {
        "run": run,
        "status": RunStatus(run.status),
        "waits": run.waits_for(),
        "counts": shown_counts(run.summary),
        "usual": usual,
        "remaining": max(usual - elapsed, 0) if usual and elapsed is not None and run.is_active else None,
        "panel": registry.panel(run),
        "job_label": registry.label(run.job),
        "parameters_words": registry.describe(run.job, run.parameters),
        "log": lines,
        "levels": RunLog.Level.choices,
        "level": level,
        "may_cancel": run.is_active and request.user.has_perm("scheduling.cancel_run"),
        "may_start": not run.is_active and request.user.has_perm("scheduling.start_run"),
        "live": run.is_active,
    }
