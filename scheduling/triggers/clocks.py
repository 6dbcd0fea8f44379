"""When the clocks of a zone are changed: what lies between two changes has one offset, so that there local times can be
computed with as plain numbers.

Here *wall* is a local time without zone, as a clock on the wall shows it; all other times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SAMPLE = timedelta(days=3)
"""Offsets are compared at this distance; since 1995 no zone had two changes within less than a week."""

LARGEST_OFFSET = timedelta(days=1)

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of one offset: a year of a zone, cut at the changes of its clocks. `start` is inside, `end` is not."""

    start: datetime
    end: datetime
    offset: timedelta
    before: timedelta
    """The offset until `start`: a smaller one means a gap there, a larger one that some comes twice."""

    @property
    def wall_start(self) -> datetime:
        """Return what the clock shows at `start`."""
        return self.wall(self.start)

    @property
    def wall_end(self) -> datetime:
        """Return what the clock shows at `end` if nobody changes it."""
        return self.wall(self.end)

    @property
    def wall_start_unchanged(self) -> datetime:
        """Return what the clock would show at `start` had nobody changed it: from here on wall times are new."""
        return self.start.replace(tzinfo=None) + self.before

    def wall(self, moment: datetime) -> datetime:
        """Return what the clock shows at a moment of this stretch."""
        return moment.replace(tzinfo=None) + self.offset

    def moment(self, wall: datetime) -> datetime:
        """Return when the clock shows a wall time; for one in the gap before this stretch, the end of the gap."""
        return max(self.start, wall.replace(tzinfo=UTC) - self.offset)


@lru_cache(maxsize=10_000)
def _stretches(zone: str, year: int) -> tuple[Stretch, ...]:
    """Return the stretches of one year (in UTC) in order."""
    end = datetime(year + 1, 1, 1, tzinfo=UTC)
    start = datetime(year, 1, 1, tzinfo=UTC)
    clocks = ZoneInfo(zone)
    before, offset = _offset(clocks, start - SECOND), _offset(clocks, start)
    found = []
    sampled = start
    while sampled < end:
        following = min(sampled + SAMPLE, end - SECOND)
        if _offset(clocks, following) != offset:
            change = _change(clocks, sampled, following)
            found.append(Stretch(start, change, offset, before))
            start, before, offset = change, offset, _offset(clocks, change)
        sampled += SAMPLE
    return (*found, Stretch(start, end, offset, before))


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first second of a new offset between two moments of different ones."""
    old = _offset(zone, before)
    while after - before > SECOND:
        middle = before + (after - before) // SECOND // 2 * SECOND
        if _offset(zone, middle) == old:
            before = middle
        else:
            after = middle
    return after


def stretch_at(zone: str, moment: datetime) -> Stretch:
    """Return the stretch that holds a moment (UTC)."""
    stretches = _stretches(zone, moment.year)
    for stretch in stretches:
        if moment < stretch.end:
            return stretch
    return stretches[-1]


def moment_of(day: date, at: time, zone: str) -> datetime:
    """Return when (UTC) the clock of a zone shows a time of a day.

    A time that comes twice is the first one; one that a change of clock skips is the end of the gap.
    """
    wall = datetime.combine(day, at)
    # No offset is larger than a day, so the stretch a day and more before the wall time, read as UTC, comes first.
    stretch = stretch_at(zone, wall.replace(tzinfo=UTC) - 2 * LARGEST_OFFSET)
    while wall >= stretch.wall_end:
        stretch = stretch_at(zone, stretch.end)
    return stretch.moment(wall)
