"""What the list of schedules shows of each row beyond its own fields, fetched for a whole page at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.db.models import CharField, Count, Max, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Cast, Concat
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_apscheduler.models import DjangoJob

from scheduling.admin.paging import QuietChangeList
from scheduling.admin.past_runs import last_runs
from scheduling.jobs import registry
from scheduling.models import Run, RunStatus, Schedule, SchedulerInstance
from scheduling.models.schedule import JOB_ID_PREFIX

COMPUTED = 200
"""Of so many schedules the next due times are computed for one page while no scheduler is alive."""

COMPUTED_KEPT_SECONDS = 60
"""So long such times are kept at most."""


def next_runs(schedules: Sequence[Schedule], now: datetime | None = None) -> dict[int, datetime | None]:
    """Return the next due time of each schedule: the scheduler's own while it is alive, else computed."""
    alive = SchedulerInstance.objects.active().beating(now).exists()
    stored = dict(
        DjangoJob.objects.filter(pk__in=[schedule.job_id for schedule in schedules] if alive else []).values_list(
            "id", "next_run_time"
        )
    )
    return {
        schedule.pk: (stored.get(schedule.job_id) or schedule.next_run()) if schedule.enabled else None
        for schedule in schedules
    }


def first_due(count: int, now: datetime | None = None) -> list[tuple[Schedule, datetime]]:
    """Return the next `count` schedules that are due, with the time, in order; however many schedules there are.

    The times are the scheduler's own, read along their index, a few rows at a time. Only where no scheduler is alive
    and there are few schedules, they are computed; with many, the rows that it left say what is due once one starts.
    """
    now = now or timezone.now()
    computed = None if SchedulerInstance.objects.active().beating(now).exists() else _computed(now)
    found: list[tuple[Schedule, datetime]] = []
    start, step = 0, 2 * count
    while len(found) < count:
        times = _stored(start, step) if computed is None else dict(computed[start : start + step])
        schedules = Schedule.objects.enabled().in_bulk(list(times))
        found += [(schedules[key], moment) for key, moment in times.items() if key in schedules]
        found = [(schedule, moment) for schedule, moment in found if not schedule.is_paused(now)]
        if len(times) < step:
            break
        # Those that are paused are passed over in ever larger steps.
        start, step = start + step, min(2 * step, 500)
    return found[:count]


def _stored(start: int, count: int) -> dict[int, datetime]:
    """Return the scheduler's own next due times by schedule, `count` from `start` on, in order."""
    rows = DjangoJob.objects.filter(next_run_time__isnull=False, id__startswith=JOB_ID_PREFIX)
    page = rows.order_by("next_run_time", "id").values_list("id", "next_run_time")[start : start + count]
    return {int(name.removeprefix(JOB_ID_PREFIX)): moment for name, moment in page if moment is not None}


def _computed(now: datetime) -> list[tuple[int, datetime]] | None:
    """Return the next due time of each enabled schedule, in order; None where there are too many to compute.

    Kept until the first of them is over or a schedule changes: whatever changes one raises its version.
    """
    enabled = Schedule.objects.enabled()
    number, versions, newest = enabled.aggregate(a=Count("pk"), b=Sum("version"), c=Max("pk")).values()
    if number > COMPUTED:
        return None
    name = f"newss-due-{number}-{versions}-{newest}"
    due: list[tuple[int, datetime]] | None = cache.get(name)
    if due is None or (due and due[0][1] <= now):
        moments = [(one, moment) for one in enabled if (moment := one.next_run()) is not None]
        due = [(one.pk, moment) for one, moment in sorted(moments, key=lambda pair: (pair[1], pair[0].name))]
        cache.set(name, due, COMPUTED_KEPT_SECONDS)
    return due


class ScheduleChangeList(QuietChangeList):
    """The list of schedules with, on each row, `what`, `next_due`, `recent` and `trouble`."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch one page."""
        super().get_results(request)
        page: list[Any] = list(self.result_list)
        words = registry.describe_all([(schedule.job, schedule.parameters) for schedule in page])
        due = next_runs(page, timezone.now())
        runs = last_runs(page)
        for schedule, what in zip(page, words, strict=True):
            schedule.what = what
            schedule.next_due = due[schedule.pk]
            schedule.recent = runs[schedule.pk]
            schedule.trouble = schedule.problem()
            schedule.may_run = request.user.has_perm("scheduling.run_schedule")
            schedule.may_pause = request.user.has_perm("scheduling.pause_schedule")
            schedule.held_back = schedule.is_paused()
            schedule.may_change = request.user.has_perm("scheduling.change_schedule")
        self.result_list = page


class PausedFilter(admin.SimpleListFilter):
    """By whether a schedule is paused now."""

    title = _("paused")
    parameter_name = "paused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return paused and not."""
        return [("1", _("paused")), ("0", _("not paused"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> QuerySet[Schedule]:
        """Keep the schedules that are paused now, or the others."""
        paused = Schedule.objects.paused(timezone.now()).values("pk")
        match self.value():
            case "1":
                return queryset.filter(pk__in=paused)
            case "0":
                return queryset.exclude(pk__in=paused)
        return queryset


class LastStatusFilter(admin.SimpleListFilter):
    """By how the newest run went."""

    title = _("last result")
    parameter_name = "last"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the statuses, and whether it ever ran."""
        return [("bad", _("ended badly")), ("never", _("not run yet")), *RunStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> QuerySet[Schedule]:
        """Keep the schedules whose newest run has the status."""
        if self.value() is None:
            return queryset
        marked = queryset.annotate(last_status=Subquery(newest_run("status")))
        match self.value():
            case "bad":
                return marked.filter(last_status__in=RunStatus.bad())
            case "never":
                return marked.filter(last_status__isnull=True)
        return marked.filter(last_status=self.value())


class JobFilter(admin.SimpleListFilter):
    """By job, with its label."""

    title = _("job")
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the registered jobs."""
        return registry.choices()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> QuerySet[Schedule]:
        """Keep the schedules of one job."""
        return queryset.filter(job=self.value()) if self.value() else queryset


def newest_run(column: str) -> Any:
    """Return a subquery of one column of a schedule's newest run."""
    return Run.objects.filter(schedule=OuterRef("pk")).order_by("-queued_at", "-id").values(column)[:1]


ORDERINGS: dict[str, Any] = {
    "last": Subquery(newest_run("queued_at")),
    "next": Subquery(
        DjangoJob.objects.filter(
            pk=Concat(Value(JOB_ID_PREFIX), Cast(OuterRef("pk"), CharField()), output_field=CharField())
        ).values("next_run_time")[:1]
    ),
}
"""What columns of the list are sorted by that are no fields of the schedule; in SQL, so that it goes over pages."""
