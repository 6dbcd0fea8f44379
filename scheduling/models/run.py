"""Runs: one row for each execution, committed before any work begins. Transitions of a single run stand here;
those of many at once (claim, finish, recover) in `scheduling.runs`, conditions on runs in `run_queries.py`, what people
say about a run that is there (cancel it, a note) in `attended.py`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.attended import Attended
from scheduling.models.choices import Cause, RunStatus
from scheduling.models.installation import Hold
from scheduling.models.instance import SchedulerInstance
from scheduling.models.run_queries import RunQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from scheduling.models.schedule import Schedule


class Held(Protocol):
    """A claimed run in a process's hands: enough to say which one it is, and under which claim."""

    @property
    def pk(self) -> Any:
        """Return its id."""

    @property
    def claim_token(self) -> str:
        """Return the token of its claim."""


FROM_SCHEDULE = {
    "schedule_id": "id",
    "schedule_name": "name",
    "job": "job",
    "parameters": "parameters",
    "executor": "executor",
    "time_limit_seconds": "time_limit_seconds",
    "kill_after_seconds": "kill_after_seconds",
    "memory_limit_mb": "memory_limit_mb",
}
"""What a run has from its schedule, and keeps when that is edited: attribute of the run, column of the schedule."""


class Run(Attended):
    """One execution of a job: what was to run, why, when, how far it is and how it ended."""

    ERROR_CLASS_LENGTH = 60

    schedule = models.ForeignKey(
        "scheduling.Schedule",
        verbose_name=_("schedule"),
        null=True,
        blank=True,
        db_index=False,
        on_delete=models.SET_NULL,
        related_name="runs",
    )
    schedule_name = models.CharField(
        _("schedule name"), max_length=200, blank=True, help_text=_("Kept when the schedule is deleted.")
    )
    job = models.CharField(_("job"), max_length=100)
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    executor = models.CharField(_("executor"), max_length=20)
    status = models.CharField(_("status"), max_length=10, choices=RunStatus.choices, default=RunStatus.QUEUED)
    cause = models.CharField(_("cause"), max_length=10, choices=Cause.choices)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("requested by"),
        null=True,
        blank=True,
        db_index=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    request_key = models.CharField(
        _("request key"),
        max_length=64,
        null=True,
        blank=True,
        unique=True,
        help_text=_("Chosen by the asking side; the same key twice is one run."),
    )

    parent = models.ForeignKey(
        "self",
        verbose_name=_("caused by run"),
        null=True,
        blank=True,
        db_index=False,
        on_delete=models.SET_NULL,
        related_name="children",
        help_text=_(
            "The attempt before a retry or recovery, the predecessor of a follow-up, the run that is run again."
        ),
    )
    backfill = models.ForeignKey(
        "scheduling.Backfill",
        verbose_name=_("backfill"),
        null=True,
        blank=True,
        db_index=False,
        on_delete=models.SET_NULL,
        related_name="runs",
    )

    scheduled_for = models.DateTimeField(_("scheduled for"), null=True, blank=True)
    missed_until = models.DateTimeField(_("missed until"), null=True, blank=True)
    missed_count = models.PositiveIntegerField(_("missed due times"), default=0)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    queued_at = models.DateTimeField(_("queued"), default=timezone.now)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    wait_reason = models.CharField(_("waits for"), max_length=200, blank=True)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)

    progress_done = models.PositiveIntegerField(_("done"), default=0)
    progress_total = models.PositiveIntegerField(_("of"), null=True, blank=True)
    progress_message = models.CharField(_("doing"), max_length=200, blank=True)
    summary = models.JSONField(
        _("summary"), default=dict, blank=True, help_text=_("Counts that the job reports, by name.")
    )
    outcome = models.TextField(
        _("outcome"), blank=True, help_text=_("In a sentence: what failed, or why it was skipped, missed or lost.")
    )
    traceback = models.TextField(_("traceback"), blank=True)
    error_class = models.CharField(
        _("class of error"),
        max_length=ERROR_CLASS_LENGTH,
        blank=True,
        help_text=_("The kind of error in a word, as the job names it; the name of an unexpected exception."),
    )
    nothing_due = models.BooleanField(
        _("had nothing due"), default=False, help_text=_("It looked and had nothing to do; folded in the list.")
    )

    time_limit_seconds = models.PositiveIntegerField(_("time limit in seconds"), null=True, blank=True)
    kill_after_seconds = models.PositiveIntegerField(_("kill after further seconds"), default=30)
    memory_limit_mb = models.PositiveIntegerField(_("memory limit in MB"), null=True, blank=True)

    instance = models.ForeignKey(
        SchedulerInstance,
        verbose_name=_("scheduler process"),
        null=True,
        blank=True,
        db_index=False,
        # A process that a run names is not removed (`scheduling.retention`); a check for each run would say no more.
        db_constraint=False,
        on_delete=models.SET_NULL,
        related_name="runs",
    )
    claim_token = models.CharField(_("claim token"), max_length=32, blank=True, editable=False)
    pid = models.PositiveIntegerField(_("process id"), null=True, blank=True)
    process_started = models.FloatField(
        _("process start"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("Start of the process in seconds since 1970; tells a reused process id apart."),
    )

    objects = RunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        ordering = ["-queued_at", "-id"]
        constraints = [
            # The proof that no fire is doubled; manual runs have no due time.
            models.UniqueConstraint(fields=["schedule", "scheduled_for", "attempt"], name="run_unique_fire"),
            models.CheckConstraint(condition=Q(status__in=RunStatus.values), name="run_status_legal"),
            models.CheckConstraint(condition=Q(cause__in=Cause.values), name="run_cause_legal"),
            models.CheckConstraint(condition=Q(attempt__gte=1), name="run_attempt_positive"),
            models.CheckConstraint(
                condition=Q(status__in=RunStatus.active(), finished_at__isnull=True)
                | Q(status__in=RunStatus.final(), finished_at__isnull=False),
                name="run_ended_has_end",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.RUNNING) | (~Q(claim_token="") & Q(started_at__isnull=False)),
                name="run_running_is_claimed",
            ),
            models.CheckConstraint(
                condition=Q(status=RunStatus.MISSED, missed_count__gte=1, missed_until__gte=F("scheduled_for"))
                | (~Q(status=RunStatus.MISSED) & Q(missed_count=0, missed_until__isnull=True)),
                name="run_missed_has_range",
            ),
            models.CheckConstraint(
                condition=~Q(cause=Cause.SCHEDULE) | Q(scheduled_for__isnull=False), name="run_schedule_has_due_time"
            ),
        ]
        # Thousands of runs a second are inserted and ended, and each index is written at both: so only those that have
        # to be are whole.
        indexes = [
            # The list of runs, newest first.
            models.Index(fields=["-queued_at", "-id"], name="run_newest"),
            # The list filtered by status; failures on the dashboard. On PostgreSQL without those that are running or
            # have succeeded (migration 0005).
            models.Index(fields=["status", "-queued_at"], name="run_status_newest"),
            # The list filtered by a cause; nearly all that became due by themselves are found without.
            models.Index(fields=["cause", "-queued_at"], condition=~Q(cause=Cause.SCHEDULE), name="run_cause_rare"),
            # The list filtered by class of error.
            models.Index(
                fields=["error_class", "-queued_at"], condition=~Q(error_class=""), name="run_error_class_newest"
            ),
            # The history of one schedule; the bars of the schedules list.
            models.Index(fields=["schedule", "-queued_at"], name="run_schedule_newest"),
            # The dispatcher's search for what may start, runs in progress.
            models.Index(
                fields=["status", "executor", "not_before"], condition=Q(finished_at__isnull=True), name="run_unended"
            ),
            # The active runs of one schedule, however long its history: what a claim waits for, the overlap check of a
            # fire.
            models.Index(
                fields=["schedule", "status"], condition=Q(finished_at__isnull=True), name="run_schedule_unended"
            ),
            # The places of a backfill's runs.
            models.Index(
                fields=["backfill", "id"],
                condition=Q(backfill__isnull=False, finished_at__isnull=True),
                name="run_backfill_unended",
            ),
            # Whether a run names a scheduler process; on PostgreSQL by ranges of pages (migration 0005).
            models.Index(fields=["instance"], condition=Q(instance__isnull=False), name="run_instance"),
            # What refers to a row that is deleted; few runs have these.
            models.Index(fields=["parent"], condition=Q(parent__isnull=False), name="run_parent"),
            models.Index(fields=["backfill"], condition=Q(backfill__isnull=False), name="run_backfill"),
            models.Index(fields=["requested_by"], condition=Q(requested_by__isnull=False), name="run_requested_by"),
            models.Index(fields=["noted_by"], condition=Q(noted_by__isnull=False), name="run_noted_by"),
            models.Index(
                fields=["cancel_requested_by"],
                condition=Q(cancel_requested_by__isnull=False),
                name="run_cancel_requested_by",
            ),
        ]
        permissions = [("start_run", _("Can start runs")), ("cancel_run", _("Can cancel runs"))]

    def __str__(self) -> str:
        return gettext("Run %(number)s of %(name)s") % {"number": self.pk, "name": self.title}

    def get_absolute_url(self) -> str:
        """Return the address of this run's page."""
        return reverse("admin:scheduling_run_change", args=[self.pk])

    @classmethod
    def of(cls, schedule: Schedule, **values: Any) -> Run:
        """Return an unsaved run of a schedule: what is not given is copied from the schedule, or has its default."""
        copied = {name: getattr(schedule, column) for name, column in FROM_SCHEDULE.items()}
        run = cls(**copied | values)
        run.schedule = schedule
        return run

    def next_attempt(self, **values: Any) -> Run:
        """Return the unsaved next attempt at the same thing, with what this run had from its schedule."""
        return Run(
            **{name: getattr(self, name) for name in FROM_SCHEDULE},
            requested_by_id=self.requested_by_id,
            parent=self,
            backfill_id=self.backfill_id,
            scheduled_for=self.scheduled_for,
            attempt=self.attempt + 1,
            **values,
        )

    @property
    def title(self) -> str:
        """Return the schedule's name, or the job's label for a run without one."""
        from scheduling.jobs import registry

        return self.schedule_name or registry.label(self.job)

    @property
    def is_active(self) -> bool:
        """Tell whether the run has not ended."""
        return self.status in RunStatus.active()

    @property
    def duration(self) -> timedelta | None:
        """Return how long it has run (until now while it runs), or None before it starts."""
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at

    @property
    def lag(self) -> timedelta | None:
        """Return the delay from the moment it should have started (due time plus jitter) to its start."""
        due = self.not_before or self.scheduled_for
        return self.started_at - due if self.started_at and due else None

    @property
    def progress_percent(self) -> int | None:
        """Return the share of the work that is done in percent, or None while its size is unknown."""
        if not self.progress_total:
            return None
        return min(100, round(100 * self.progress_done / self.progress_total))

    def waits_for(self, now: datetime | None = None) -> str:
        """Return in a sentence what a queued run waits for; empty for a run that does not wait."""
        now = now or timezone.now()
        if self.status != RunStatus.QUEUED:
            return ""
        if hold := Hold.objects.current():
            return gettext("Waits until all is released: %(why)s.") % {"why": hold.words()}
        if absence := SchedulerInstance.objects.absence(now):
            return absence
        if self.not_before and self.not_before > now:
            return self.wait_reason or gettext("Waits until its time to start.")
        if other := self.waits_for_run(now):
            return gettext("Waits until run %(run)s of the same schedule has ended.") % {"run": other.pk}
        return self.wait_reason or gettext("Waits to be started by the scheduler.")

    def waits_for_run(self, now: datetime) -> Run | None:
        """Return the run of the same schedule that has to end before this one may start, or None."""
        if self.schedule is None or self.schedule.lets_several_run:
            return None
        before = Run.objects.before if self.backfill_id is None else Run.objects.before_backfill
        return before(now, self).order_by("status", "id").last()

    def again(
        self, by: User | None = None, parameters: dict[str, Any] | None = None, request_key: str | None = None
    ) -> tuple[Run, bool]:
        """Commit a new run of the same job that is linked to this one; return it and whether it is new.

        It has this run's parameters unless others are given. The same `request_key` twice is one run, with a schedule
        or without. A schedule's concurrency policy counts as for *Run now*, so it may be answered with the run in
        progress. Raises `ValidationError` for an unknown job or wrong parameters.
        """
        from scheduling.jobs import registry

        cleaned = registry.get(self.job).clean(self.parameters if parameters is None else parameters)
        if self.schedule is not None and self.schedule.job == self.job:
            return self.schedule.run_now(by=by, parameters=cleaned, parent=self, request_key=request_key)
        return Run.objects.start(
            job=self.job,
            parameters=cleaned,
            cause=Cause.MANUAL,
            by=by,
            executor=self.executor,
            parent=self,
            request_key=request_key,
        )
