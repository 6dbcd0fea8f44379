"""What dead scheduler processes left behind: runs that say `running` while nobody executes them.

Called by the leader only, at its take-over and every few seconds (`scheduling.dispatcher`).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import psutil
from django.db.models import Q

from scheduling import leader, limits, runs
from scheduling.ends import CHUNK
from scheduling.models import InstanceState, Run, SchedulerInstance
from scheduling.models.instance import STALE_AFTER_SECONDS

logger = logging.getLogger(__name__)

FENCE = timedelta(seconds=20)
"""How long a run of another host waits to be run again: a process that lives there after all notices within 5 s that
its run is another's (`CLAIM_CHECK_SECONDS`), and its scheduler kills it some 8 s after that."""
KILL_SECONDS = 5.0
"""Seconds that killed processes get to be gone; those that are not are looked at again the next time."""


def recover(me: SchedulerInstance, now: datetime | None = None) -> Iterator[Run]:
    """Mark the runs of dead processes as lost, let them run again where the policy says so; yield those found lost.

    It works as it is iterated, `CHUNK` runs at a time, so that it takes no more memory for ten thousand than for some.

    1. A process counts as dead when it ran on this host and its pid is gone or belongs to a process with another start
       time; when it ended in order; or, on another host, when it has been silent past its lease.
    2. Children of the dead that still live on this host are killed first, with all that they started; a run whose
       child does not go is left for the next time. So no run is executed twice at once.
    3. Runs of another host wait for `FENCE` before they run again, since nobody here can see the process die.
    """
    now = now or leader.server_time()
    dead = [
        instance
        for instance in SchedulerInstance.objects.exclude(pk=me.pk).with_something_left()
        if is_dead(instance, now)
    ]
    SchedulerInstance.objects.filter(pk__in=[instance.pk for instance in dead]).say_lost(now)
    left = Run.objects.running().filter(Q(instance__in=dead) | Q(instance__isnull=True)).order_by("pk")
    rows = left.select_related("instance").only("instance", "pid", "process_started")
    looked_at = 0
    while orphans := list(rows.filter(pk__gt=looked_at)[:CHUNK]):
        looked_at = orphans[-1].pk
        alive = kill(orphans)
        here = [run for run in orphans if run.pk not in alive and (run.instance is None or is_here(run.instance))]
        elsewhere = [run for run in orphans if run.instance is not None and not is_here(run.instance)]
        lost = runs.lose(here, now=now) + runs.lose(elsewhere, FENCE, now)
        for run in lost:
            logger.warning("%s is %s: %s", run, run.get_status_display(), run.outcome)
        yield from lost


def is_here(instance: SchedulerInstance) -> bool:
    """Tell whether a scheduler process runs, or ran, on this host."""
    return instance.host == socket.gethostname()


def is_dead(instance: SchedulerInstance, now: datetime) -> bool:
    """Tell whether a scheduler process has certainly ended, or has been silent past its lease.

    That another one leads proves nothing: the old leader may only have lost its connection, and its runs go on.
    """
    if instance.state == InstanceState.STOPPED:
        return True
    if is_here(instance):
        return not process_lives(instance.pid, instance.process_started)
    return now - instance.heartbeat_at > timedelta(seconds=STALE_AFTER_SECONDS)


def process_lives(pid: int, started: float) -> bool:
    """Tell whether a process of this host still is the one that started at `started` (seconds since 1970)."""
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def kill(orphans: Iterable[Run]) -> set[int]:
    """Kill the children of dead schedulers of this host that still live; return the runs of those that do not go.

    They end by themselves when their scheduler does; this is for the one that could not.
    """
    processes: dict[int, list[psutil.Process]] = {}
    for run in orphans:
        if run.pid is None or run.process_started is None or run.instance is None or not is_here(run.instance):
            continue
        if run.pid != run.instance.pid and process_lives(run.pid, run.process_started):
            logger.warning("Run %s: its process %s outlived its scheduler and is killed.", run.pk, run.pid)
            processes[run.pk] = limits.family(run.pid)
    for family in processes.values():
        for process in family:
            limits.kill(process)
    _gone, alive = psutil.wait_procs([process for family in processes.values() for process in family], KILL_SECONDS)
    return {run_id for run_id, family in processes.items() if any(process in alive for process in family)}
