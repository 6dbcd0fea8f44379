"""Housekeeping jobs: plain APScheduler jobs in the memory store, added by code at each start."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from scheduling.database import DatabaseAway, one_line
from scheduling.models import InstanceState, SchedulerInstance

logger = logging.getLogger(__name__)

STORE = "housekeeping"
"""The alias of the memory store."""
KEEP_ENDED_INSTANCES = timedelta(days=7)
"""How long the row of an ended scheduler process is kept."""


def note_stale_heartbeats() -> None:
    """Mark scheduler processes that went silent as lost, and forget those that ended long ago."""
    now = timezone.now()
    try:
        silent = SchedulerInstance.objects.stale(now).update(state=InstanceState.LOST, ended_at=now)
        if silent:
            logger.warning("%s scheduler process(es) went silent and count as lost.", silent)
        SchedulerInstance.objects.filter(ended_at__lt=now - KEEP_ENDED_INSTANCES).delete()
    except DatabaseAway as error:
        logger.warning("Stale heartbeats cannot be looked for now: %s", one_line(error))
    finally:
        connection.close()


def add_jobs(scheduler: Any, reconcile: Any) -> None:
    """Add the housekeeping jobs to a scheduler; `reconcile` asks it to compare all schedules with all jobs."""
    for function, seconds, name in ((note_stale_heartbeats, 10, "stale-heartbeats"), (reconcile, 60, "reconcile")):
        scheduler.add_job(
            function, "interval", seconds=seconds, id=name, jobstore=STORE, misfire_grace_time=None, coalesce=True
        )
