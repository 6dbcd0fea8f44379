"""The filters of the list of runs. None reads more than the newest end of an index, however many runs there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Case, DurationField, ExpressionWrapper, F, Q, QuerySet, When
from django.http import HttpRequest
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scheduling.models import Backfill, Run, RunStatus, Schedule, Tag

SCHEDULES_LISTED = 200
"""So many schedules are offered at most."""
BACKFILLS_LISTED = 20


class NothingDueFilter(admin.SimpleListFilter):
    """Fold the runs that had nothing due, unless they are asked for."""

    title = _("nothing due")
    parameter_name = "idle"
    turnable = False

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
    """By class of error."""

    title = _("class of error")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the classes that runs have; all of them stand in an index of their own."""
        classes = Run.objects.exclude(error_class="").order_by("error_class").values_list("error_class", flat=True)
        names = {str(name) for name in classes.distinct()}
        names |= {name} if (name := request.GET.get(self.parameter_name)) else set()
        return [(name, _t(name.replace("_", " "))) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the runs with the class of error."""
        return queryset.filter(error_class=self.value()) if self.value() else queryset


class StatusFilter(admin.SimpleListFilter):
    """By status."""

    title = _("status")
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return each status, and the groups that people ask for."""
        return [("bad", _("ended badly")), ("active", _("not ended")), *RunStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the runs of the status, or of the group."""
        match self.value():
            case None:
                return queryset
            case "bad":
                return queryset.filter(status__in=RunStatus.bad())
            case "active":
                return queryset.filter(status__in=RunStatus.active())
            case value:
                return queryset.filter(status=value)


class ScheduleFilter(admin.SimpleListFilter):
    """By schedule; where there are more than can be listed, the others are found by the list's search."""

    title = _("schedule")
    parameter_name = "schedule__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the chosen schedule, and others by name."""
        chosen = request.GET.get(self.parameter_name, "")
        first = Case(When(pk=int(chosen) if _is_key(chosen) else 0, then=0), default=1)
        rows = Schedule.objects.order_by(first, "name").values_list("pk", "name")[:SCHEDULES_LISTED]
        return [(str(key), name) for key, name in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the runs of the schedule."""
        return queryset.filter(schedule=int(key)) if _is_key(key := self.value() or "") else queryset


class BackfillFilter(admin.SimpleListFilter):
    """By backfill."""

    title = _("backfill")
    parameter_name = "backfill__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the newest backfills, and the chosen one."""
        rows = Backfill.objects.select_related("schedule").order_by("-created_at", "-id")
        found = list(rows[:BACKFILLS_LISTED])
        chosen = request.GET.get(self.parameter_name, "")
        if _is_key(chosen) and int(chosen) not in [row.pk for row in found]:
            found += list(rows.filter(pk=int(chosen)))
        return [(str(row.pk), str(row)) for row in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        """Keep the runs of the backfill."""
        return queryset.filter(backfill=int(key)) if _is_key(key := self.value() or "") else queryset


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
        return queryset.filter(Q(schedule__tags=int(key))) if _is_key(key := self.value() or "") else queryset


def _is_key(value: str) -> bool:
    """Tell whether a value of the address can be a primary key."""
    return value.isdecimal() and len(value) < 19
