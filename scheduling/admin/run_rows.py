"""What the list of runs shows of each row beyond its own fields, fetched for a whole page at once."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest

from scheduling.admin.paging import QuietChangeList
from scheduling.admin.past_runs import last_runs
from scheduling.admin.run_filters import NothingDueFilter
from scheduling.models import Run, Schedule

USUAL_OF = 20
"""From how many of the newest runs of its schedule the usual duration in the list is taken."""
USUAL_KEPT_SECONDS = 60
"""So long what is usual is kept: it moves by one run in twenty."""
MOST_FOLDED = 5_000
"""So many runs with nothing due are counted for one page at most."""


class RunChangeList(QuietChangeList):
    """The list of runs with, on each row, `usual_seconds`."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch one page, and the usual duration of each schedule on it."""
        super().get_results(request)
        page: list[Any] = list(self.result_list)
        schedules = {run.schedule_id: run.schedule for run in page if run.schedule}
        usual = _usual(list(schedules.values()))
        for run in page:
            run.usual_seconds = usual.get(run.schedule_id)
        _fold(page, request)
        self.result_list = page


def _usual(schedules: Sequence[Schedule]) -> dict[int, float | None]:
    """Return the usual duration of each schedule in seconds, None where none has ended; kept for a while."""
    names = {schedule.pk: f"newss-usual-{schedule.pk}" for schedule in schedules}
    kept = cache.get_many(names.values())
    found: dict[int, float | None] = {key: kept[name] for key, name in names.items() if name in kept}
    for key, runs in last_runs([one for one in schedules if one.pk not in found], USUAL_OF).items():
        spans = [run.duration.total_seconds() for run in runs if run.duration and run.finished_at]
        found[key] = median(spans) if spans else None
    cache.set_many({names[key]: usual for key, usual in found.items() if names[key] not in kept}, USUAL_KEPT_SECONDS)
    return found


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
