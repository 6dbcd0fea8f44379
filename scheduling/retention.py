"""What is removed, by age and by count: runs with all that hangs on them, log lines, execution rows, ended processes.

Called by housekeeping (`scheduling.housekeeping`). Rows go in batches of a few hundred, each a transaction of its own
with a pause after it, so that no lock is held for long and SQLite's other writers get their turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django_apscheduler.models import DjangoJobExecution

from scheduling import conf
from scheduling.database import DatabaseAway
from scheduling.jobs.keeping import PAUSE_SECONDS, Stopped, remove_rows, removers
from scheduling.models import Cause, Run, RunLog, Schedule, SchedulerInstance
from scheduling.models.run_queries import RunQuerySet
from scheduling.models.schedule import JOB_ID_PREFIX
from scheduling.statements import listed

logger = logging.getLogger(__name__)

BATCH = 500
"""Runs, or rows of another kind, that one transaction removes."""
LINES_BATCH = 5_000
"""Log lines that one transaction removes; nothing hangs on them."""


def remove_old(now: datetime, stopped: Stopped = lambda: False) -> dict[str, int]:
    """Remove what the settings no longer keep; return how many rows of each kind, without what hung on them.

    Log lines go first, so that a run that goes later has few; last comes what apps have registered.
    """
    kinds = {
        "log lines": remove_log_lines,
        "runs": remove_runs,
        "execution rows": remove_executions,
        "scheduler processes": remove_instances,
        **removers,
    }
    removed = {}
    for kind, remove in kinds.items():
        if stopped():
            break
        try:
            removed[kind] = remove(now, stopped)
        except DatabaseAway:
            raise
        except Exception:
            # One rule that fails leaves the others their turn.
            logger.exception("Housekeeping could not remove %s.", kind)
            continue
        if removed[kind]:
            logger.info("Housekeeping removed %s %s.", removed[kind], kind)
    return removed


def _removable(runs: Sequence[Run]) -> list[int]:
    """Return the keys of those ended runs that may be removed at all; kept whatever their age are

    1. the runs that active ones were caused by;
    2. of each schedule the newest run, the newest that was executed and the newest that succeeded: pages and jobs
       ask for them;
    3. of each schedule the run with the latest due time, so that a lost job row cannot count from an earlier one and
       fire again what was run.

    What is kept is looked up once for each schedule: asked of each run, whether there is a newer one that succeeded, it
    took a quarter of a minute for a batch of a schedule that had failed ten thousand times since.
    """
    newest = Run.objects.filter(schedule=OuterRef("pk")).order_by("-queued_at", "-id")
    due = Run.objects.filter(schedule=OuterRef("pk"), cause=Cause.SCHEDULE).order_by("-scheduled_for")
    schedules = Schedule.objects.filter(pk__in=listed({run.schedule_id for run in runs if run.schedule_id is not None}))
    kept = set(Run.objects.active().filter(parent__in=[run.pk for run in runs]).values_list("parent", flat=True))
    latest_due = {}
    for key, latest, *keys in schedules.order_by().values_list(
        "pk",
        Subquery(due.values("scheduled_for")[:1]),
        Subquery(newest.values("pk")[:1]),
        Subquery(newest.executed().values("pk")[:1]),
        Subquery(newest.succeeded().values("pk")[:1]),
    ):
        kept.update(keys)
        latest_due[key] = latest
    return [
        run.pk
        for run in runs
        if run.pk not in kept
        and not (run.cause == Cause.SCHEDULE and run.scheduled_for == latest_due.get(run.schedule_id or 0))
    ]


def remove_runs(now: datetime, stopped: Stopped = lambda: False) -> int:
    """Remove runs that are too old, and of each schedule (and of those without one) what exceeds the number kept."""
    removed = 0
    if days := conf.retention().runs_days:
        removed += _remove_runs(Run.objects.filter(queued_at__lt=now - timedelta(days=days)), stopped)
    if keep := conf.retention().runs_per_schedule:
        counts = Run.objects.order_by().values_list("schedule").annotate(runs=Count("pk")).filter(runs__gt=keep)
        for schedule_id in list(counts.values_list("schedule", flat=True)):
            of_schedule = Q(schedule=schedule_id) if schedule_id else Q(schedule__isnull=True)
            last_kept = Run.objects.filter(of_schedule).order_by("-queued_at", "-id")[keep - 1 : keep].get()
            older = Q(queued_at__lt=last_kept.queued_at) | Q(queued_at=last_kept.queued_at, pk__lt=last_kept.pk)
            removed += _remove_runs(Run.objects.filter(of_schedule, older), stopped)
    return removed


def _remove_runs(runs: RunQuerySet, stopped: Stopped) -> int:
    """Remove ended runs from the oldest on, the lines of a long log in transactions of their own before."""
    removed = 0
    ended = runs.ended().order_by("queued_at", "id").only("queued_at", "schedule", "cause", "scheduled_for")
    rest = ended
    while not stopped():
        found = list(rest[:BATCH])
        if not found:
            break
        # Going on behind the last batch: those that are kept need not be looked at again.
        last = found[-1]
        rest = ended.filter(queued_at__gte=last.queued_at).exclude(queued_at=last.queued_at, pk__lte=last.pk)
        keys = _removable(found)
        if not keys:
            continue
        remove_rows(RunLog.objects.filter(run__in=keys), LINES_BATCH, stopped)
        children = list(Run.objects.filter(parent__in=keys).values_list("pk", flat=True))
        with transaction.atomic():
            # Their `parent` is cleared with the removal: all are locked in the order in which everybody does.
            Run.objects.filter(pk__in=[*keys, *children]).lock()
            # Asked again: what has become the newest, or was caused anew, meanwhile is kept.
            gone = set(keys).intersection(_removable(found))
            Run.objects.filter(pk__in=gone).delete()
        removed += len(gone)
        time.sleep(PAUSE_SECONDS)
    return removed


def remove_log_lines(now: datetime, stopped: Stopped = lambda: False) -> int:
    """Remove log lines of ended runs that are too old, and the oldest of what exceeds the number kept in all."""
    ended = RunLog.objects.exclude(run__in=Run.objects.active())
    removed = 0
    if days := conf.retention().log_days:
        removed += remove_rows(ended.filter(at__lt=now - timedelta(days=days)), LINES_BATCH, stopped)
    if keep := conf.retention().log_lines:
        last_kept = RunLog.objects.order_by("-id").values_list("pk", flat=True)[keep - 1 : keep].first()
        if last_kept is not None:
            removed += remove_rows(ended.filter(pk__lt=last_kept), LINES_BATCH, stopped)
    return removed


def remove_executions(now: datetime, stopped: Stopped = lambda: False) -> int:
    """Remove django-apscheduler's execution rows of our jobs by age, and of each job what exceeds the number kept."""
    ours = DjangoJobExecution.objects.filter(job__id__startswith=JOB_ID_PREFIX)
    removed = 0
    if days := conf.retention().executions_days:
        removed += remove_rows(ours.filter(run_time__lt=now - timedelta(days=days)), BATCH, stopped)
    if keep := conf.retention().executions_per_job:
        counts = ours.order_by().values("job").annotate(rows=Count("pk")).filter(rows__gt=keep)
        for job_id in list(counts.values_list("job", flat=True)):
            rows = ours.filter(job=job_id)
            last_kept = rows.order_by("-run_time").values_list("run_time", flat=True)[keep - 1]
            removed += remove_rows(rows.filter(run_time__lt=last_kept), BATCH, stopped)
    return removed


def remove_instances(now: datetime, stopped: Stopped = lambda: False) -> int:
    """Remove ended scheduler processes by age and by number; those that a run names stay as long as the run."""
    ended = SchedulerInstance.objects.filter(ended_at__isnull=False)
    unnamed = ended.filter(~Exists(Run.objects.filter(instance=OuterRef("pk"))))
    removed = 0
    if days := conf.retention().instances_days:
        removed += remove_rows(unnamed.filter(ended_at__lt=now - timedelta(days=days)), BATCH, stopped)
    if keep := conf.retention().instances:
        last_kept = ended.order_by("-ended_at", "-id").values_list("ended_at", flat=True)[keep - 1 : keep].first()
        if last_kept is not None:
            removed += remove_rows(unnamed.filter(ended_at__lt=last_kept), BATCH, stopped)
    return removed
