"""Intervals in words."""

from __future__ import annotations

from django.utils.translation import ngettext

UNITS: list[tuple[int, str]] = [(604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")]


def interval_words(seconds: int) -> str:
    """Return an interval in the largest unit that divides it, e.g. "Every 15 minutes"."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds % size == 0)
    count = seconds // size
    phrases = {
        "week": ngettext("Every week", "Every %(count)d weeks", count),
        "day": ngettext("Every day", "Every %(count)d days", count),
        "hour": ngettext("Every hour", "Every %(count)d hours", count),
        "minute": ngettext("Every minute", "Every %(count)d minutes", count),
        "second": ngettext("Every second", "Every %(count)d seconds", count),
    }
    return phrases[unit] % {"count": count}
