"""Schedules: what to run, when and how. The row is the truth; APScheduler's job is derived from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Exists, Min, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils.text import smart_split, unescape_string_literal
from django.utils.timezone import now
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.pausing import Pausable
from scheduling.models.run import Cause, Run
from scheduling.models.state import Pause, ScheduleState
from scheduling.models.tag import Tag
from scheduling.triggers import CalendarUnit, PlainFields, ScheduleTrigger, TriggerFields, TriggerKind
from scheduling.triggers.base import SMALLEST_STEP
from scheduling.triggers.fields import PLAIN_NAMES
from scheduling.triggers.jitter import delay
from scheduling.triggers.outlook import clock_warnings, duration_words, shortest_distance

if TYPE_CHECKING:
    from django.contrib.auth.models import User

JOB_ID_PREFIX = "schedule-"


class ConcurrencyPolicy(models.TextChoices):
    """What becomes of a new run while one of the same schedule is active; the first three as in Kubernetes' CronJob."""

    #: Both run.
    ALLOW = "allow", _("allow: both run")
    #: The new one is skipped.
    FORBID = "forbid", _("forbid: the new one is skipped")
    #: The active one is cancelled; the new one starts when it has ended.
    REPLACE = "replace", _("replace: the active one is cancelled")
    #: The new one waits for those before it.
    QUEUE = "queue", _("queue: the new one waits")


class CatchUp(models.TextChoices):
    """Which of the due times found together are run; the others are one `missed` row."""

    #: The latest, if it lies within misfire_grace_time.
    SKIP = "skip", _("skip: the latest if it is not too late")
    #: The latest, however late.
    ONCE = "once", _("once: the latest, however late")
    #: The last N.
    EACH = "each", _("each: the last ones, at most so many")


class ExecutorAlias(models.TextChoices):
    """Where a run is executed."""

    #: A child process for each run: it can be stopped, and takes nothing with it when it crashes.
    PROCESSES = "processes", _("child process")
    #: A thread of the scheduler, for short and trusted jobs; it can only be asked to stop.
    THREADS = "threads", _("thread in the scheduler")


def default_zone() -> str:
    """Return the time zone that new schedules begin with."""
    return str(settings.TIME_ZONE)


def validate_zone(name: str) -> None:
    """Raise a `ValidationError` for a name that the zone database does not have."""
    if name not in available_timezones():
        raise ValidationError(
            gettext("There is no time zone “%(name)s”; write it like Europe/Berlin."),
            code="zone",
            params={"name": name},
        )


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    """Conditions on schedules."""

    def enabled(self) -> ScheduleQuerySet:
        """Keep the schedules that a person wants to run."""
        return self.filter(enabled=True)

    def paused(self, at: datetime) -> ScheduleQuerySet:
        """Keep the schedules that are paused at a moment."""
        return self.filter(paused_at__isnull=False).exclude(paused_until__lte=at)

    def search(self, text: str) -> ScheduleQuerySet:
        """Keep the schedules with each word of a text in the name, the note, a tag or what the job would do.

        Of what the job would do, the job itself decides: its parameters hold keys, and only it knows their names. So
        the parameters of all of these schedules are read, in one statement.
        """
        from scheduling.jobs import registry

        words = [
            unescape_string_literal(bit) if bit[0] in "\"'" and bit[0] == bit[-1] and len(bit) > 1 else bit
            for bit in smart_split(text)
        ]
        if not words:
            return self
        rows = list(self.order_by().values_list("pk", "job", "parameters"))
        kept = self
        for word in words:
            hits = registry.search(word, [(job, parameters) for _key, job, parameters in rows])
            keys = [row[0] for row, hit in zip(rows, hits, strict=True) if hit]
            tagged = Tag.objects.filter(name__icontains=word, schedules=OuterRef("pk"))
            own = Q(name__icontains=word) | Q(description__icontains=word)
            kept = kept.filter(own | Exists(tagged) | Q(pk__in=keys))
        return kept

    def resume_due(self, at: datetime) -> datetime | None:
        """Resume the schedules whose pause is over at a moment; return when the next pause will be (None: none)."""
        ends = self.filter(paused_until__isnull=False)
        first: datetime | None = ends.aggregate(first=Min("paused_until"))["first"]
        if first is None or first > at:
            return first
        with transaction.atomic():
            over = list(ends.filter(paused_until__lte=at).select_for_update(no_key=True))
            Pause.objects.bulk_create(filter(None, (one.ended_pause(at) for one in over)), ignore_conflicts=True)
            keys = [schedule.pk for schedule in over]
            ScheduleState.objects.filter(schedule__in=keys).update(failures_in_row=0)
            self.filter(pk__in=keys).update(paused_at=None, paused_by=None, pause_reason="", paused_until=None)
        following: datetime | None = ends.aggregate(first=Min("paused_until"))["first"]
        return following

    def due_before(self, schedule_id: int | None, moment: datetime) -> datetime | None:
        """Return the last due time (UTC) of a schedule before a moment, by its present trigger; None where none is.

        Schedules that were deleted, are broken or run by hand only have none.
        """
        schedule = None if schedule_id is None else self.filter(pk=schedule_id).first()
        trigger = schedule.trigger() if schedule and not schedule.problem() else None
        return trigger.last_before(moment) if trigger else None

    def with_last_run(self) -> ScheduleQuerySet:
        """Add `last_run_id`, `last_run_status` and `last_run_finished_at` of the newest executed run."""
        runs = Run.objects.executed().filter(schedule=OuterRef("pk")).order_by("-queued_at", "-id")
        return self.annotate(
            last_run_id=Subquery(runs.values("pk")[:1]),
            last_run_status=Subquery(runs.values("status")[:1]),
            last_run_finished_at=Subquery(runs.values("finished_at")[:1]),
        )


class Schedule(Pausable):
    """What to run (a registered job and its parameters), when (a trigger in a zone) and how (an executor)."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    description = models.TextField(_("description"), blank=True)
    tags = models.ManyToManyField(Tag, verbose_name=_("tags"), blank=True, related_name="schedules")
    enabled = models.BooleanField(_("enabled"), default=True)

    job = models.CharField(_("job"), max_length=100)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)

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

    executor = models.CharField(
        _("executor"), max_length=20, choices=ExecutorAlias.choices, default=ExecutorAlias.PROCESSES
    )
    concurrency_policy = models.CharField(
        _("concurrency policy"),
        max_length=10,
        choices=ConcurrencyPolicy.choices,
        default=ConcurrencyPolicy.FORBID,
        help_text=_("When it is due while a run of it has not ended."),
    )
    queue_limit = models.PositiveSmallIntegerField(
        _("runs that may wait"), default=10, help_text=_("With the policy “queue”; beyond it a run is skipped.")
    )
    catch_up = models.CharField(
        _("catch-up"),
        max_length=10,
        choices=CatchUp.choices,
        default=CatchUp.ONCE,
        help_text=_("When due times passed while nothing could run them."),
    )
    catch_up_limit = models.PositiveSmallIntegerField(
        _("runs to catch up"), default=10, help_text=_("With the catch-up “each”: so many at most.")
    )
    misfire_grace_time = models.PositiveIntegerField(
        _("misfire grace time in seconds"), default=60, help_text=_("With the catch-up “skip”: how late a run may be.")
    )
    max_retries = models.PositiveSmallIntegerField(
        _("retries"), default=0, help_text=_("So many further attempts after a run that ended badly.")
    )
    retry_delay_seconds = models.PositiveIntegerField(
        _("first retry after seconds"), default=60, help_text=_("Doubled at each further attempt, with some spread.")
    )
    retry_delay_max_seconds = models.PositiveIntegerField(_("longest delay of a retry in seconds"), default=3_600)
    retry_failed = models.BooleanField(_("retry what failed"), default=True)
    retry_timed_out = models.BooleanField(_("retry what timed out"), default=True)
    rerun_lost = models.BooleanField(
        _("run again what was lost"), default=True, help_text=_("When the process that executed a run died.")
    )
    time_limit_seconds = models.PositiveIntegerField(
        _("time limit in seconds"), null=True, blank=True, help_text=_("Then the run is asked to stop. Empty: none.")
    )
    kill_after_seconds = models.PositiveIntegerField(
        _("kill after further seconds"), default=30, help_text=_("When it has not stopped by then; processes only.")
    )
    memory_limit_mb = models.PositiveIntegerField(
        _("memory limit in MB"), null=True, blank=True, help_text=_("Of a child process. Empty: none.")
    )
    pause_after_failures = models.PositiveSmallIntegerField(
        _("pause after failed runs in a row"), null=True, blank=True, help_text=_("Empty: never.")
    )

    created_at = models.DateTimeField(_("created"), default=now, editable=False)
    version = models.PositiveBigIntegerField(
        _("version"), default=1, editable=False, help_text=_("Raised by the database with every change.")
    )

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="schedule_name_not_empty"),
            models.CheckConstraint(condition=Q(trigger_kind__in=TriggerKind.values), name="schedule_trigger_legal"),
            models.CheckConstraint(condition=Q(executor__in=ExecutorAlias.values), name="schedule_executor_legal"),
            models.CheckConstraint(
                condition=Q(interval_seconds__isnull=True) | Q(interval_seconds__gte=1),
                name="schedule_interval_positive",
            ),
            models.CheckConstraint(
                condition=(Q(trigger_kind=TriggerKind.CRONTAB) & ~Q(crontab=""))
                | Q(trigger_kind=TriggerKind.INTERVAL, interval_seconds__isnull=False)
                | Q(trigger_kind=TriggerKind.DATE, run_at__isnull=False)
                | Q(
                    trigger_kind=TriggerKind.CALENDAR,
                    calendar_count__gte=1,
                    calendar_unit__in=CalendarUnit.values,
                    calendar_at__isnull=False,
                    calendar_first_day__isnull=False,
                )
                | (Q(trigger_kind__in=[TriggerKind.ANY_OF, TriggerKind.ALL_OF]) & ~Q(parts=[]))
                | Q(trigger_kind=TriggerKind.MANUAL),
                name="schedule_trigger_complete",
            ),
            models.CheckConstraint(
                condition=Q(concurrency_policy__in=ConcurrencyPolicy.values), name="schedule_concurrency_legal"
            ),
            models.CheckConstraint(condition=Q(catch_up__in=CatchUp.values), name="schedule_catch_up_legal"),
            models.CheckConstraint(
                condition=Q(queue_limit__gte=1, catch_up_limit__gte=1, retry_delay_seconds__gte=1)
                & Q(retry_delay_max_seconds__gte=models.F("retry_delay_seconds")),
                name="schedule_limits_positive",
            ),
            models.CheckConstraint(
                condition=(Q(max_runs__isnull=True) | Q(max_runs__gte=1))
                & (Q(time_limit_seconds__isnull=True) | Q(time_limit_seconds__gte=1))
                & (Q(memory_limit_mb__isnull=True) | Q(memory_limit_mb__gte=1))
                & (Q(pause_after_failures__isnull=True) | Q(pause_after_failures__gte=1)),
                name="schedule_optional_limits_positive",
            ),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=False) | Q(paused_until__isnull=True, pause_reason=""),
                name="schedule_pause_has_start",
            ),
            models.CheckConstraint(
                condition=Q(paused_until__isnull=True) | Q(paused_until__gte=models.F("paused_at")),
                name="schedule_pause_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(start_at__isnull=True) | Q(end_at__isnull=True) | Q(end_at__gt=models.F("start_at")),
                name="schedule_end_after_start",
            ),
        ]
        # The list filtered by these, in the order of names.
        indexes = [
            models.Index(fields=["enabled", "name"], name="schedule_enabled_name"),
            models.Index(fields=["job", "name"], name="schedule_job_name"),
            # The scheduler's look for pauses that are over.
            models.Index(
                fields=["paused_until"], condition=Q(paused_until__isnull=False), name="schedule_paused_until"
            ),
        ]
        permissions = [
            ("run_schedule", _("Can run schedules by hand")),
            ("pause_schedule", _("Can pause and resume schedules")),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of this schedule's form."""
        return reverse("admin:scheduling_schedule_change", args=[self.pk])

    @property
    def job_id(self) -> str:
        """Return the id of the APScheduler job that is derived from this schedule."""
        return f"{JOB_ID_PREFIX}{self.pk}"

    @transaction.atomic
    def duplicate(self) -> Schedule:
        """Save a copy under a free name with the same tags and predecessors, disabled, not paused; return it."""
        from scheduling.models.follow_up import FollowUp

        left = ("id", "name", "enabled", "created_at", "version", *(f.name for f in Pausable._meta.concrete_fields))
        fields = [field for field in self._meta.concrete_fields if field.name not in left]
        values = {field.attname: getattr(self, field.attname) for field in fields}
        copy = Schedule.objects.create(**values, name=self._free_name(), enabled=False)
        copy.tags.set(self.tags.all())
        for one in FollowUp.objects.filter(successor=self):
            FollowUp.objects.create(predecessor_id=one.predecessor_id, successor=copy, on=one.on)
        return copy

    def _free_name(self) -> str:
        """Return "NAME (copy)" or, where that is taken, with a number."""
        words = gettext("copy")
        endings = (f" ({words}{f' {number}' if number > 1 else ''})" for number in count(1))
        names = (f"{self.name[: 200 - len(ending)]}{ending}" for ending in endings)
        return next(name for name in names if not Schedule.objects.filter(name=name).exists())

    def clean(self) -> None:
        """Check what the fields must be together; every message stands at the field that caused it.

        That nothing is ever due again is no fault of a schedule whose due times were not edited: its time is over.
        """
        from scheduling.jobs import registry

        errors = self.trigger_fields().errors()
        if not errors and (never := self.trigger_fields().never_fires(now())) and self._due_times_are_new():
            errors = never
        if self.memory_limit_mb and self.executor == ExecutorAlias.THREADS:
            message = gettext("A thread's memory cannot be limited; choose the executor “child process”, or no limit.")
            errors.setdefault("memory_limit_mb", []).append(ValidationError(message))
        if self.job not in registry:
            message = gettext("There is no job “%(job)s”; the registered ones are %(known)s.")
            params = {"job": self.job, "known": ", ".join(sorted(registry.names()))}
            errors["job"] = [ValidationError(message, code="job", params=params)]
        if errors:
            raise ValidationError(errors)

    def _due_times_are_new(self) -> bool:
        """Tell whether what says when the schedule is due differs from what is stored."""
        stored = Schedule.objects.filter(pk=self.pk).first()
        return stored is None or stored.trigger_fields() != self.trigger_fields()

    def problem(self) -> str:
        """Return in a sentence why this schedule cannot be fired, or an empty string."""
        from scheduling.jobs import registry

        if self.job not in registry:
            return gettext("The job “%(job)s” is not registered in this installation.") % {"job": self.job}
        try:
            self.trigger()
        except Exception as error:
            return gettext("The trigger cannot be understood: %(error)s") % {"error": error}
        return ""

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
        last = self.runs.executed().order_by("-queued_at", "-id").first() if self.pk else None
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

    def next_run(self) -> datetime | None:
        """Return the next due time (UTC) that will be run; None for a schedule that is disabled, broken or at its end.

        While it is paused, that is the first one from the end of the pause on; None if it has no end.
        """
        moment = now()
        paused = self.is_paused(moment)
        if not self.enabled or self.problem() or (paused and self.paused_until is None):
            return None
        after = self.paused_until - SMALLEST_STEP if paused and self.paused_until else moment
        return next(iter(self.next_fires(1, after)), None)

    def delay(self, due: datetime) -> timedelta:
        """Return the jitter of one due time."""
        return delay(self.pk, due, self.jitter_seconds)

    def parameters_words(self) -> str:
        """Return in words what would run, as the job describes it."""
        from scheduling.jobs import registry

        return registry.describe(self.job, self.parameters)

    @property
    def lets_several_run(self) -> bool:
        """Tell whether its runs may run side by side."""
        return self.concurrency_policy == ConcurrencyPolicy.ALLOW

    def most_active(self) -> float:
        """Return how many runs may wait or run (backfills aside) before a further one is refused."""
        match self.concurrency_policy:
            case ConcurrencyPolicy.FORBID:
                return 1
            case ConcurrencyPolicy.QUEUE:
                return 1 + self.queue_limit
        return math.inf

    def run_now(
        self,
        *,
        by: User | None = None,
        cause: Cause = Cause.MANUAL,
        parameters: dict[str, Any] | None = None,
        request_key: str | None = None,
        parent: Run | None = None,
    ) -> tuple[Run, bool]:
        """Commit a queued run of this schedule; return it and whether it is new. `parent` is the run that caused it.

        1. The schedule's row is locked, so that a fire and a click cannot both start a run.
        2. A `request_key` that was used before returns that request's run.
        3. Where the concurrency policy lets no further run wait (`forbid`: any; `queue`: its limit), the run that is
           in the way is returned.
        4. Otherwise the new run carries the schedule's job, executor, limits and (unless given) parameters. It starts
           when the policy lets it; under `replace` the active ones are cancelled for it.
        """
        from scheduling.replace import replace_older

        with transaction.atomic():
            current = Schedule.objects.select_for_update(no_key=True).get(pk=self.pk)
            if request_key and (known := Run.objects.filter(request_key=request_key).first()):
                return known, False
            active = list(Run.objects.active_for(current).filter(backfill__isnull=True).order_by("id"))
            if len(active) >= current.most_active():
                return active[-1] if current.concurrency_policy == ConcurrencyPolicy.QUEUE else active[0], False
            run = Run.objects.create(
                schedule=self,
                schedule_name=current.name,
                job=current.job,
                parameters=current.parameters if parameters is None else parameters,
                executor=current.executor,
                time_limit_seconds=current.time_limit_seconds,
                kill_after_seconds=current.kill_after_seconds,
                memory_limit_mb=current.memory_limit_mb,
                cause=cause,
                requested_by=by,
                request_key=request_key,
                parent=parent,
            )
            if active:
                replace_older([current.pk], run.queued_at)
            return run, True


class ScheduleChange(models.Model):
    """A note that a schedule was inserted, changed or deleted, written by triggers in the database."""

    schedule_id = models.PositiveBigIntegerField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("change of a schedule")
        verbose_name_plural = _("changes of schedules")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.id}: schedule {self.schedule_id}"
