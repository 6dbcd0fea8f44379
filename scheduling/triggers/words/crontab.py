"""A crontab expression in words, from what it means and not from how it is written: `*/25` is said as minutes 0, 25
and 50, and two expressions that fire at the same times read the same.

(cronsim's own words say "every 25th minute", "the 21th day", and "and" where cron fires on either day.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from cronsim import CronSimError
from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from scheduling.triggers.pattern import LAST, LAST_WORKING_DAY, Pattern, expand, parse
from scheduling.triggers.words.interval import interval_words

MOST_TIMES = 4
"""So many times of day are listed, whatever pattern they follow."""

LONG = 6
"""So many values at equal distances are shortened to the first three and the last."""


def crontab_words(expression: str) -> str:
    """Return in words when an expression fires, without its zone, e.g. "At 06:30 on Monday through Friday".

    Raises `ValueError` for an expression that makes no sense.
    """
    try:
        pattern = parse(expand(expression))
    except CronSimError as error:
        raise ValueError(str(error)) from error
    time, lists_times = _time(pattern)
    parts = [time]
    days = _day_words(pattern)
    if days:
        parts.append(days)
    elif lists_times:
        parts.append(_("every day"))
    if not days and len(pattern.months) < 12:
        parts.append(_in_months(pattern))
    return " ".join(parts)


def _time(pattern: Pattern) -> tuple[str, bool]:
    """Return the times of day in words, and whether they are a plain list of times."""
    seconds, minutes, hours = pattern.seconds, pattern.minutes, pattern.hours
    distance = _distance(hours)
    if len(seconds) * len(minutes) * len(hours) <= MOST_TIMES:
        return _at_times(pattern), True
    if len(seconds) == len(minutes) == 1 and len(hours) < 24:
        if distance is None:
            return _at_times(pattern), True
        if minutes == seconds == hours[:1] == (0,) and 24 % distance == 0 and len(hours) == 24 // distance:
            return interval_words(distance * 3600), False
        return _through(pattern, interval_words(distance * 3600)), False
    if (len(hours) == 1 or distance == 1) and (words := _in_hours_in_a_row(pattern)):
        return words, False
    if seconds == (0,):
        return _("%(minutes)s of %(hours)s") % {"minutes": _minutes(minutes), "hours": _hours(hours)}, False
    return _("%(seconds)s of %(minutes)s of %(hours)s") % {
        "seconds": _seconds(seconds),
        "minutes": _("every minute")
        if len(minutes) == 60
        else ngettext("minute %(minutes)s", "minutes %(minutes)s", len(minutes)) % {"minutes": _listed(minutes)},
        "hours": _hours(hours),
    }, False


def _in_hours_in_a_row(pattern: Pattern) -> str:
    """Return the times in words where they go on evenly through hours in a row, else nothing."""
    seconds, minutes, hours = pattern.seconds, pattern.minutes, pattern.hours
    if seconds == (0,):
        if len(hours) == 24:
            return _of_every_hour(minutes)
        if step := _cycle(minutes):
            return _through(pattern, interval_words(step * 60))
        if len(hours) == 1 and _distance(minutes) == 1:
            return _through(pattern, interval_words(60))
    elif len(minutes) == 60:
        if len(hours) == 24:
            return _of_every_minute(seconds)
        if step := _cycle(seconds):
            return _through(pattern, interval_words(step))
    return ""


def _at_times(pattern: Pattern) -> str:
    times = [
        _clock(pattern, hour, minute, second)
        for hour in pattern.hours
        for minute in pattern.minutes
        for second in pattern.seconds
    ]
    return _("At %(times)s") % {"times": get_text_list(times, _("and"))}


def _clock(pattern: Pattern, hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" if pattern.seconds == (0,) else f"{hour:02}:{minute:02}:{second:02}"


def _through(pattern: Pattern, every: str) -> str:
    return _("%(every)s from %(first)s through %(last)s") % {
        "every": every,
        "first": _clock(pattern, pattern.hours[0], pattern.minutes[0], pattern.seconds[0]),
        "last": _clock(pattern, pattern.hours[-1], pattern.minutes[-1], pattern.seconds[-1]),
    }


def _of_every_hour(minutes: Sequence[int]) -> str:
    if minutes == (0,):
        return _("At the start of every hour")
    if step := _cycle(minutes):
        return interval_words(step * 60)
    return _("%(minutes)s of %(hours)s") % {"minutes": _minutes(minutes), "hours": _("every hour")}


def _of_every_minute(seconds: Sequence[int]) -> str:
    if step := _cycle(seconds):
        return interval_words(step)
    return _("%(seconds)s of %(minutes)s") % {"seconds": _seconds(seconds), "minutes": _("every minute")}


def _minutes(values: Sequence[int]) -> str:
    if step := _cycle(values):
        return interval_words(step * 60)
    if len(values) > 2 and _distance(values) == 1:
        return _("Every minute from minute %(first)d through %(last)d") % {"first": values[0], "last": values[-1]}
    return ngettext("At minute %(minutes)s", "At minutes %(minutes)s", len(values)) % {"minutes": _listed(values)}


def _seconds(values: Sequence[int]) -> str:
    if step := _cycle(values):
        return interval_words(step)
    if len(values) > 2 and _distance(values) == 1:
        return _("Every second from second %(first)d through %(last)d") % {"first": values[0], "last": values[-1]}
    return ngettext("At second %(seconds)s", "At seconds %(seconds)s", len(values)) % {"seconds": _listed(values)}


def _hours(values: Sequence[int]) -> str:
    if len(values) == 24:
        return _("every hour")
    return ngettext("hour %(hours)s", "hours %(hours)s", len(values)) % {"hours": _listed(values)}


def _day_words(pattern: Pattern) -> str:
    """Return the days with their months in words, nothing where every day of the months is meant."""
    by_day = "" if set(range(1, 32)) <= pattern.days else _days(pattern)
    by_weekday = "" if _named_weekdays(pattern) == list(range(1, 8)) else _weekdays(pattern)
    if pattern.both_days:
        if by_day and by_weekday:
            return _("%(by_day)s, but only %(by_weekday)s") % {"by_day": by_day, "by_weekday": by_weekday}
    elif not (by_day and by_weekday):
        return ""
    if by_weekday and len(pattern.months) < 12:
        by_weekday = _("%(by_weekday)s %(in_months)s") % {"by_weekday": by_weekday, "in_months": _in_months(pattern)}
    if by_day and by_weekday:
        return _("%(by_day)s, or %(by_weekday)s") % {"by_day": by_day, "by_weekday": by_weekday}
    return by_day or by_weekday


def _days(pattern: Pattern) -> str:
    numbers = sorted(day for day in pattern.days if day > 0)
    if len(numbers) == len(pattern.days) == len(pattern.months) == 1:
        return _("on %(day)d %(month)s") % {"day": numbers[0], "month": _listed(pattern.months, _month)}
    parts = []
    if numbers:
        parts.append(ngettext("day %(days)s", "days %(days)s", len(numbers)) % {"days": _listed(numbers, _day)})
    if LAST in pattern.days:
        parts.append(_("the last day"))
    if LAST_WORKING_DAY in pattern.days:
        parts.append(_("the last working day (Monday to Friday)"))
    days = get_text_list(parts, _("and"))
    if len(pattern.months) < 12:
        return _("on %(days)s of %(months)s") % {"days": days, "months": _listed(pattern.months, _month)}
    if numbers and min(pattern.days) > 28:
        return _("on %(days)s of every month that has one") % {"days": days}
    return _("on %(days)s of every month") % {"days": days}


def _named_weekdays(pattern: Pattern) -> list[int]:
    """Return the weekdays that are meant every week, from 1 (Monday) to 7."""
    return sorted({day or 7 for day in pattern.weekdays if isinstance(day, int)})


def _weekdays(pattern: Pattern) -> str:
    weekly = _named_weekdays(pattern)
    if len(weekly) == len(pattern.weekdays) >= 3 and _distance(weekly) == 1:
        # Other languages say this one differently from a list.
        return _("on %(first)s through %(last)s") % {"first": _weekday(weekly[0]), "last": _weekday(weekly[-1])}
    parts = [_listed(weekly, _weekday)] if weekly else []
    # The last one of a month comes after the others.
    once = sorted(
        {
            (which if which > 0 else 6, day or 7)
            for day, which in (pair for pair in pattern.weekdays if isinstance(pair, tuple))
        }
    )
    which = {
        1: pgettext("weekday of a month", "first"),
        2: pgettext("weekday of a month", "second"),
        3: pgettext("weekday of a month", "third"),
        4: pgettext("weekday of a month", "fourth"),
        5: pgettext("weekday of a month", "fifth"),
        6: pgettext("weekday of a month", "last"),
    }
    parts += [
        _("the %(which)s %(weekday)s of the month") % {"which": which[n], "weekday": _weekday(day)} for n, day in once
    ]
    return _("on %(weekdays)s") % {"weekdays": get_text_list(parts, _("and"))}


def _in_months(pattern: Pattern) -> str:
    return _("in %(months)s") % {"months": _listed(pattern.months, _month)}


def _day(number: int) -> str:
    return pgettext("day of a month", "%(number)d") % {"number": number}


def _weekday(number: int) -> str:
    return str(WEEKDAYS[number - 1])


def _month(number: int) -> str:
    return str(MONTHS[number])


def _listed(values: Sequence[int], label: Callable[[int], str] = str) -> str:
    """Return values as a list in words; three or more in a row as "1 through 5", many at equal distances shortened."""
    distance = _distance(values)
    if len(values) >= LONG and distance is not None and distance > 1:
        return f"{', '.join(label(value) for value in values[:3])} … {label(values[-1])}"
    parts: list[str] = []
    rest = list(values)
    while rest:
        length = next((n for n in range(1, len(rest)) if rest[n] != rest[0] + n), len(rest))
        if length >= 3:
            parts.append(_("%(first)s through %(last)s") % {"first": label(rest[0]), "last": label(rest[length - 1])})
        else:
            parts += [label(value) for value in rest[:length]]
        rest = rest[length:]
    return get_text_list(parts, _("and"))


def _distance(values: Sequence[int]) -> int | None:
    """Return the distance from each value to the next if it is always the same, else None."""
    distances = {after - before for before, after in pairwise(values)}
    return distances.pop() if len(distances) == 1 else None


def _cycle(values: Sequence[int]) -> int:
    """Return the step if values go round the 60 of a minute or an hour evenly, beginning with 0; else 0."""
    distance = _distance(values)
    return distance if distance and values[0] == 0 and distance * len(values) == 60 else 0
