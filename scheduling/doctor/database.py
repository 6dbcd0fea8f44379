"""Examinations of the database: reachable, migrated, its triggers, its job store, whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _
from django_apscheduler.models import DjangoJob

from scheduling import changes, leader
from scheduling.database import DatabaseAway, complaints, one_line
from scheduling.doctor.findings import Finding, error, examination, warning
from scheduling.imports.pickles import Unreadable, read_state
from scheduling.models import Schedule, ScheduleChange, SchedulerInstance
from scheduling.models.schedule import JOB_ID_PREFIX

NOTES_WAIT_SECONDS = 90
"""Seconds after which a noted change should have been applied: the reconcile of each minute takes what is left."""


def reachable(now: datetime) -> Iterator[Finding]:
    """Find that the database cannot be reached, or that migrations are missing: nothing else can be judged then."""
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseAway as failure:
        yield error(
            "doctor.E001",
            _("The database cannot be reached: %(error)s") % {"error": one_line(failure)},
            _("Check DATABASE_URL and that the server runs and lets this user in."),
        )
        return
    if missing:
        names = [f"{migration.app_label}.{migration.name}" for migration, _backwards in missing]
        yield error(
            "doctor.E002",
            _("%(count)d migration(s) are not applied: %(names)s.") % {"count": len(names), "names": _some(names)},
            "python manage.py migrate",
        )


@examination
def triggers(now: datetime) -> Iterator[Finding]:
    """Find triggers that are missing, as after a restore of data alone: edits would reach nobody."""
    if missing := changes.missing_triggers():
        yield error(
            "doctor.E003",
            _("Triggers are missing in the database or switched off: %(names)s. Edits may not reach the scheduler.")
            % {"names": ", ".join(sorted(missing))},
            "python manage.py schedule_doctor --repair",
        )


@examination
def server(now: datetime) -> Iterator[Finding]:
    """Find what the database server or file itself is not fit for."""
    for sentence, remedy in complaints():
        yield warning("doctor.W004", sentence, remedy)


@examination
def installation(now: datetime) -> Iterator[Finding]:
    """Find that this database belongs to another installation."""
    if why := leader.why_copied():
        yield error("doctor.E005", why, "python manage.py runapscheduler --adopt")


@examination
def noted_changes(now: datetime) -> Iterator[Finding]:
    """Find changes of schedules that a living leader should long have applied."""
    if not SchedulerInstance.objects.active().beating(now).exists():
        return
    waiting = ScheduleChange.objects.filter(at__lt=now - timedelta(seconds=NOTES_WAIT_SECONDS)).count()
    if waiting:
        yield error(
            "doctor.E006",
            _("%(count)d noted change(s) of schedules have not been applied for %(seconds)d s.")
            % {"count": waiting, "seconds": NOTES_WAIT_SECONDS},
            _("Read the scheduler's log for the error that keeps it from it; restart it."),
        )


@examination
def job_rows(now: datetime) -> Iterator[Finding]:
    """Find rows of the job store that nobody can read, that have no schedule, or that are somebody else's."""
    known = {f"{JOB_ID_PREFIX}{key}" for key in Schedule.objects.values_list("pk", flat=True)}
    unreadable, orphans, foreign = [], [], []
    for job_id, state in DjangoJob.objects.values_list("id", "job_state").iterator():
        if not job_id.startswith(JOB_ID_PREFIX):
            foreign.append(job_id)
        elif job_id not in known:
            orphans.append(job_id)
        else:
            try:
                read_state(bytes(state))
            except Unreadable as failure:
                unreadable.append(f"{job_id} ({failure})")
    if unreadable:
        yield warning(
            "doctor.W007",
            _("The state of %(count)d stored job(s) cannot be read: %(names)s.")
            % {"count": len(unreadable), "names": _some(unreadable)},
            _("Nothing: a running scheduler rebuilds them from their schedules within a minute."),
        )
    if orphans:
        yield warning(
            "doctor.W008",
            _("%(count)d stored job(s) have no schedule: %(names)s.")
            % {"count": len(orphans), "names": _some(orphans)},
            _("Nothing: a running scheduler removes them within a minute."),
        )
    if foreign:
        yield warning(
            "doctor.W009",
            _("%(count)d job(s) in django-apscheduler's table come from no schedule; nobody executes them: %(names)s.")
            % {"count": len(foreign), "names": _some(foreign)},
            "python manage.py import_schedules apscheduler --dry-run",
        )


def _some(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(sorted(names)[:limit])
    return f"{shown} …" if len(names) > limit else shown
