"""How values of this app look in lists, on top of `scheduling.display`, which all pages share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from scheduling.display import badge_html, day_words, moment_html

NOTHING = "–"
BAR_WIDTH, BAR_HEIGHT = 6, 20


class Look(Protocol):
    """A status that has a colour and an icon."""

    @property
    def colour(self) -> str:
        """Return a word that the style sheet maps to a colour."""
        ...

    @property
    def icon(self) -> str:
        """Return the name of the Material Symbol."""
        ...


def status(look: Look, words: object) -> SafeString:
    """Return a status by colour, icon and words."""
    return badge_html(words, look.colour, look.icon)


def when(moment: datetime | None, otherwise: object = NOTHING) -> SafeString:
    """Return a moment in words relative to now, or other words where there is none."""
    return format_html("{}", otherwise) if moment is None else moment_html(moment)


def link(address: str, words: object) -> SafeString:
    """Return words that lead to another page."""
    return format_html('<a class="newss-link" href="{}">{}</a>', address, words)


def lines(*parts: object) -> SafeString:
    """Return the lines of a cell: the first as it is, the others quieter; empty ones are left out."""
    first, *others = parts
    under = format_html_join("", '<span class="newss-sub">{}</span>', ((part,) for part in others if part))
    return format_html('<div class="newss-cell">{}{}</div>', first, under)


def bars(days: Sequence[tuple[date, int]]) -> SafeString:
    """Return the counts of some days as a small bar chart; the figures are in its text for those who do not see it."""
    most = max((count for _day, count in days), default=0)
    words = ", ".join(f"{day_words(day, 'SHORT_DATE_FORMAT')}: {count}" for day, count in days)
    heights = [_height(count, most) for _day, count in days]
    return format_html(
        '<svg class="scrapers-bars" width="{}" height="{}" role="img" aria-label="{}"><title>{}</title>{}</svg>',
        BAR_WIDTH * len(days),
        BAR_HEIGHT,
        _("Articles by day: %(days)s") % {"days": words},
        words,
        SafeString("".join(_bar(place * BAR_WIDTH, height) for place, height in enumerate(heights))),
    )


def _bar(x: int, height: int) -> str:
    return f'<rect x="{x}" y="{BAR_HEIGHT - height}" width="{BAR_WIDTH - 2}" height="{height}" rx="1"/>'


def _height(count: int, most: int) -> int:
    """Return the height of a bar: a line for nothing, and never less than visible for something."""
    return max(3, round(count / most * BAR_HEIGHT)) if count else 1
