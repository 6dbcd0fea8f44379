"""Calendar intervals, combinations and blackouts in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time

from django.utils.dates import WEEKDAYS
from django.utils.formats import date_format
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.triggers.calendar import CalendarUnit


def calendar_words(count: int, unit: CalendarUnit | str, at: time, first_day: date) -> str:
    """Return a calendar interval without its zone, e.g. "Every 2 weeks on Monday at 06:30, from 4 May 2026"."""
    phrases = {
        CalendarUnit.DAYS: ngettext("Every day", "Every %(count)d days", count),
        CalendarUnit.WEEKS: ngettext("Every week on %(day)s", "Every %(count)d weeks on %(day)s", count),
        CalendarUnit.MONTHS: ngettext("Every month on %(day)s", "Every %(count)d months on %(day)s", count),
        CalendarUnit.YEARS: ngettext("Every year on %(day)s", "Every %(count)d years on %(day)s", count),
    }
    unit = CalendarUnit(unit)
    words = _("%(every)s at %(time)s") % {
        "every": phrases[unit] % {"count": count, "day": _day(unit, first_day)},
        "time": _clock(at),
    }
    if count == 1:
        return words
    return _("%(words)s, from %(date)s") % {"words": words, "date": date_format(first_day, _("j F Y"))}


def _day(unit: CalendarUnit, day: date) -> str:
    match unit:
        case CalendarUnit.WEEKS:
            return str(WEEKDAYS[day.weekday()])
        case CalendarUnit.MONTHS if day.day > 28:
            return _("day %(day)d (the last day of shorter months)") % {"day": day.day}
        case CalendarUnit.MONTHS:
            return _("day %(day)d") % {"day": day.day}
        case CalendarUnit.YEARS if (day.month, day.day) == (2, 29):
            return _("29 February (28 February in other years)")
        case CalendarUnit.YEARS:
            return date_format(day, _("j F"))
    return ""


def any_of_words(parts: Iterable[str]) -> str:
    """Return a combination of triggers, each in words, of which one suffices."""
    return _("Whenever one of these is due: %(parts)s") % {"parts": "; ".join(parts)}


def all_of_words(parts: Iterable[str]) -> str:
    """Return a combination of triggers, each in words, that must all be due at the same time."""
    return _("Whenever these are due at the same time: %(parts)s") % {"parts": "; ".join(parts)}


def blackout_words(daily: Iterable[tuple[time, time]] = (), dates: Iterable[date] = ()) -> str:
    """Return blackouts as what follows a trigger's words, e.g. "never between 01:00 and 04:00"; nothing for none."""
    parts = [
        _("between %(begin)s and %(end)s") % {"begin": _clock(begin), "end": _clock(end)}
        for begin, end in sorted(daily)
    ]
    if days := [date_format(day, _("j F Y")) for day in sorted(dates)]:
        parts.append(_("on %(dates)s") % {"dates": get_text_list(days, _("or"))})
    return _("never %(times)s") % {"times": get_text_list(parts, _("or"))} if parts else ""


def _clock(at: time) -> str:
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"
