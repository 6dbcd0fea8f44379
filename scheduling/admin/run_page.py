"""What the page of one run shows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold import widgets

from scheduling.jobs import registry
from scheduling.models import ExecutorAlias, Run, RunLog, RunStatus

LOG_LINES = 500
"""How many of the newest log lines the page shows."""
LINKED = 20
"""How many of the runs that this one caused the page names."""
USUAL_RUNS = 50
"""How many past runs of the schedule the usual duration is taken from."""


class NoteForm(forms.Form):
    """What somebody wants to say about a run."""

    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=2_000,
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget({"rows": 3}),
        help_text=gettext_lazy("For everybody who looks at this run. Empty: no note."),
    )


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
    level, search = request.GET.get("level", ""), request.GET.get("q", "").strip()
    lines = run.log_lines.all()
    if level.isdigit() and len(level) < 4:
        lines = lines.at_least(int(level))
    if search:
        lines = lines.filter(message__icontains=search)
    newest = list(lines.order_by("-id")[: LOG_LINES + 1])
    return {
        "run": run,
        "status": RunStatus(run.status),
        "waits": run.waits_for(),
        "counts": shown_counts(run.summary),
        "usual": usual,
        "remaining": max(usual - elapsed, 0) if usual and elapsed is not None and run.is_active else None,
        "panel": registry.panel(run),
        "executor": dict(ExecutorAlias.choices).get(run.executor, run.executor),
        "job_label": registry.label(run.job),
        "parameters_words": registry.describe(run.job, run.parameters),
        "log": newest[:LOG_LINES][::-1],
        "log_is_cut": len(newest) > LOG_LINES,
        "search": search,
        "query": urlencode({name: value for name, value in (("level", level), ("q", search)) if value}),
        "children": list(run.children.order_by("id")[:LINKED]),
        **_neighbours(run),
        "levels": RunLog.Level.choices,
        "level": level,
        "may_cancel": run.is_active and request.user.has_perm("scheduling.cancel_run"),
        "may_rerun_failed": not run.is_active and registry.failed_only(run) is not None,
        "may_start": not run.is_active and request.user.has_perm("scheduling.start_run"),
        "live": run.is_active,
        "request_key": uuid.uuid4().hex,
    }


def _neighbours(run: Run) -> dict[str, Run | None]:
    """Return the runs of the same schedule (or of none) that were queued before and after this one."""
    others = Run.objects.filter(schedule=run.schedule_id) if run.schedule_id else Run.objects.filter(schedule=None)
    place = Q(queued_at=run.queued_at)
    before = others.filter(Q(queued_at__lt=run.queued_at) | place & Q(pk__lt=run.pk))
    after = others.filter(Q(queued_at__gt=run.queued_at) | place & Q(pk__gt=run.pk))
    return {
        "previous": before.order_by("-queued_at", "-id").only("pk").first(),
        "next": after.order_by("queued_at", "id").only("pk").first(),
    }


def log_lines(run: Run) -> Iterator[str]:
    """Yield the lines of a run's log as a file holds them: time in UTC, level, message."""
    for line in run.log_lines.order_by("id").iterator(chunk_size=1_000):
        yield f"{line.at:%Y-%m-%dT%H:%M:%S.%fZ} {line.get_level_display():<7} {line.message}\n"
