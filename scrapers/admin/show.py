"""How values look in the lists of this app: a status by colour, icon and word; a moment in relative words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

NOTHING = "–"


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
    return badge(look.colour, look.icon, words)


def badge(colour: str, icon: str, words: object) -> SafeString:
    """Return words in a colour with an icon before them."""
    return format_html(
        '<span class="newss-status newss-status-{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span> {}</span>',
        colour,
        icon,
        words,
    )


def link(address: str, words: object) -> SafeString:
    """Return words that lead to another page."""
    return format_html('<a class="scrapers-link" href="{}">{}</a>', address, words)


def absolute(moment: datetime) -> str:
    """Return a moment as people write it, with its zone; UTC moments in the current zone."""
    return f"{date_format(moment, 'DATETIME_FORMAT')} {moment.tzname()}"


def when(moment: datetime | None, otherwise: object = NOTHING) -> SafeString:
    """Return a moment in words relative to now, the absolute time on hover."""
    if moment is None:
        return format_html("{}", otherwise)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        absolute(timezone.localtime(moment)),
        naturaltime(moment),
    )


def two_lines(first: object, second: object) -> SafeString:
    """Return something with a quieter line under it."""
    return format_html('<span class="scrapers-first">{}</span><span class="scrapers-second">{}</span>', first, second)


def bars(days: Sequence[tuple[date, int]]) -> SafeString:
    """Return the counts of some days as a small bar chart; the figures are in its text for those who do not see it."""
    most = max((count for _day, count in days), default=0)
    words = ", ".join(f"{date_format(day, 'SHORT_DATE_FORMAT')}: {count}" for day, count in days)
    width, height = 6, 20
    return format_html(
        '<svg class="scrapers-bars" width="{}" height="{}" role="img" aria-label="{}"><title>{}</title>{}</svg>',
        width * len(days),
        height,
        _("Articles by day"),
        words,
        format_html_join(
            "",
            '<rect x="{}" y="{}" width="{}" height="{}" rx="1"/>',
            (
                (number * width, height - tall, width - 2, tall)
                for number, tall in enumerate(_heights([count for _day, count in days], most, height))
            ),
        ),
    )


def _heights(counts: Sequence[int], most: int, height: int) -> list[int]:
    """Return the heights of bars; what is not nothing is never invisible, nothing is a line."""
    return [1 if not count else max(3, round(count / most * height)) for count in counts]
