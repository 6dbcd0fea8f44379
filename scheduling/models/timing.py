"""When a schedule is due: the fields that say so, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.timezone import now
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.run import Run
from scheduling.models.state import ScheduleState
from scheduling.triggers import CalendarUnit, PlainFields, ScheduleTrigger, TriggerFields, TriggerKind
from scheduling.triggers.fields import PLAIN_NAMES
from scheduling.triggers.jitter import delay
from scheduling.triggers.outlook import clock_warnings, duration_words, shortest_distance
from scheduling.zones import zone_names


def default_zone() -> str:
    """Return the time zone that new schedules begin with."""
    return str(settings.TIME_ZONE)


def validate_zone(name: str) -> None:
    """Raise a `ValidationError` for a name that the zone database does not have."""
    if name not in zone_names():
        raise ValidationError(
            gettext("There is no time zone “%(name)s”; write it like Europe/Berlin."),
            code="zone",
            params={"name": name},
        )


class Timed(models.Model):
    """What a schedule knows of its due times."""

    trigger_kind = models.CharField(
        _("trigger"), max_length=10, choices=TriggerKind.choices, default=TriggerKind.INTERVAL
    )
    crontab = models.CharField(
        _("crontab expression"),
        max_length=200,
        blank=True,
        help_text=_("Minute, hour, day of the month, month, day of the week, as in cron; or @hourly, @daily …"),
    )
    interval_seconds = models.PositiveIntegerField(_("interval in seconds"), null=True, blank=True)
    run_at = models.DateTimeField(_("date and time"), null=True, blank=True)
    calendar_count = models.PositiveSmallIntegerField(_("every so many"), null=True, blank=True)
    calendar_unit = models.CharField(_("unit"), max_length=6, choices=CalendarUnit.choices, blank=True)
    calendar_at = models.TimeField(_("time of day"), null=True, blank=True)
    calendar_first_day = models.DateField(_("first day"), null=True, blank=True)
    parts = models.JSONField(
        _("triggers combined"),
        default=list,
        blank=True,
        help_text=_("Each an object with `kind` and that kind's fields, for a combination."),
    )
    blackout_times = models.JSONField(
        _("never between"), default=list, blank=True, help_text=_("Pairs of local times of day, from and to.")
    )
    blackout_dates = models.JSONField(_("never on"), default=list, blank=True, help_text=_("Local dates."))
    timezone = models.CharField(_("time zone"), max_length=64, default=default_zone, validators=[validate_zone])
    start_at = models.DateTimeField(_("start"), null=True, blank=True, help_text=_("No due time before this."))
    end_at = models.DateTimeField(_("end"), null=True, blank=True, help_text=_("No due time after this."))
    jitter_seconds = models.PositiveIntegerField(
        _("jitter in seconds"),
        default=0,
        help_text=_("Each run is delayed by up to this much; the delay follows from schedule and due time."),
    )
    max_runs = models.PositiveIntegerField(
        _("end after so many runs"), null=True, blank=True, help_text=_("Empty: never. Runs by hand do not count.")
    )

    created_at = models.DateTimeField(_("created"), default=now, editable=False)

    class Meta:
        abstract = True

    if TYPE_CHECKING:
        pk: Any

    def trigger_fields(self) -> TriggerFields:
        """Return what this row says about its due times."""
        return TriggerFields(
            plain=PlainFields(kind=self.trigger_kind, **{name: getattr(self, name) for name in PLAIN_NAMES}),
            parts=self.parts,
            blackout_times=self.blackout_times,
            blackout_dates=self.blackout_dates,
            zone=self.timezone,
            start=self.start_at,
            end=self.end_at,
            anchor=(self.start_at or self.created_at).replace(microsecond=0),
        )

    def trigger(self) -> ScheduleTrigger | None:
        """Return the trigger that this row describes, None for a manual one.

        Raises `ValueError`, `cronsim.CronSimError` or `zoneinfo.ZoneInfoNotFoundError` for a row that was written
        past the form and makes no sense.
        """
        return self.trigger_fields().trigger()

    def trigger_key(self) -> tuple[Any, ...] | None:
        """Return a value that only rows with the same trigger share; None where it takes a closer look to tell."""
        values = self.__dict__
        if values["parts"] or values["blackout_times"] or values["blackout_dates"]:
            return None
        # Only intervals are counted from the creation, and only where no start is given.
        is_counted = values["trigger_kind"] == TriggerKind.INTERVAL and values["start_at"] is None
        created = values["created_at"] if is_counted else None
        return (created, *_KEY(values))

    def words(self) -> str:
        """Return the trigger in words, e.g. "At 06:30 on Monday through Friday, Europe/Berlin"."""
        words = self.trigger_fields().words()
        if self.max_runs and self.trigger_kind != TriggerKind.MANUAL:
            ends = ngettext("ends after %(count)d run", "ends after %(count)d runs", self.max_runs)
            return f"{words}, {ends % {'count': self.max_runs}}"
        return words

    def warnings(self, at: datetime | None = None) -> list[str]:
        """Return what a person should know of the due times after `at` (now by default), each in a sentence.

        For a schedule saved or not, also one whose job is still to be chosen. Raises what `trigger()` raises.
        """
        at = at or now()
        trigger = self.trigger()
        if trigger is None:
            return []
        if self.remaining_runs() == 0:
            return [gettext("It has had all of its runs and is never due again.")]
        if trigger.next_after(at) is None:
            return [gettext("It is never due again.")]
        warnings = []
        distance = shortest_distance(trigger, at)
        if distance and distance <= timedelta(seconds=1):
            warnings.append(gettext("It is due every second."))
        runs = Run.objects.executed().filter(schedule=self.pk).order_by("-queued_at", "-id")
        last = runs.first() if self.pk else None
        if distance and last and last.duration and last.duration > distance:
            warnings.append(
                gettext("The last run took %(duration)s, and it is due again after %(distance)s.")
                % {"duration": duration_words(last.duration), "distance": duration_words(distance)}
            )
        return warnings + clock_warnings(trigger, self.timezone, at)

    def remaining_runs(self) -> int | None:
        """Return how often a due time may still start a run, None for ever; what was run by hand does not count."""
        if self.max_runs is None:
            return None
        state = ScheduleState.objects.filter(schedule=self.pk).first() if self.pk else None
        return max(0, self.max_runs - state.fired) if state else self.max_runs

    def next_fires(self, count: int, after: datetime | None = None) -> list[datetime]:
        """Return up to `count` due times (UTC, jitter aside) after `after` (now by default), enabled or not.

        No more than runs remain until the end after `max_runs`.
        """
        remaining = self.remaining_runs()
        count = count if remaining is None else min(count, remaining)
        return [due for due, _index in zip(self._fires_after(after or now()), range(count), strict=False)]

    def _fires_after(self, moment: datetime) -> Iterator[datetime]:
        trigger = self.trigger()
        due = trigger.next_after(moment) if trigger else None
        while trigger and due is not None:
            yield due
            due = trigger.next_after(due)

    def delay(self, due: datetime) -> timedelta:
        """Return the jitter of one due time."""
        return delay(self.pk, due, self.jitter_seconds)


_KEY = itemgetter("trigger_kind", "timezone", "start_at", "end_at", *PLAIN_NAMES)
