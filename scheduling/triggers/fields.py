"""The fields of one plain trigger (crontab, interval, one-off date or calendar interval): checked, as a trigger, in
words. A schedule of such a kind has them as columns, each part of a combination as JSON of the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.dateparse import parse_date, parse_datetime, parse_time
from django.utils.text import get_text_list
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from scheduling.triggers.base import ScheduleTrigger
from scheduling.triggers.calendar import CalendarIntervalTrigger, CalendarUnit
from scheduling.triggers.crontab import CrontabTrigger, validate_crontab
from scheduling.triggers.date import OneOffTrigger
from scheduling.triggers.interval import FixedIntervalTrigger
from scheduling.triggers.words import calendar_words, crontab_words, date_words, interval_words

T = TypeVar("T")

Errors = dict[str, list[ValidationError]]
"""Messages by the name of the field that caused them."""


class TriggerKind(models.TextChoices):
    """How the due times of a schedule are given."""

    CRONTAB = "crontab", _("crontab")
    INTERVAL = "interval", _("interval")
    DATE = "date", _("one-off date")
    CALENDAR = "calendar", _("calendar interval")
    ANY_OF = "any_of", _("any of several triggers")
    ALL_OF = "all_of", _("all of several triggers at once")
    MANUAL = "manual", _("manual only")


PLAIN_KINDS = (TriggerKind.CRONTAB, TriggerKind.INTERVAL, TriggerKind.DATE, TriggerKind.CALENDAR)
"""The kinds that a part of a combination may have."""

LONGEST_INTERVAL = 2_147_483_647
"""The most seconds of an interval: what the column of a schedule holds."""

YEARS = range(1970, 9000)
"""The years of moments: beyond them a zone's offset may lead out of every calendar (and out of Python's)."""

LARGEST_COUNT = 32_767
"""The largest number of calendar units: what the column of a schedule holds."""

LABELS = {
    "crontab": pgettext_lazy("field of a trigger", "crontab expression"),
    "interval_seconds": pgettext_lazy("field of a trigger", "interval in seconds"),
    "run_at": pgettext_lazy("field of a trigger", "date and time"),
    "calendar_count": pgettext_lazy("field of a trigger", "every so many"),
    "calendar_unit": pgettext_lazy("field of a trigger", "unit"),
    "calendar_at": pgettext_lazy("field of a trigger", "time of day"),
    "calendar_first_day": pgettext_lazy("field of a trigger", "first day"),
}


@dataclass(frozen=True, kw_only=True)
class PlainFields:
    """What says when one plain trigger is due. Times of day and days are those of the schedule's zone."""

    kind: str
    crontab: str = ""
    interval_seconds: int | None = None
    run_at: datetime | None = None
    calendar_count: int | None = None
    calendar_unit: str = ""
    calendar_at: time | None = None
    calendar_first_day: date | None = None

    @classmethod
    def from_json(cls, part: Any, zone: str) -> PlainFields:
        """Return the fields of one part of a combination; a `run_at` without offset is a time of `zone`.

        Raises a `ValidationError` that says all that is wrong with it.
        """
        if not isinstance(part, dict) or part.get("kind") not in PLAIN_KINDS:
            kinds = get_text_list(list(PLAIN_KINDS), gettext("or"))
            raise ValidationError(gettext("Give an object whose “kind” is %(kinds)s.") % {"kinds": kinds})
        values, problems = {"kind": part["kind"]}, []
        for name, value in part.items():
            if name == "kind" or value in (None, ""):
                continue
            if name not in READERS:
                problems.append(gettext("There is no field “%(name)s”.") % {"name": name})
                continue
            try:
                values[name] = READERS[name](value)
            except (ValueError, TypeError) as error:
                problems.append(
                    gettext("The %(field)s cannot be “%(value)s”: %(error)s")
                    % {"field": LABELS[name], "value": value, "error": error}
                )
        if problems:
            raise ValidationError(problems)
        plain = cls(**values)
        if errors := plain.errors():
            raise ValidationError([error for found in errors.values() for error in found])
        if plain.run_at and plain.run_at.tzinfo is None:
            return cls(kind=plain.kind, run_at=plain.run_at.replace(tzinfo=ZoneInfo(zone)))
        return plain

    def errors(self) -> Errors:
        """Return what is missing or cannot be, by field."""
        required = {
            TriggerKind.CRONTAB: {"crontab": gettext("Give a crontab expression, e.g. 30 6 * * 1-5.")},
            TriggerKind.INTERVAL: {"interval_seconds": gettext("Give the interval.")},
            TriggerKind.DATE: {"run_at": gettext("Give the date and time.")},
            TriggerKind.CALENDAR: {
                "calendar_count": gettext("Give every how many days, weeks, months or years: 1 or more."),
                "calendar_unit": gettext("Give days, weeks, months or years."),
                "calendar_at": gettext("Give the time of day."),
                "calendar_first_day": gettext("Give the first day, from which on is counted."),
            },
        }
        needed = required.get(TriggerKind(self.kind), {})
        errors: Errors = {
            name: [ValidationError(message, code="incomplete")]
            for name, message in needed.items()
            if getattr(self, name) in (None, "", 0)
        }
        if self.kind == TriggerKind.CRONTAB and not errors:
            try:
                validate_crontab(self.crontab)
            except ValidationError as error:
                errors["crontab"] = [error]
        if self.kind == TriggerKind.CALENDAR and self.calendar_unit not in CalendarUnit.values:
            errors["calendar_unit"] = [ValidationError(needed["calendar_unit"], code="incomplete")]
        # SQLite would store it, and no calendar holds its due times.
        if self.kind == TriggerKind.INTERVAL and (self.interval_seconds or 0) > LONGEST_INTERVAL:
            message = gettext("The interval can be at most %(largest)d seconds.") % {"largest": LONGEST_INTERVAL}
            errors["interval_seconds"] = [ValidationError(message, code="max_value")]
        if self.kind == TriggerKind.DATE and (problem := out_of_years(self.run_at)):
            errors["run_at"] = [ValidationError(problem, code="year")]
        return errors

    def trigger(self, zone: str, anchor: datetime, **window: datetime | None) -> ScheduleTrigger:
        """Return the trigger; an interval counts from `anchor`. Raises `ValueError` or `CronSimError` for nonsense."""
        match self:
            case PlainFields(kind=TriggerKind.CRONTAB, crontab=crontab):
                return CrontabTrigger(crontab, zone, **window)
            case PlainFields(kind=TriggerKind.INTERVAL, interval_seconds=int(seconds)):
                return FixedIntervalTrigger(seconds, anchor, **window)
            case PlainFields(kind=TriggerKind.DATE, run_at=datetime() as run_at):
                return OneOffTrigger(run_at, **window)
            case PlainFields(
                kind=TriggerKind.CALENDAR,
                calendar_count=int(count),
                calendar_unit=unit,
                calendar_at=time() as at,
                calendar_first_day=date() as day,
            ):
                return CalendarIntervalTrigger(count, unit, at.replace(microsecond=0), zone, day, **window)
        raise ValueError(gettext("The trigger is not complete."))

    def words(self, zone: str) -> str:
        """Return the trigger in words, without its zone. Raises `ValueError` for nonsense."""
        match self:
            case PlainFields(kind=TriggerKind.CRONTAB, crontab=crontab):
                return crontab_words(crontab)
            case PlainFields(kind=TriggerKind.INTERVAL, interval_seconds=int(seconds)) if seconds:
                return interval_words(seconds)
            case PlainFields(kind=TriggerKind.DATE, run_at=datetime() as run_at):
                return date_words(run_at, zone)
            case PlainFields(
                kind=TriggerKind.CALENDAR,
                calendar_count=int(count),
                calendar_unit=str(unit),
                calendar_at=time() as at,
                calendar_first_day=date() as day,
            ) if count and unit:
                return calendar_words(count, unit, at, day)
        return gettext("Not complete")

    @property
    def uses_zone(self) -> bool:
        """Tell whether the due times depend on the zone."""
        return self.kind != TriggerKind.INTERVAL


PLAIN_NAMES = tuple(field.name for field in fields(PlainFields) if field.name != "kind")
"""The names of the fields, as of a schedule's columns."""


def out_of_years(moment: datetime | None) -> str:
    """Return in words that a moment lies outside `YEARS`; empty for one within, and for none."""
    if moment is None or moment.year in YEARS:
        return ""
    return gettext("Give a year from %(first)d to %(last)d.") % {"first": YEARS[0], "last": YEARS[-1]}


def read_time(value: Any) -> time:
    """Return a time of day from text like 06:30. Raises `ValueError` for anything else."""
    return _parsed(parse_time, value, gettext("write a time of day like 06:30 (midnight is 00:00)."))


def read_date(value: Any) -> date:
    """Return a date from text like 2026-12-24. Raises `ValueError` for anything else."""
    return _parsed(parse_date, value, gettext("write a date like 2026-12-24."))


def _read_moment(value: Any) -> datetime:
    """Return a moment, rounded up to a whole second, so that parts can be due at the same time."""
    moment = _parsed(parse_datetime, value, gettext("write a date and time like 2026-12-24 06:30."))
    if problem := out_of_years(moment):
        raise ValueError(problem)
    return moment.replace(microsecond=0) + timedelta(seconds=1 if moment.microsecond else 0)


def _parsed(parse: Callable[[str], T | None], value: Any, remedy: str) -> T:
    try:
        parsed = parse(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise ValueError(remedy)
    return parsed


def _read_number(largest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 20 else value
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= largest:
            raise ValueError(gettext("give a whole number from 1 to %(largest)d.") % {"largest": largest})
        return number

    return read


def _read_unit(value: Any) -> str:
    if value not in CalendarUnit.values:
        raise ValueError(gettext("use %(units)s.") % {"units": get_text_list(CalendarUnit.values, gettext("or"))})
    return str(value)


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(gettext("give text of at most 200 characters."))
    return value


READERS: dict[str, Callable[[Any], Any]] = {
    "crontab": _read_text,
    "interval_seconds": _read_number(LONGEST_INTERVAL),
    "run_at": _read_moment,
    "calendar_count": _read_number(LARGEST_COUNT),
    "calendar_unit": _read_unit,
    "calendar_at": read_time,
    "calendar_first_day": read_date,
}
"""From a value in JSON to a field's; each raises `ValueError` with what to write instead."""
