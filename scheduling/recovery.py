"""What dead scheduler processes left behind: runs that say `running` while nobody executes them."""

from __future__ import annotations

import logging
import socket
from datetime import datetime

import psutil
from django.utils import timezone

from scheduling import runs
from scheduling.models import InstanceState, Run, SchedulerInstance

logger = logging.getLogger(__name__)


def recover(me: SchedulerInstance, now: datetime | None = None) -> list[Run]:
    """Mark the runs of dead processes as lost and return them; called at take-over, by the leader only.

    A process counts as dead when it ran on this host and its pid is gone or belongs to a process with another start
    time; when it ended in order; or, on another host, when its heartbeat is stale.
    """
    now = now or timezone.now()
    orphans = []
    for run in Run.objects.running().select_related("instance").exclude(instance=me):
        if run.instance is None or is_dead(run.instance, now):
            orphans.append(run)
    lost = runs.lose(orphans)
    for run in lost:
        logger.warning("%s is %s: %s", run, run.get_status_display(), run.outcome)
    return lost


def is_dead(instance: SchedulerInstance, now: datetime) -> bool:
    """Tell whether a scheduler process has certainly ended, or has been silent past its lease."""
    if instance.state == InstanceState.STOPPED:
        return True
    if instance.host == socket.gethostname():
        return not process_lives(instance.pid, instance.process_started)
    return not instance.is_beating(now)


def process_lives(pid: int, started: float) -> bool:
    """Tell whether a process of this host still is the one that started at `started` (seconds since 1970)."""
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
