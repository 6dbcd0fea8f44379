"""What the whole installation is doing now: which scheduler leads, what runs and waits, what comes next.

The dashboard and the strip on its top ask here; each answer costs a constant number of queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count
from django.utils import timezone

from scheduling.models import InstanceState, Run, RunStatus, SchedulerInstance

COMMAND = "python manage.py runapscheduler"
"""What starts a scheduler, as the banner says it."""


@dataclass(frozen=True)
class Strip:
    """The scheduler at a glance."""

    active: SchedulerInstance | None
    standing_by: int
    silent: list[SchedulerInstance]
    queued: int
    running: int
    running_runs: list[Run] = field(default_factory=list)
    command: str = COMMAND


def strip(now: datetime | None = None, shown: int = 10) -> Strip:
    """Return the state of the scheduler processes and of the runs that have not ended (the first `shown` in full)."""
    now = now or timezone.now()
    processes = list(SchedulerInstance.objects.filter(state__in=InstanceState.alive()))
    beating = [process for process in processes if process.is_beating(now)]
    counts = dict(Run.objects.active().order_by().values_list("status").annotate(Count("pk")))
    running = counts.get(RunStatus.RUNNING, 0)
    return Strip(
        active=next((process for process in beating if process.state == InstanceState.ACTIVE), None),
        standing_by=sum(process.state == InstanceState.STANDBY for process in beating),
        silent=[process for process in processes if process not in beating],
        queued=counts.get(RunStatus.QUEUED, 0),
        running=running,
        running_runs=list(Run.objects.running().order_by("started_at", "id")[:shown]) if running else [],
    )
