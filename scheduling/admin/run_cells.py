"""The cells of the list of runs, and what other lists show of a run.

Put together here and not by templates, which would take most of the list's time for fifty rows of them.
"""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.addresses import address_of
from scheduling.display import duration_words, seconds_words, status_html
from scheduling.said import said

NOTE_SHOWN = 80
"""So many characters of a note stand in the list."""
PAGE = "admin:scheduling_run_change"
NOTHING = SafeString("")


def title(run: Any) -> SafeString:
    """Return the schedule's name with a link to the run's page, over its number and what is folded under it."""
    attempt = f" · {run.attempt}" if run.attempt > 1 else ""
    return format_html(
        '<div class="newss-cell"><a class="newss-name" href="{}">{}</a><span class="newss-sub">#{}{}</span>{}</div>',
        address_of(PAGE, run.pk),
        run.title,
        run.pk,
        attempt,
        _folded(run) if run.folded else NOTHING,
    )


def _folded(run: Any) -> SafeString:
    words = ngettext("then %(number)s run with nothing due", "then %(number)s runs with nothing due", run.folded)
    return format_html(
        '<a class="newss-link newss-sub" href="?idle=only&amp;schedule__id__exact={}">{}</a>',
        run.schedule_id,
        words % {"number": run.folded},
    )


def status(run: Any) -> SafeString:
    """Return the status over its reason, and the note that somebody left."""
    why = said(run.outcome or run.wait_reason) or run.progress_message
    note = (
        format_html(
            '<span class="newss-sub" title="{}">{}: {}</span>',
            run.note,
            _("Note"),
            Truncator(run.note).chars(NOTE_SHOWN),
        )
        if run.note
        else NOTHING
    )
    return format_html(
        '<div class="newss-cell newss-reason">{}{}{}</div>',
        status_html(run.status),
        format_html('<span class="newss-sub" title="{}">{}</span>', why, why) if why else NOTHING,
        note,
    )


def duration(run: Any, bar: dict[str, Any] | None) -> SafeString:
    """Return how long it took, with a bar against the usual."""
    words = duration_words(run.duration)
    if bar is None:
        return format_html('<div class="newss-cell"><span class="newss-number">{}</span></div>', words)
    usual = _("usually %(usual)s") % {"usual": seconds_words(bar["usual"])}
    return format_html(
        '<div class="newss-cell"><span class="newss-number">{}</span>'
        '<svg class="newss-took" viewBox="0 0 60 6" role="img" aria-label="{}"><title>{}</title>'
        '<rect class="newss-lane-ground" width="60" height="6" rx="2"/>'
        '<rect class="newss-bar-{}" width="{}" height="6" rx="2"/>'
        '<line class="newss-usual" x1="30" x2="30" y1="0" y2="6"/></svg></div>',
        words,
        usual,
        usual,
        "amber" if bar["long"] else "blue",
        bar["width"],
    )
