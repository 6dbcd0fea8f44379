"""The last runs of schedules: fetched for a whole page at once, and drawn as bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from scheduling import display
from scheduling.addresses import addresses
from scheduling.models import Run, RunStatus, Schedule

BARS = 20
"""How many past runs of a schedule its row shows."""
STEP, HEIGHT, LEAST = 6, 24, 5
"""From bar to bar, how high the highest is, and how high each is at least; in the drawing's own units."""


class PastRun(NamedTuple):
    """What a row of a list needs to know of a run; a page shows hundreds, and whole ones take ten times as long."""

    pk: int
    schedule_id: int
    status: str
    outcome: str
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def duration(self) -> timedelta | None:
        """Return how long it has run (until now while it runs), or None before it starts."""
        return (self.finished_at or timezone.now()) - self.started_at if self.started_at else None


def last_runs(schedules: Sequence[Schedule], count: int = BARS) -> dict[int, list[PastRun]]:
    """Return the newest runs of each schedule, newest first.

    Two statements, whatever the number of schedules and of runs: where each schedule's newest ones begin, then those.
    Both only touch the ends of the index `run_schedule_newest`.
    """
    found: dict[int, list[PastRun]] = {schedule.pk: [] for schedule in schedules}
    if not found:
        return found
    newest = Run.objects.filter(schedule=OuterRef("pk")).order_by("-queued_at").values("queued_at")
    begins = Schedule.objects.filter(pk__in=found).annotate(begin=Subquery(newest[count - 1 : count]))
    wanted = [
        Q(schedule=key, queued_at__gte=begin) if begin else Q(schedule=key)
        for key, begin in begins.order_by().values_list("pk", "begin")
    ]
    for values in (
        Run.objects.filter(Q(*wanted, _connector=Q.OR)).order_by("-queued_at", "-id").values_list(*PastRun._fields)
    ):
        run = PastRun(*values)
        if len(found[run.schedule_id]) < count:
            found[run.schedule_id].append(run)
    return found


def bars(runs: Sequence[PastRun]) -> SafeString:
    """Return runs (newest first) as a drawing of bars, oldest first: height by duration, colour by status.

    Put together here and not by a template, which would take most of the list's time for its hundreds of bars.
    """
    if not runs:
        return SafeString('<span class="newss-sub">–</span>')
    return format_html(
        '<svg class="newss-bars" viewBox="0 0 {} {}" role="group" aria-label="{}">{}</svg>',
        BARS * STEP,
        HEIGHT,
        _("Last runs, oldest first"),
        SafeString("".join(_drawn(runs))),
    )


def _drawn(runs: Sequence[PastRun]) -> Iterator[str]:
    address, zone = addresses("admin:scheduling_run_change"), timezone.get_current_timezone()
    words = {
        status: (escape(str(RunStatus(status).label)), RunStatus(status).colour)
        for status in {run.status for run in runs}
    }
    longest = max((run.duration.total_seconds() for run in runs if run.duration), default=0.0) or 1.0
    for place, run in enumerate(reversed(runs), start=BARS - len(runs)):
        duration = run.duration
        label, colour = words[run.status]
        height = max(LEAST, round(HEIGHT * (duration.total_seconds() / longest if duration else 0.0)))
        began = run.queued_at.astimezone(zone)
        yield (
            f'<a href="{address(run.pk)}" tabindex="-1"><rect class="newss-bar-{colour}" x="{place * STEP}"'
            f' y="{HEIGHT - height}" width="4.5" height="{height}" rx="1"><title>{label},'
            f" {escape(display.duration_words(duration))}, {began:%Y-%m-%d %H:%M:%S}</title></rect></a>"
        )
