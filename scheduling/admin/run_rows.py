"""What the list of runs shows of each row beyond its own fields, fetched for a whole page at once, and its filters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


MOST_FOLDED = 5_000
"""So many runs with nothing due are counted for one page at most."""
CLASSES_OF = 1_000
"""Of how many of the newest failed runs the classes of error are offered."""


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
        _fold(page, request)
        self.result_list = page


def _fold(page: Sequence[Any], request: HttpRequest) -> None:
    """Put on each row, as `folded`, how many runs of its schedule after it (up to its next row) had nothing due.

    Only in the order of time, newest first, and where such runs are not listed anyway.
    """
    for run in page:
        run.folded = 0
    if not page or request.GET.get(NothingDueFilter.parameter_name) or request.GET.get("o"):
        return
    rows: dict[int, list[Any]] = {}
    for run in page:
        if run.schedule_id is not None:
            rows.setdefault(run.schedule_id, []).append(run)
    idle = Run.objects.filter(nothing_due=True, schedule__in=rows, queued_at__gte=page[-1].queued_at)
    if request.GET.get("p", "1") != "1":
        idle = idle.filter(queued_at__lte=page[0].queued_at)
    for key, moment in idle.order_by("-queued_at").values_list("schedule_id", "queued_at")[:MOST_FOLDED]:
        before = next((run for run in rows[key or 0] if run.queued_at <= moment), None)
        if before is not None:
            before.folded += 1


def duration_bar(run: Any) -> dict[str, Any] | None:
    """Return the duration of a run against its usual one as a bar of 60 units, the usual one at half; None without."""
    if run.duration is None or not run.usual_seconds:
        return None
    share = run.duration.total_seconds() / run.usual_seconds
    return {"width": round(max(1.0, min(60.0, 30 * share)), 1), "long": share > 1.5, "usual": run.usual_seconds}


class NothingDueFilter(admin.SimpleListFilter):
    """Fold the runs that had nothing due, unless they are asked for."""

    title = _("nothing due")
    parameter_name = "idle"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the ways to see them."""
        return [("all", _("listed with the others")), ("only", _("only these"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Yield the choices; the first one, of no choice, is that they are folded."""
        first, *others = super().choices(changelist)
        yield {**first, "display": _("folded")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Leave those runs out, keep them, or keep only them."""
        match self.value():
            case "all":
                return queryset
            case "only":
                return queryset.filter(nothing_due=True)
        return queryset.filter(nothing_due=False)


class ErrorClassFilter(admin.SimpleListFilter):
    """By class of error, as the newest runs that failed had them."""

    title = _("class of error")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the classes of the newest failures, and the chosen one."""
        failed = Run.objects.filter(status__in=[*RunStatus.bad(), RunStatus.PARTIAL]).order_by("-queued_at")
        names = {str(name) for name in failed.values_list("error_class", flat=True)[:CLASSES_OF] if name}
        names |= {name} if (name := request.GET.get(self.parameter_name)) else set()
        return [(name, name.replace("_", " ")) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the runs with the class of error."""
        return queryset.filter(error_class=self.value()) if self.value() else queryset


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
