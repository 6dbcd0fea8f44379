"""The last 24 hours as lanes: one for each schedule, each run a block from start to end in its status colour.

Runs that lie within the same few minutes of a lane are one block, so that a schedule of every second draws no more than
one of every hour; the block has the colour and the address of the one that went worst.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from scheduling import display
from scheduling.addresses import addresses
from scheduling.jobs import registry
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
_RANKS: dict[str, int] = {status: number for number, status in enumerate(_WORST)}


@dataclass
class Block:
    """One run, or some that lie too close together to be told apart."""

    x: float
    width: float
    status: RunStatus
    run_id: int
    started_at: datetime
    finished_at: datetime | None
    count: int = 1

    @property
    def title(self) -> str:
        """Return what the block says on hover."""
        took = (self.finished_at or timezone.now()) - self.started_at
        began = f"{timezone.localtime(self.started_at):%H:%M:%S}"
        words = f"{began}: {self.status.label}, {display.duration_words(took)}"
        if self.count == 1:
            return words
        more = ngettext("and %d more", "and %d more", self.count - 1) % (self.count - 1)
        return f"{words}, {more}"


@dataclass
class Lane:
    """The blocks of one schedule, or of the runs without one."""

    schedule_id: int | None
    name: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def drawing(self) -> SafeString:
        """Return the blocks as they are drawn; a template would take three times as long for a busy day's hundreds."""
        address = addresses("admin:scheduling_run_change")
        return format_html_join(
            "\n",
            '<a href="{}" tabindex="-1"><rect class="newss-bar-{}" x="{}" y="1" width="{}" height="14">'
            "<title>{}</title></rect></a>",
            (
                (address(one.run_id), one.status.colour, f"{one.x:.1f}", f"{one.width:.1f}", one.title)
                for one in self.blocks
            ),
        )


@dataclass(frozen=True)
class Lanes:
    """All lanes, the hours under them, and what was left out."""

    lanes: list[Lane]
    hours: list[tuple[float, str]]
    left_out: int
    width: int = WIDTH

    @property
    def marks(self) -> SafeString:
        """Return the hours as lines, the same in each lane."""
        return format_html_join(
            "",
            '<line class="newss-axis" x1="{}" x2="{}" y1="0" y2="16"/>',
            ((str(x), str(x)) for x, _hour in self.hours),
        )


def draw(now: datetime | None = None) -> Lanes:
    """Return the lanes of the 24 hours before `now`, those with the newest run first; one query."""
    now = now or timezone.now()
    start = now - SPAN
    runs = Run.objects.filter(queued_at__gte=start - timedelta(hours=1), started_at__isnull=False)
    # Plain values: thousands of rows are read for some hundred blocks.
    rows = runs.order_by("-queued_at", "-id").values_list(
        "pk", "schedule_id", "schedule_name", "job", "status", "started_at", "finished_at"
    )[:MOST_RUNS]
    lanes: dict[tuple[int | None, str], Lane] = {}
    for key, schedule_id, schedule_name, job, status, started_at, finished_at in rows:
        if started_at is None or (finished_at or now) < start:
            continue
        name = schedule_name or registry.label(job)
        lane = lanes.setdefault((schedule_id, "" if schedule_id else name), Lane(schedule_id, name))
        x = max(0.0, WIDTH * ((started_at - start) / SPAN))
        width = max(2.5, WIDTH * (((finished_at or now) - start) / SPAN) - x)
        last = lane.blocks[-1] if lane.blocks else None
        # Newest first: the block before begins to the right of this one.
        if last is None or x <= last.x - BUCKET:
            lane.blocks.append(Block(x, width, RunStatus(status), key, started_at, finished_at))
            continue
        last.width, last.x, last.count = max(last.width + last.x - x, width), min(last.x, x), last.count + 1
        if _rank(status) < _rank(last.status):
            last.status, last.run_id = RunStatus(status), key
            last.started_at, last.finished_at = started_at, finished_at
    shown = list(lanes.values())
    return Lanes(shown[:MOST_LANES], _hours(start, now), max(0, len(shown) - MOST_LANES))


def _rank(status: str) -> int:
    return _RANKS.get(status, len(_RANKS))


def _hours(start: datetime, now: datetime) -> list[tuple[float, str]]:
    local = timezone.localtime(start).replace(minute=0, second=0, microsecond=0)
    marks = []
    for number in range(1, 25):
        moment = local + timedelta(hours=number)
        if moment.hour % 3 == 0 and start < moment < now:
            marks.append((round(WIDTH * ((moment - start) / SPAN), 1), f"{moment:%H:%M}"))
    return marks
