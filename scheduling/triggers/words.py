"""Triggers in words, for lists and forms."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scheduling.triggers.crontab import expand

UNITS: list[tuple[int, str]] = [(604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")]


def crontab_words(expression: str) -> str:
    """Return a crontab expression in words, without its zone; the expression itself where there are none."""
    text = expand(expression)
    parts = text.split()
    day, weekday = parts[-3], parts[-1]
    try:
        if day.startswith("*") or weekday.startswith("*"):
            return _explain(text)
        # cronsim joins the two with "and"; Debian's cron fires on either, see crontab(5).
        by_day = _explain(" ".join([*parts[:-1], "*"])).split()
        by_weekday = _explain(" ".join([*parts[:-3], "*", parts[-2], weekday])).split()
    except CronSimError:
        return text
    common = sum(1 for _pair in takewhile(lambda pair: pair[0] == pair[1], zip(by_day, by_weekday, strict=False)))
    start = common - 1 if common and by_day[common - 1] == "on" else common
    return _("%(by_day)s, or %(by_weekday)s") % {
        "by_day": " ".join(by_day),
        "by_weekday": " ".join(by_weekday[start:]),
    }


def _explain(expression: str) -> str:
    return CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)).explain()


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


def date_words(run_at: datetime, zone: str) -> str:
    """Return a one-off date in its zone, e.g. "Once, on 24 December 2026 at 06:30"."""
    local = timezone.localtime(run_at, ZoneInfo(zone))
    return _("Once, on %(date)s at %(time)s") % {"date": date_format(local, "j F Y"), "time": date_format(local, "H:i")}
