"""Examinations of the schedules: can they be fired, are they in the store, do they fire at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django_apscheduler.models import DjangoJob

from scheduling.doctor.findings import Finding, error, examination, warning
from scheduling.jobs import registry
from scheduling.models import Hold, Schedule, SchedulerInstance, TriggerKind
from scheduling.models.schedule import JOB_ID_PREFIX

OVERDUE = timedelta(seconds=60)
"""How long after a due time a living leader must have fired."""
SETTLED = timedelta(seconds=90)
"""Age after which a schedule must have its row in the store: the reconcile of each minute heals what was missed."""


@examination
def broken(now: datetime) -> Iterator[Finding]:
    """Find enabled schedules that cannot be fired, or whose parameters their job refuses."""
    for schedule in Schedule.objects.enabled():
        if problem := schedule.problem():
            yield error(
                "doctor.E040",
                _("Schedule “%(name)s” (%(id)d) is broken: %(problem)s")
                % {"name": schedule, "id": schedule.pk, "problem": problem},
                _("Edit or disable it."),
            )
            continue
        try:
            registry.get(schedule.job).clean(schedule.parameters)
        except ValidationError as refused:
            yield error(
                "doctor.E041",
                _("Schedule “%(name)s” (%(id)d): its job refuses its parameters: %(problem)s")
                % {"name": schedule, "id": schedule.pk, "problem": "; ".join(refused.messages)},
                _("Edit or disable it."),
            )


@examination
def in_step(now: datetime) -> Iterator[Finding]:
    """Find enabled schedules whose due time is not in the store, or passed without a fire, while a process leads."""
    if not SchedulerInstance.objects.active().beating(now).exists() or Hold.objects.filter(is_open=True).exists():
        return
    due = dict(DjangoJob.objects.filter(id__startswith=JOB_ID_PREFIX).values_list("id", "next_run_time"))
    settled = Schedule.objects.enabled().filter(created_at__lt=now - SETTLED, paused_at__isnull=True)
    for schedule in settled.exclude(trigger_kind=TriggerKind.MANUAL):
        stored = due.get(schedule.job_id)
        if stored is not None and stored < now - OVERDUE:
            yield error(
                "doctor.E042",
                _("Schedule “%(name)s” (%(id)d) was due at %(due)s and has not fired.")
                % {"name": schedule, "id": schedule.pk, "due": stored.isoformat(timespec="seconds")},
                _("Read the scheduler's log; an edit left open in another session holds a schedule back."),
            )
        elif stored is None and not schedule.problem() and schedule.next_run() is not None:
            yield error(
                "doctor.E043",
                _("Schedule “%(name)s” (%(id)d) has no due time in the job store.")
                % {"name": schedule, "id": schedule.pk},
                _("Wait a minute: the scheduler compares everything each minute. Then read its log."),
            )


@examination
def without_a_future(now: datetime) -> Iterator[Finding]:
    """Find enabled schedules that never fire again, and pauses that should have ended."""
    enabled = Schedule.objects.enabled()
    for schedule in enabled.exclude(trigger_kind__in=[TriggerKind.MANUAL, TriggerKind.DATE]):
        if not schedule.problem() and not schedule.next_fires(1, after=now):
            yield warning(
                "doctor.W044",
                _("Schedule “%(name)s” (%(id)d) is enabled but has no further due time.")
                % {"name": schedule, "id": schedule.pk},
                _("Give it a later end, or disable it."),
            )
    for schedule in enabled.filter(paused_until__lt=now - SETTLED):
        yield warning(
            "doctor.W045",
            _("The pause of schedule “%(name)s” (%(id)d) ended at %(until)s, and it has not been resumed.")
            % {"name": schedule, "id": schedule.pk, "until": schedule.paused_until},
            _("A running scheduler resumes it; resume it by hand if one runs."),
        )
