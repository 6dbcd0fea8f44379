"""Runs in figures for the dashboard: how many, how well, how late; and the schedules that need attention.

Each answer costs a constant number of statements, and reads only the newest part of an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from django.db.models import Count, DateTimeField, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from scheduling.models import Cause, Run, RunStatus, Schedule

LAG_SAMPLE = 500
"""From how many of the newest fires the median lag is taken."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """A span of time and the one of the same length a day earlier, to compare with."""

    start: datetime
    end: datetime

    @classmethod
    def today(cls, now: datetime | None = None) -> Window:
        """Return from midnight in the active zone until now."""
        now = now or timezone.now()
        return cls(timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0), now)

    @property
    def day_before(self) -> Window:
        """Return the same hours of the day before."""
        return Window(self.start - timedelta(days=1), self.end - timedelta(days=1))


@dataclass(frozen=True)
class RunCounts:
    """Runs of a window: all, those that were executed and ended, and how many of these succeeded, also in part."""

    total: int
    ended: int
    succeeded: int
    partial: int

    @property
    def percent_succeeded(self) -> int | None:
        """Return the share of the ended ones that succeeded wholly, None without any."""
        return round(100 * self.succeeded / self.ended) if self.ended else None


def run_counts(window: Window) -> RunCounts:
    """Count the runs that were queued in a window."""
    rows = Run.objects.filter(queued_at__gte=window.start, queued_at__lt=window.end).order_by()
    counts = dict(rows.values_list("status").annotate(Count("pk")))
    bad = sum(counts.get(status, 0) for status in RunStatus.bad())
    good = sum(counts.get(status, 0) for status in RunStatus.good())
    return RunCounts(
        total=sum(counts.values()),
        ended=good + bad,
        succeeded=counts.get(RunStatus.SUCCEEDED, 0),
        partial=counts.get(RunStatus.PARTIAL, 0),
    )


def median_lag(window: Window) -> float | None:
    """Return the median delay of the newest fires of a window in seconds, None without any."""
    fires = Run.objects.filter(
        cause=Cause.SCHEDULE, started_at__isnull=False, queued_at__gte=window.start, queued_at__lt=window.end
    )
    # As `Run.lag`, from plain values: whole rows would take most of the dashboard's time.
    due = Coalesce("not_before", "scheduled_for")
    newest = fires.order_by("-queued_at").values_list("started_at", due)[:LAG_SAMPLE]
    lags = [(started_at - due_at).total_seconds() for started_at, due_at in newest if started_at and due_at]
    return median(lags) if lags else None


@dataclass(frozen=True)
class Failing:
    """A schedule whose last runs ended badly: the newest of them, how many in a row, since when."""

    schedule: Schedule
    run: Run
    in_row: int
    since: datetime | None


def failing_schedules(shown: int = 20) -> list[Failing]:
    """Return the enabled schedules whose newest executed runs ended badly, the newest failure first."""
    schedules = list(
        Schedule.objects.enabled()
        .filter(state__failures_in_row__gt=0)
        .select_related("state")
        .order_by("-state__failures_in_row")[:shown]
    )
    if not schedules:
        return []
    runs = Run.objects.filter(schedule=OuterRef("pk"))
    bad = runs.filter(status__in=RunStatus.bad())
    marked = (
        Schedule.objects.filter(pk__in=[schedule.pk for schedule in schedules])
        .annotate(
            good_at=Subquery(runs.filter(status__in=RunStatus.good()).order_by("-queued_at").values("queued_at")[:1])
        )
        .annotate(
            newest=Subquery(bad.order_by("-queued_at", "-id").values("pk")[:1]),
            since=Subquery(
                bad.filter(queued_at__gt=Coalesce(OuterRef("good_at"), Value(LONG_AGO, output_field=DateTimeField())))
                .order_by("queued_at")
                .values("queued_at")[:1]
            ),
        )
    )
    found = {key: (run_id, since) for key, run_id, since in marked.values_list("pk", "newest", "since")}
    newest = Run.objects.in_bulk([run_id for run_id, _since in found.values() if run_id])
    failing = [
        Failing(schedule, newest[run_id], schedule.state.failures_in_row, since)
        for schedule in schedules
        for run_id, since in [found[schedule.pk]]
        if run_id in newest
    ]
    return sorted(failing, key=lambda one: one.run.queued_at, reverse=True)


def group_by_error(failing: Sequence[Failing]) -> list[tuple[str, list[Failing]]]:
    """Return failing schedules by the sentence of their error, the group with the newest failure first."""
    groups: dict[str, list[Failing]] = {}
    for one in failing:
        groups.setdefault(one.run.outcome, []).append(one)
    return list(groups.items())
