"""Schedules: what to run, when and how. The row is the truth; APScheduler's job is derived from it."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.db.models.base import ModelState
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.choices import CatchUp, Cause, ConcurrencyPolicy, ExecutorAlias
from scheduling.models.pausing import Pausable
from scheduling.models.run import Run
from scheduling.models.schedule_queries import ScheduleQuerySet
from scheduling.models.tag import Tag
from scheduling.models.timing import Timed, default_zone, validate_zone
from scheduling.triggers import CalendarUnit, TriggerKind
from scheduling.triggers.base import SMALLEST_STEP

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["JOB_ID_PREFIX", "Schedule", "ScheduleChange", "default_zone", "validate_zone"]

JOB_ID_PREFIX = "schedule-"

FROM_ONE = (
    "interval_seconds",
    "max_runs",
    "queue_limit",
    "catch_up_limit",
    "retry_delay_seconds",
    "time_limit_seconds",
    "memory_limit_mb",
    "pause_after_failures",
)
"""The numbers that are at least one, if they are given."""


class Schedule(Timed, Pausable):
    """What to run (a registered job and its parameters), when (a trigger in a zone) and how (an executor)."""

    name = models.CharField(_("name"), max_length=200, unique=True)
    description = models.TextField(_("description"), blank=True)
    tags = models.ManyToManyField(Tag, verbose_name=_("tags"), blank=True, related_name="schedules")
    enabled = models.BooleanField(_("enabled"), default=True)

    job = models.CharField(_("job"), max_length=100)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)

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

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **state: Any) -> Self:
        """Return a row that was read; fields that were not are read when they are asked for.

        Not by `__init__`, which sets one field after the other: of ten thousand schedules that took an eighth of a
        scheduler's start (Django's documentation, "Customizing model loading").
        """
        schedule = cls.__new__(cls)
        schedule._state = ModelState()
        vars(schedule._state).update(state, adding=False, db=db)
        vars(schedule).update(zip(field_names, values, strict=True))
        return schedule

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
    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete it; it is locked before its runs are touched, as everybody does (`RunQuerySet.lock`)."""
        Schedule.objects.select_for_update().filter(pk=self.pk).values_list("pk").first()
        return super().delete(*args, **kwargs)

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
        for name in FROM_ONE:
            value = getattr(self, name)
            if isinstance(value, int) and value < 1 and name not in errors:
                errors[name] = [ValidationError(gettext("Give a whole number from 1."), code="min_value")]
        first, longest = self.retry_delay_seconds, self.retry_delay_max_seconds
        if isinstance(first, int) and isinstance(longest, int) and longest < first:
            message = gettext("The longest delay cannot be shorter than the first.")
            errors["retry_delay_max_seconds"] = [ValidationError(message, code="min_value")]
        if self.memory_limit_mb and self.executor == ExecutorAlias.THREADS:
            message = gettext("A thread's memory cannot be limited; choose the executor “child process”, or no limit.")
            errors.setdefault("memory_limit_mb", []).append(ValidationError(message))
        if self.job not in registry:
            message = gettext("There is no job “%(job)s”; the registered ones are %(known)s.")
            params = {"job": self.job, "known": ", ".join(sorted(registry.names()))}
            errors["job"] = [ValidationError(message, code="job", params=params)]
        if errors:
            raise ValidationError(errors)

    def validate_constraints(self, exclude: Any = None) -> None:
        """Ask the database nothing: `clean` has said in words at its field whatever the check constraints refuse.

        Django would ask for each of them, in a savepoint of its own: some 40 statements for an edit.
        """

    def _due_times_are_new(self) -> bool:
        """Tell whether what says when the schedule is due differs from what is stored."""
        stored = Schedule.objects.filter(pk=self.pk).first()
        return stored is None or stored.trigger_fields() != self.trigger_fields()

    def problem(self) -> str:
        """Return in a sentence why this schedule cannot be fired, or an empty string."""
        from scheduling.jobs import registry
        from scheduling.jobs.registry import check_object

        if self.job not in registry:
            return gettext("The job “%(job)s” is not registered in this installation.") % {"job": self.job}
        try:
            check_object(self.parameters)
        except ValidationError as error:
            return str(error.message)
        try:
            self.trigger()
        except Exception as error:
            return gettext("The trigger cannot be understood: %(error)s") % {"error": error}
        return ""

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
            given = {} if parameters is None else {"parameters": parameters}
            run = Run.of(current, cause=cause, requested_by=by, request_key=request_key, parent=parent, **given)
            run.save()
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
