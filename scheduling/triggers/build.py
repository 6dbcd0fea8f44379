"""From all that a schedule says about its due times to one trigger, to words, and to messages at the fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from scheduling.triggers.base import FARTHEST, ScheduleTrigger
from scheduling.triggers.blackout import BlackoutTrigger
from scheduling.triggers.combined import AllOfTrigger, AnyOfTrigger
from scheduling.triggers.fields import Errors, PlainFields, TriggerKind, out_of_years, read_date, read_time
from scheduling.triggers.words import all_of_words, any_of_words, blackout_words
from scheduling.zones import zone_names

MOST_PARTS = 10
"""So many triggers make up a combination at most."""

MOST_BLACKOUT_TIMES = 24
"""So many pairs of times of day a schedule may have."""

MOST_BLACKOUT_DATES = 1_000
"""So many dates on which nothing is due a schedule may have."""


@dataclass(frozen=True, kw_only=True)
class TriggerFields:
    """What a schedule says about its due times, as stored: the JSON fields may hold anything."""

    plain: PlainFields
    parts: Any
    blackout_times: Any
    blackout_dates: Any
    zone: str
    start: datetime | None
    end: datetime | None
    anchor: datetime
    """From when on intervals count."""

    @property
    def kind(self) -> str:
        """Return the kind of trigger."""
        return self.plain.kind

    @property
    def combines(self) -> bool:
        """Tell whether the trigger is made of parts."""
        return self.kind in (TriggerKind.ANY_OF, TriggerKind.ALL_OF)

    def trigger(self) -> ScheduleTrigger | None:
        """Return the trigger, None for a manual one.

        Raises `ValueError`, `cronsim.CronSimError` or `zoneinfo.ZoneInfoNotFoundError` for fields that were written
        past the form and make no sense.
        """
        ZoneInfo(self.zone)
        if self.kind == TriggerKind.MANUAL:
            return None
        try:
            daily, dates = self._daily(), self._dates()
            if daily or dates:
                free = self._without_blackouts()
                return BlackoutTrigger(free, self.zone, daily=daily, dates=dates, start=self.start, end=self.end)
            return self._without_blackouts(start=self.start, end=self.end)
        except ValidationError as error:
            raise ValueError(" ".join(error.messages)) from error

    def _without_blackouts(self, **window: datetime | None) -> ScheduleTrigger:
        if not self.combines:
            return self.plain.trigger(self.zone, self.anchor, **window)
        triggers = [part.trigger(self.zone, self.anchor) for part in self._parts()]
        return (AnyOfTrigger if self.kind == TriggerKind.ANY_OF else AllOfTrigger)(triggers, **window)

    def words(self) -> str:
        """Return the due times in words, e.g. "Every hour, never between 01:00 and 04:00, Europe/Berlin"."""
        try:
            if self.kind == TriggerKind.MANUAL:
                return gettext("Only by hand")
            parts = self._parts() if self.combines else [self.plain]
            words = [part.words(self.zone) for part in parts]
            if self.combines:
                words = [(any_of_words if self.kind == TriggerKind.ANY_OF else all_of_words)(words)]
            blackouts = blackout_words(self._daily(), self._dates())
            words.append(blackouts)
            if blackouts or any(part.uses_zone for part in parts):
                words.append(self.zone)
            words += self._window_words()
        except (ValueError, LookupError, ValidationError):
            return gettext("Not understood")
        return ", ".join(filter(None, words))

    def _window_words(self) -> list[str]:
        zone = ZoneInfo(self.zone)
        return [
            phrase % {"moment": date_format(timezone.localtime(moment, zone), gettext("j F Y H:i"))}
            for phrase, moment in ((gettext("from %(moment)s"), self.start), (gettext("until %(moment)s"), self.end))
            if moment
        ]

    def errors(self) -> Errors:
        """Return what is missing or cannot be, by field; an unknown kind or zone is the field's own matter."""
        if self.kind not in TriggerKind.values:
            return {}
        errors = self.plain.errors()
        for name, read in (
            ("parts", self._parts),
            ("blackout_times", self._daily),
            ("blackout_dates", self._dates),
        ):
            if (name == "parts" and not self.combines) or self.kind == TriggerKind.MANUAL:
                continue
            try:
                read()
            except ValidationError as error:
                errors[name] = error.error_list
        for name, moment in (("start_at", self.start), ("end_at", self.end)):
            if problem := out_of_years(moment):
                errors[name] = [ValidationError(problem, code="year")]
        if self.start and self.end and self.end <= self.start:
            errors["end_at"] = [ValidationError(gettext("The end must be after the start."), code="end")]
        return errors

    def never_fires(self, now: datetime) -> Errors:
        """Return at which field it lies that there is no due time after `now`; nothing if there is one.

        To be asked of fields without errors. A search looks five years ahead at combinations and blackouts.
        """
        if self.kind not in TriggerKind.values or self.zone not in zone_names():
            return {}
        trigger = self.trigger()
        if trigger is None or trigger.next_after(now) is not None:
            return {}
        past = gettext("This time is in the past; the schedule would never fire.")
        years = {"years": FARTHEST.days // 366}
        if self.end and self.end <= now:
            field, message = "end_at", past
        elif self._without_blackouts().next_after(now) is None:
            field, message = {
                TriggerKind.DATE: ("run_at", past),
                TriggerKind.CALENDAR: ("calendar_first_day", gettext("There is no due time after this day.")),
                TriggerKind.ANY_OF: ("parts", gettext("None of these is ever due again.")),
                TriggerKind.ALL_OF: (
                    "parts",
                    gettext("These are never due at the same time in the next %(years)d years.") % years,
                ),
            }.get(TriggerKind(self.kind), ("crontab", gettext("This expression never fires.")))
        elif self._without_blackouts(start=self.start, end=self.end).next_after(now) is None:
            field, message = "start_at", gettext("There is no due time after this start.")
            if self.end:
                field, message = "end_at", gettext("There is no due time before this end.")
        else:
            field, message = (
                self._blackout(now),
                gettext("This leaves no due time in the next %(years)d years.") % years,
            )
        return {field: [ValidationError(message, code="never")]}

    def _blackout(self, now: datetime) -> str:
        """Return the name of the blackout that leaves nothing after `now`: the times of day alone, or the dates."""
        free = self._without_blackouts()
        alone = BlackoutTrigger(free, self.zone, daily=self._daily(), start=self.start, end=self.end)
        return "blackout_times" if alone.next_after(now) is None else "blackout_dates"

    def _parts(self) -> list[PlainFields]:
        """Return the parts of a combination. Raises a `ValidationError` that names each wrong one by its number."""
        if not isinstance(self.parts, list) or not self.parts:
            raise ValidationError(gettext("Give the triggers that are combined."), code="required")
        _at_most(self.parts, MOST_PARTS)
        found, errors = [], []
        for number, part in enumerate(self.parts, start=1):
            try:
                found.append(PlainFields.from_json(part, self.zone))
            except ValidationError as error:
                errors += _numbered(gettext("Trigger %(number)d: %(message)s"), number, error.messages)
        if errors:
            raise ValidationError(errors)
        return found

    def _daily(self) -> list[tuple[time, time]]:
        """Return the times of day of blackouts. Raises a `ValidationError` that names each wrong one by its number."""
        pairs = self.blackout_times or []
        if not isinstance(pairs, list):
            raise ValidationError(gettext("Give a list of pairs of times, from and to."))
        _at_most(pairs, MOST_BLACKOUT_TIMES)
        found, errors = [], []
        for number, pair in enumerate(pairs, start=1):
            try:
                if not isinstance(pair, list | tuple) or len(pair) != 2:
                    raise ValueError(gettext("give a pair of times, from and to."))
                begin, end = read_time(pair[0]), read_time(pair[1])
                if begin == end:
                    raise ValueError(gettext("it must end at another time than it begins."))
                found.append((begin, end))
            except ValueError as error:
                errors += _numbered(gettext("Blackout %(number)d: %(message)s"), number, [str(error)])
        if errors:
            raise ValidationError(errors)
        return found

    def _dates(self) -> list[date]:
        """Return the dates of blackouts. Raises a `ValidationError` that names each wrong one."""
        values = self.blackout_dates or []
        if not isinstance(values, list):
            raise ValidationError(gettext("Give a list of dates."))
        _at_most(values, MOST_BLACKOUT_DATES)
        found, errors = [], []
        for number, value in enumerate(values, start=1):
            try:
                found.append(read_date(value))
            except ValueError as error:
                errors += _numbered(gettext("Date %(number)d: %(message)s"), number, [f"“{value}”: {error}"])
        if errors:
            raise ValidationError(errors)
        return found


def _at_most(values: list[Any], most: int) -> None:
    if len(values) > most:
        raise ValidationError(gettext("At most %(most)d of them.") % {"most": most}, code="many")


def _numbered(phrase: str, number: int, messages: list[str]) -> list[ValidationError]:
    return [ValidationError(phrase, code="item", params={"number": number, "message": message}) for message in messages]
