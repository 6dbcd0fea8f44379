"""When a source is polled next: the rules as pure functions over plain values; `scrapers.models.polled` applies them.

1. A person chooses the pace: each run, an interval, or adaptive (`adapted`).
2. The next poll is never sooner than the feed and its server ask for (ttl, sy:updatePeriod, Cache-Control, Expires), as
   far as the source heeds that, and never sooner than Retry-After (RFC 9110, 10.2.3), which nothing passes.
3. After failures it waits for longer (`back_off`).
4. It falls into the source's active hours (`next_active`).
5. Sources do not fall together: what we chose ourselves is shortened by a share that is the source's own (`spread`).

All durations are in seconds, all instants aware.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import models
from django.utils.translation import gettext_lazy as _

DAY = 86_400.0
SPREAD = 0.1
"""The largest share of a wait by which sources are spread."""
LENIENCY = 60.0
"""The tick of a schedule that comes up to so many seconds (and 5 %) before a wait is over counts as after it, where we
chose the wait ourselves; where feed or server ask for it, the run waits for its end."""
SLOWER_FROM, FASTER_BELOW = 0.67, 0.33
"""Shares of known items between two polls that make polling slower and faster (Media Cloud's rss-fetcher)."""
SLOWER, FASTER = 1.5, 0.5


FURTHEST, FURTHEST_HELD = timedelta(days=32), timedelta(days=2)
"""How far ahead a poll, and a wish to be left alone, can lie at most; what lies further was written by a clock that was
wrong, and counts for nothing."""


class Pace(models.TextChoices):
    """How often a source is polled."""

    #: By each run that it is part of, as far as feed and server allow it.
    EACH_RUN = "each_run", _("each run")
    #: At most once in an interval that a person set.
    INTERVAL = "interval", _("interval")
    #: As often as it takes to miss nothing, measured by the overlap of two polls.
    ADAPTIVE = "adaptive", _("adaptive")


@dataclass(frozen=True)
class Hours:
    """The hours of the day in which a source is polled, in a zone; the same hour twice means the whole day."""

    begin: time
    end: time
    zone: ZoneInfo

    def hold(self, moment: datetime) -> bool:
        """Tell whether an instant is within; the hours may go past midnight."""
        clock = moment.astimezone(self.zone).time()
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return self.begin == self.end or clock >= self.begin or clock < self.end


def adapted(interval: float, seen: int, known: int, least: float, most: float) -> float:
    """Return the next adaptive interval, after a poll that showed `seen` items of which `known` were known.

    The goal is enough overlap that nothing is missed: at 67 % or more known it becomes slower, below 33 % faster,
    within `least` and `most`. An answer without items tells nothing.
    """
    share = known / seen if seen else None
    if share is not None and share >= SLOWER_FROM:
        interval *= SLOWER
    elif share is not None and share < FASTER_BELOW:
        interval *= FASTER
    return min(max(interval, least), most)


def spread(key: int) -> float:
    """Return the share from 0 (included) to 1 (not) that is a source's own, always the same for the same key."""
    return int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:6], "big") / 2**48


def back_off(score: float, step: float, failing_after: float, key: int) -> float:
    """Return how long to wait after failures with this weighted sum: it grows by `step` for each, up to a day.

    From `failing_after` on it is a day: a source is never given up. Each is a little shorter by the source's spread.
    """
    if score <= 0:
        return 0.0
    wait = DAY if score >= failing_after else min(score * step, DAY)
    return wait * (1 - SPREAD * spread(key))


def lenient(wait: float) -> float:
    """Return a wait with what a schedule's tick may come too early taken off."""
    return wait - min(LENIENCY, 0.05 * wait)


def wait(pace: Pace, interval: float, ttl: float, back: float, key: int) -> float:
    """Return the seconds from one poll to the next, by rules 1 to 3 and 5.

    `interval` is the one that was set or learned, `ttl` what feed and server ask for (0: nothing), `back` the back-off.
    """
    chosen = 0.0 if pace == Pace.EACH_RUN else interval
    return max(min(lenient(chosen), chosen * (1 - SPREAD * spread(key))), ttl, back)


def early(polled: datetime | None, due: datetime) -> timedelta:
    """Return how long before a source is due a run takes it up, to wait there until it is.

    Without that a schedule of every hour would pass by every second time a feed that asks for an hour.
    """
    seconds = 0.0 if polled is None else max(0.0, (due - polled).total_seconds())
    return timedelta(seconds=seconds - lenient(seconds))


def next_active(moment: datetime, hours: Hours | None) -> datetime:
    """Return the first instant from `moment` on that lies within the hours."""
    if hours is None or hours.hold(moment):
        return moment
    local = moment.astimezone(hours.zone)
    for days in range(3):
        day = local.date() + timedelta(days=days)
        start = datetime.combine(day, hours.begin, hours.zone).astimezone(moment.tzinfo)
        # An hour that a change of clock leaves out begins when the clock has been changed.
        if start >= moment:
            return start
    raise AssertionError("every day has its hours")


def next_poll(began: datetime, seconds: float, not_before: datetime | None, hours: Hours | None) -> datetime:
    """Return when a source is due again that was polled at `began`, by rules 2 and 4."""
    due = began + timedelta(seconds=seconds)
    if not_before is not None and not_before > due:
        due = not_before
    return next_active(due, hours)
