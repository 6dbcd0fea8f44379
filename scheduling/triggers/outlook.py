"""What a person should know of a trigger before it surprises them: said in words beside a form, never an error."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.triggers.clocks import Stretch, stretch_at

if TYPE_CHECKING:
    from scheduling.triggers.base import ScheduleTrigger

YEAR = timedelta(days=366)
"""So far ahead changes of clock are looked at."""

LOOKED_AT = 10
"""So many coming due times are looked at for how close they follow one another."""


class ChangeEffect(Enum):
    """What a change of clock does to a due time."""

    #: Its time of day is skipped; it comes right after the gap.
    MOVED = "moved"
    #: Its time of day is skipped, and it with it.
    LEFT_OUT = "left out"
    #: Its time of day comes twice; it comes the first time.
    ONCE = "once"
    #: Its time of day comes twice, and so does it.
    TWICE = "twice"


def clock_warnings(trigger: ScheduleTrigger, zone: str, now: datetime) -> list[str]:
    """Return a sentence on the first change of clock in the next twelve months for each thing that it does."""
    said: dict[ChangeEffect, str] = {}
    for stretch in _changes(zone, now, trigger.last_moment(now + YEAR)):
        effect = trigger.at_change(stretch)
        if effect and effect not in said:
            said[effect] = _sentence(effect, stretch)
    return list(said.values())


def shortest_distance(trigger: ScheduleTrigger, now: datetime) -> timedelta | None:
    """Return the shortest time between two of the coming due times within a day of the next, None where it has one."""
    first = trigger.next_after(now)
    if first is None:
        return None
    times = [first, *islice(trigger.between(first, first + timedelta(days=1)), LOOKED_AT)]
    if len(times) == 1:
        following = trigger.next_after(first)
        return following - first if following else None
    return min(after - before for before, after in pairwise(times))


def duration_words(duration: timedelta) -> str:
    """Return a duration in whole seconds, minutes from two on or hours from two on, e.g. "90 seconds"."""
    seconds = round(duration.total_seconds())
    if seconds >= 7200:
        return ngettext("%(count)d hour", "%(count)d hours", seconds // 3600) % {"count": seconds // 3600}
    if seconds >= 120:
        return ngettext("%(count)d minute", "%(count)d minutes", seconds // 60) % {"count": seconds // 60}
    return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}


def _changes(zone: str, after: datetime, until: datetime) -> Iterator[Stretch]:
    """Yield the stretches that begin with a change of clock after one moment, up to and including another."""
    stretch = stretch_at(zone, after)
    while stretch.end <= until:
        stretch = stretch_at(zone, stretch.end)
        if stretch.offset != stretch.before:
            yield stretch


def _sentence(effect: ChangeEffect, stretch: Stretch) -> str:
    unchanged, changed = stretch.wall_start_unchanged, stretch.wall_start
    values = {
        "date": date_format(unchanged, _("j F Y")),
        "old": f"{unchanged:%H:%M}",
        "new": f"{changed:%H:%M}",
    }
    phrases = {
        ChangeEffect.MOVED: _(
            "On %(date)s clocks go forward from %(old)s to %(new)s: what is due in between comes at %(new)s."
        ),
        ChangeEffect.LEFT_OUT: _(
            "On %(date)s clocks go forward from %(old)s to %(new)s: what is due in between is left out."
        ),
        ChangeEffect.ONCE: _(
            "On %(date)s clocks go back from %(old)s to %(new)s: what is due in between comes once, the first time."
        ),
        ChangeEffect.TWICE: _(
            "On %(date)s clocks go back from %(old)s to %(new)s: what is due in between comes twice."
        ),
    }
    return phrases[effect] % values
