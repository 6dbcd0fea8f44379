"""How values look on pages: moments, durations and statuses as words and as small pieces of HTML.

Admin, dashboard and templates (`templatetags/newss.py`) all take them from here. Moments are shown in the active time
zone, which a middleware sets to the viewer's.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

from django.utils import timezone
from django.utils.formats import date_format, localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from scheduling.models import RunStatus

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def seconds_words(seconds: float) -> str:
    """Return a duration in at most two units, e.g. "0.4 s", "2 min 5 s", "3 d 4 h"."""
    seconds = max(seconds, 0.0)
    return _seconds_words(round(seconds, 1) if seconds < 10 else round(seconds), get_language())


@lru_cache(maxsize=5_000)
def _seconds_words(seconds: float, _language: str | None) -> str:
    """Return rounded seconds in words; the hundreds of runs on a page take much the same."""
    if seconds < 10:
        return _("%(seconds)s s") % {"seconds": localize(seconds)}
    whole = round(seconds)
    if whole < MINUTE:
        return _("%(seconds)d s") % {"seconds": whole}
    if whole < HOUR:
        return _two(whole, MINUTE, _("min"), 1, _("s"))
    if whole < DAY:
        return _two(whole, HOUR, _("h"), MINUTE, _("min"))
    return _two(whole, DAY, _("d"), HOUR, _("h"))


def lag_words(seconds: float) -> str:
    """Return a short delay in words, in milliseconds below one second."""
    return _("%d ms") % round(seconds * 1000) if 0 <= seconds < 1 else seconds_words(seconds)


def _two(seconds: int, big: int, big_name: str, small: int, small_name: str) -> str:
    count, rest = divmod(seconds, big)
    first = f"{count} {big_name}"
    return f"{first} {rest // small} {small_name}" if rest // small else first


def duration_words(duration: timedelta | None) -> str:
    """Return a duration in words, or a dash for none."""
    return "–" if duration is None else seconds_words(duration.total_seconds())


def relative_words(moment: datetime, now: datetime | None = None) -> str:
    """Return how far a moment is from now in one unit, e.g. "in 4 min", "12 s ago", "now"."""
    seconds = round((moment - (now or timezone.now())).total_seconds())
    size = abs(seconds)
    if size < 1:
        return _("now")
    if size < MINUTE:
        words = _("%d s") % size
    elif size < HOUR:
        words = _("%d min") % (size // MINUTE)
    elif size < DAY:
        words = _("%d h") % (size // HOUR)
    else:
        words = _("%d d") % (size // DAY)
    return (_("in %s") if seconds > 0 else _("%s ago")) % words


def clock_words(moment: datetime, now: datetime | None = None) -> str:
    """Return a moment in the active zone: the time of day, with the date if it is not today."""
    local = timezone.localtime(moment)
    today = timezone.localtime(now or timezone.now()).date()
    if local.date() == today:
        return f"{local:%H:%M:%S}" if local.second else f"{local:%H:%M}"
    form = _("D j M") if local.year == today.year else _("j M Y")
    return f"{day_words(local.date(), form)}, {local:%H:%M}"


def exact_words(moment: datetime) -> str:
    """Return a moment in full in the active zone, with the zone's name."""
    local = timezone.localtime(moment)
    day = day_words(local.date(), _("l j F Y"))
    return f"{day}, {local:%H:%M:%S} ({timezone.get_current_timezone_name()})"


def day_words(day: date, form: str) -> str:
    """Return a day in words; `form` as in Django's templates, or the name of one of its formats."""
    return _day_words(day, form, get_language())


@lru_cache(maxsize=1_000)
def _day_words(day: date, form: str, _language: str | None) -> str:
    """Return a day in words; the rows of a list name the same ones again and again."""
    return date_format(day, form)


def moment_html(moment: datetime | None, now: datetime | None = None) -> SafeString:
    """Return a moment as a `<time>`: relative, exact on hover; `newss.js` keeps the relative words true."""
    if moment is None:
        return SafeString("–")
    return format_html(
        '<time class="newss-moment" datetime="{}" title="{}" data-newss-relative>{}</time>',
        moment.isoformat(),
        exact_words(moment),
        relative_words(moment, now),
    )


def clock_html(moment: datetime | None, now: datetime | None = None) -> SafeString:
    """Return a moment as a `<time>`: clock and date as far as needed, exact on hover."""
    if moment is None:
        return SafeString("–")
    return format_html(
        '<time class="newss-moment" datetime="{}" title="{}">{}</time>',
        moment.isoformat(),
        exact_words(moment),
        clock_words(moment, now),
    )


def moment_over_clock_html(moment: datetime | None, now: datetime | None = None) -> SafeString:
    """Return a moment as a cell of a list: relative, with clock and date under it."""
    if moment is None:
        return SafeString("–")
    exact, iso = exact_words(moment), moment.isoformat()
    return format_html(
        '<div class="newss-cell"><time class="newss-moment" datetime="{}" title="{}" data-newss-relative>{}</time>'
        '<span class="newss-sub"><time class="newss-moment" datetime="{}" title="{}">{}</time></span></div>',
        iso,
        exact,
        relative_words(moment, now),
        iso,
        exact,
        clock_words(moment, now),
    )


def badge_html(label: object, colour: str, icon: str) -> SafeString:
    """Return a state by word, icon and colour."""
    return format_html(
        '<span class="newss-status newss-status-{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">{}</span>{}</span>',
        colour,
        icon,
        label,
    )


def yes_no_html(value: bool) -> SafeString:
    """Return yes or no by word, icon and colour."""
    return badge_html(_("yes"), "green", "check") if value else badge_html(_("no"), "grey", "close")


def status_html(status: str | None) -> SafeString:
    """Return the status of a run by word, icon and colour; a dash for none."""
    if not status:
        return SafeString("–")
    known = RunStatus(status)
    return badge_html(known.label, known.colour, known.icon)
