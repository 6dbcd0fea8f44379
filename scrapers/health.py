"""What a poll that was answered says of a source's health: pure functions over plain values.

A state is named by the first of these rules that fits:

1. A selector that used to match finds nothing (its name is told).
2. A source that used to have items has none.
3. Most items of a known source look new at once (their identifiers or addresses changed, say).
4. Nothing new has come for much longer than is its habit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

SILENT_FACTOR = 5
"""How many times its usual pause between two news a source may be silent."""
SILENT_LEAST = timedelta(days=2)
"""How long any source may be silent: week-ends."""
HABIT_WEIGHT = 0.2
"""How much the latest pause counts in the habit (an exponential average)."""
LOOKS_NEW_ITEMS, LOOKS_NEW_SHARE = 5, 0.8
"""From how many items on, and from which share, a known source looks new."""


class Trouble(models.TextChoices):
    """What may be wrong with a source that answers."""

    #: Nothing.
    NONE = "", _("none")
    #: A selector that used to match finds nothing.
    SELECTOR = "selector", _("selector finds nothing")
    #: It had items, and has none now.
    EMPTY = "empty", _("empty result")
    #: Most of its items look new, though it is known for long.
    LOOKS_NEW = "looks_new", _("everything looks new")
    #: Nothing new for longer than its habit.
    SILENT = "silent", _("silent")


@dataclass(frozen=True)
class Finding:
    """A state of health, and in words what was found."""

    trouble: Trouble = Trouble.NONE
    detail: str = ""


def looks_new(known_before: bool, items: int, unknown: int) -> bool:
    """Tell whether most items of a source that was read in full before are not known."""
    return known_before and items >= LOOKS_NEW_ITEMS and unknown / items >= LOOKS_NEW_SHARE


def habit(before: float | None, pause: float) -> float:
    """Return the usual pause between two news, in seconds, after one more pause."""
    return pause if before is None else (1 - HABIT_WEIGHT) * before + HABIT_WEIGHT * pause


def is_silent(last_new_at: datetime | None, usual: float | None, now: datetime) -> bool:
    """Tell whether a source has been silent for longer than its habit (seconds) allows; without a habit it is not."""
    if last_new_at is None or usual is None:
        return False
    return now - last_new_at > max(SILENT_FACTOR * timedelta(seconds=usual), SILENT_LEAST)


def lost_selectors(unmatched: Sequence[str], never_matched: Sequence[str] | None) -> list[str]:
    """Return the selectors that find nothing now and did before; None: nothing is known of before."""
    return [] if never_matched is None else [name for name in unmatched if name not in never_matched]
