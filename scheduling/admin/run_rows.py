"""What the list of runs shows of each row beyond its own fields, fetched for a whole page at once, and its filters."""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import Any

from django.contrib import admin
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from scheduling.admin.paging import QuietChangeList
from scheduling.admin.schedule_rows import last_runs
from scheduling.models import Run, RunStatus, Tag

USUAL_OF = 20
"""From how many of the newest runs of its schedule the usual duration in the list is taken."""


class RunChangeList(QuietChangeList):
    """The list of runs with, on each row, `usual_seconds`."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch one page, and the usual duration of each schedule on it."""
        super().get_results(request)
        page: list[Any] = list(self.result_list)  # type: ignore[has-type]
        schedules = {run.schedule_id: run.schedule for run in page if run.schedule}
        usual = {}
        for key, runs in last_runs(list(schedules.values()), USUAL_OF).items():
            spans = [run.duration.total_seconds() for run in runs if run.duration and run.finished_at]
            usual[key] = median(spans) if spans else None
        for run in page:
            run.usual_seconds = usual.get(run.schedule_id)
        self.result_list = page


def duration_bar(run: Any) -> dict[str, Any] | None:
    """Return the duration of a run against its usual one as a bar of 60 units, the usual one at half; None without."""
    if run.duration is None or not run.usual_seconds:
        return None
    share = run.duration.total_seconds() / run.usual_seconds
    return {"width": round(max(1.0, min(60.0, 30 * share)), 1), "long": share > 1.5, "usual": run.usual_seconds}


class StatusFilter(admin.SimpleListFilter):
    """By status, or by all but one."""

    title = _("status")
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return each status, the groups that people ask for, and each turned round."""
        turned = [(f"not-{status.value}", _("not %(status)s") % {"status": status.label}) for status in RunStatus]
        return [("bad", _("ended badly")), ("active", _("not ended")), *RunStatus.choices, *turned]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the runs of the status, of the group, or of all others."""
        match self.value():
            case None:
                return queryset
            case "bad":
                return queryset.filter(status__in=RunStatus.bad())
            case "active":
                return queryset.filter(status__in=RunStatus.active())
            case str(value) if value.startswith("not-"):
                return queryset.exclude(status=value.removeprefix("not-"))
            case value:
                return queryset.filter(status=value)


class DurationFilter(admin.SimpleListFilter):
    """By duration."""

    title = _("duration")
    parameter_name = "longer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the spans to choose from, in seconds."""
        return [
            ("10", _("over 10 s")),
            ("60", _("over 1 min")),
            ("600", _("over 10 min")),
            ("3600", _("over 1 h")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the ended runs that took longer."""
        if not (self.value() or "").isdigit():
            return queryset
        took = ExpressionWrapper(F("finished_at") - F("started_at"), output_field=DurationField())
        return queryset.annotate(took=took).filter(took__gt=timedelta(seconds=int(self.value() or 0)))


class TagFilter(admin.SimpleListFilter):
    """By a tag of the schedule."""

    title = _("tag of the schedule")
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the tags that a schedule carries."""
        tags = Tag.objects.filter(schedules__isnull=False).distinct().values_list("pk", "name")
        return [(str(key), name) for key, name in tags]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the runs of schedules with the tag."""
        value = self.value() or ""
        return queryset.filter(Q(schedule__tags=int(value))) if value.isdigit() else queryset
