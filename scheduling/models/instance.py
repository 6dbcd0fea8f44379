"""The scheduler processes of this installation, and which of them leads."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.choices import ShownChoices

HEARTBEAT_SECONDS = 2.0
"""Seconds between two heartbeats of a scheduler process at most."""
STALE_AFTER_SECONDS = 15.0
"""Seconds without a heartbeat after which a scheduler process no longer counts as alive."""


class InstanceState(ShownChoices):
    """What a scheduler process is doing."""

    #: It holds the leader lock and fires schedules.
    ACTIVE = "active", "green", "check_circle", _("active")
    #: Another process leads; this one takes over when that one is gone.
    STANDBY = "standby", "blue", "hourglass_empty", _("standing by")
    #: It was asked to stop and lets its runs end.
    STOPPING = "stopping", "amber", "hourglass_bottom", _("stopping")
    #: It ended in order.
    STOPPED = "stopped", "grey", "stop_circle", _("stopped")
    #: It went silent without saying goodbye.
    LOST = "lost", "red", "link_off", _("lost")
    #: It is no scheduler: a command in a terminal that executes one run.
    COMMAND = "command", "grey", "terminal", _("a command")

    @classmethod
    def alive(cls) -> list[InstanceState]:
        """Return the states of a process that has not ended."""
        return [cls.ACTIVE, cls.STANDBY, cls.STOPPING]


class SchedulerInstanceQuerySet(models.QuerySet["SchedulerInstance"]):
    """Conditions on scheduler processes."""

    def beating(self, now: datetime | None = None) -> SchedulerInstanceQuerySet:
        """Keep those that have not ended and whose heartbeat is fresh."""
        limit = (now or timezone.now()) - timedelta(seconds=STALE_AFTER_SECONDS)
        return self.filter(state__in=InstanceState.alive(), heartbeat_at__gte=limit)

    def stale(self, now: datetime | None = None) -> SchedulerInstanceQuerySet:
        """Keep those that say they are alive but have gone silent."""
        limit = (now or timezone.now()) - timedelta(seconds=STALE_AFTER_SECONDS)
        return self.filter(state__in=InstanceState.alive(), heartbeat_at__lt=limit)

    def active(self) -> SchedulerInstanceQuerySet:
        """Keep the one that leads."""
        return self.filter(state=InstanceState.ACTIVE)

    def with_something_left(self) -> SchedulerInstanceQuerySet:
        """Keep those that say they are alive, and those whose runs say that they are being executed."""
        from scheduling.models.run import Run

        executing = Run.objects.running().filter(instance=OuterRef("pk"))
        return self.filter(Q(state__in=InstanceState.alive()) | Exists(executing))

    def beat(self, now: datetime, state: InstanceState) -> None:
        """Write a heartbeat; a process that slept and was taken for lost is in this state again."""
        was_lost = Q(state=InstanceState.LOST)
        self.update(
            heartbeat_at=now,
            state=Case(When(was_lost, then=Value(state)), default=F("state")),
            ended_at=Case(When(was_lost, then=None), default=F("ended_at")),
        )

    def say_lost(self, now: datetime) -> int:
        """Note that these went silent without saying goodbye; return of how many that was not known."""
        return self.filter(state__in=InstanceState.alive()).update(state=InstanceState.LOST, ended_at=now)

    def absence(self, now: datetime | None = None) -> str:
        """Return in a sentence why no scheduler works (none runs, or one may not lead) and what to do; else nothing."""
        if self.active().beating(now).exists():
            return ""
        kept_back = self.filter(state=InstanceState.STANDBY).exclude(note="").beating(now)
        if (note := kept_back.values_list("note", flat=True).first()) is not None:
            return gettext("Waits for a scheduler: one is running, but it stands by. %(why)s") % {"why": note}
        return gettext("Waits for a scheduler: none is running. Start one with: python manage.py runapscheduler")


class SchedulerInstance(models.Model):
    """One `runapscheduler` process, alive or ended."""

    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"))
    process_started = models.FloatField(
        _("process start"), help_text=_("Start of the process in seconds since 1970; tells a reused process id apart.")
    )
    state = models.CharField(_("state"), max_length=10, choices=InstanceState.choices, default=InstanceState.STANDBY)
    epoch = models.PositiveBigIntegerField(_("leadership epoch"), null=True, blank=True)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    note = models.TextField(_("note"), blank=True, help_text=_("What it has to say, e.g. why it does not take over."))

    objects = SchedulerInstanceQuerySet.as_manager()

    class Meta:
        verbose_name = _("scheduler process")
        verbose_name_plural = _("scheduler processes")
        ordering = ["-started_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=InstanceState.values), name="instance_state_legal"),
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state=InstanceState.ACTIVE), name="instance_one_active"
            ),
        ]
        # Used by the dashboard's strip and by housekeeping.
        indexes = [models.Index(fields=["state", "heartbeat_at"], name="instance_state_beat")]

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"

    def is_beating(self, now: datetime | None = None) -> bool:
        """Tell whether the process has not ended and its heartbeat is fresh."""
        age = (now or timezone.now()) - self.heartbeat_at
        return self.state in InstanceState.alive() and age <= timedelta(seconds=STALE_AFTER_SECONDS)


class Leadership(models.Model):
    """The one row whose epoch rises at every take-over; each fire transaction compares it with its own."""

    SINGLETON = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON)
    epoch = models.PositiveBigIntegerField(_("epoch"), default=0)
    instance = models.ForeignKey(
        SchedulerInstance, verbose_name=_("scheduler process"), null=True, blank=True, on_delete=models.SET_NULL
    )

    class Meta:
        verbose_name = _("leadership")
        verbose_name_plural = _("leadership")
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="leadership_one_row")]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"
