"""The last 24 hours as lanes: one for each schedule, each run a block from start to end in its status colour.

Runs that lie within the same few minutes of a lane are one block, so that a schedule of every second draws no more than
one of every hour; the block has the colour and the address of the one that went worst.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import ngettext

from scheduling import display
from scheduling.models import Run, RunStatus

SPAN = timedelta(hours=24)
MOST_RUNS = 4_000
"""So many of the newest runs are drawn."""
MOST_LANES = 15
WIDTH = 960
"""Of the drawing, in its own units."""
BUCKET = 4
"""Runs that begin within so many units are one block: six minutes."""

_WORST = [*RunStatus.bad(), RunStatus.MISSED, RunStatus.PARTIAL, RunStatus.RUNNING, RunStatus.SUCCEEDED]


@dataclass
class Block:
    """One run, or some that lie too close together to be told apart."""

    x: float
    width: float
    status: RunStatus
    run_id: int
    words: str
    count: int = 1

    @property
    def title(self) -> str:
        """Return what the block says on hover."""
        if self.count == 1:
            return self.words
        more = ngettext("and %d more", "and %d more", self.count - 1) % (self.count - 1)
        return f"{self.words}, {more}"


@dataclass
class Lane:
    """The blocks of one schedule, or of the runs without one."""

    schedule_id: int | None
    name: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True)
class Lanes:
    """All lanes, the hours under them, and what was left out."""

    lanes: list[Lane]
    hours: list[tuple[float, str]]
    left_out: int
    width: int = WIDTH


def draw(now: datetime | None = None) -> Lanes:
    """Return the lanes of the 24 hours before `now`, those with the newest run first; one query."""
    now = now or timezone.now()
    start = now - SPAN
    runs = Run.objects.filter(queued_at__gte=start - timedelta(hours=1), started_at__isnull=False)
    rows = runs.order_by("-queued_at", "-id").only(
        "schedule_id", "schedule_name", "job", "status", "started_at", "finished_at"
    )[:MOST_RUNS]
    lanes: dict[tuple[int | None, str], Lane] = {}
    for run in rows:
        if (run.finished_at or now) < start:
            continue
        key = (run.schedule_id, "" if run.schedule_id else run.title)
        lane = lanes.setdefault(key, Lane(run.schedule_id, run.title))
        _add(lane, run, start, now)
    shown = list(lanes.values())
    return Lanes(shown[:MOST_LANES], _hours(start, now), max(0, len(shown) - MOST_LANES))


def _add(lane: Lane, run: Run, start: datetime, now: datetime) -> None:
    assert run.started_at is not None
    x = max(0.0, WIDTH * ((run.started_at - start) / SPAN))
    end = WIDTH * (((run.finished_at or now) - start) / SPAN)
    status = RunStatus(run.status)
    last = lane.blocks[-1] if lane.blocks else None
    # Newest first: the block before begins to the right of this one.
    if last is not None and x > last.x - BUCKET:
        last.width = max(last.width + last.x - x, end - x)
        last.x, last.count = min(last.x, x), last.count + 1
        if _rank(status) < _rank(last.status):
            last.status, last.run_id, last.words = status, run.pk, _words(run, status)
        return
    lane.blocks.append(Block(x, max(2.5, end - x), status, run.pk, _words(run, status)))


def _rank(status: RunStatus) -> int:
    return _WORST.index(status) if status in _WORST else len(_WORST)


def _words(run: Run, status: RunStatus) -> str:
    began = f"{timezone.localtime(run.started_at):%H:%M:%S}" if run.started_at else ""
    return f"{began}: {status.label}, {display.duration_words(run.duration)}"


def _hours(start: datetime, now: datetime) -> list[tuple[float, str]]:
    local = timezone.localtime(start).replace(minute=0, second=0, microsecond=0)
    marks = []
    for number in range(1, 25):
        moment = local + timedelta(hours=number)
        if moment.hour % 3 == 0 and start < moment < now:
            marks.append((round(WIDTH * ((moment - start) / SPAN), 1), f"{moment:%H:%M}"))
    return marks
