"""Housekeeping jobs: plain APScheduler jobs in the memory store, added by code at each start."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import connection

from scheduling import leader, retention
from scheduling.database import DatabaseAway, one_line
from scheduling.models import InstanceState, SchedulerInstance

logger = logging.getLogger(__name__)

STORE = "housekeeping"
"""The alias of the memory store."""
RETENTION_SECONDS = 600
"""Seconds between two looks for what is no longer kept."""


def note_stale_heartbeats() -> None:
    """Mark scheduler processes that went silent as lost; by the clock of the database server, as they write it."""
    try:
        now = leader.server_time()
        silent = SchedulerInstance.objects.stale(now).update(state=InstanceState.LOST, ended_at=now)
        if silent:
            logger.warning("%s scheduler process(es) went silent and count as lost.", silent)
    except DatabaseAway as error:
        logger.warning("Stale heartbeats cannot be looked for now: %s", one_line(error))
    finally:
        connection.close()


def remove_old_rows(stopped: Callable[[], bool]) -> None:
    """Remove what the settings no longer keep, until done or `stopped()`; by the clock of the database server, too."""
    try:
        retention.remove_old(leader.server_time(), stopped)
    except DatabaseAway as error:
        logger.warning("Old rows cannot be removed now: %s", one_line(error))
    finally:
        connection.close()


def add_jobs(scheduler: Any, reconcile: Callable[[], None], stopped: Callable[[], bool]) -> None:
    """Add the housekeeping jobs to a scheduler.

    `reconcile` asks it to compare all schedules with all jobs; `stopped` tells whether this term of leadership ends.
    """
    jobs = (
        ("stale-heartbeats", 10, note_stale_heartbeats, ()),
        ("reconcile", 60, reconcile, ()),
        ("retention", RETENTION_SECONDS, remove_old_rows, (stopped,)),
    )
    for name, seconds, function, arguments in jobs:
        scheduler.add_job(
            function,
            "interval",
            args=arguments,
            seconds=seconds,
            id=name,
            jobstore=STORE,
            misfire_grace_time=None,
            coalesce=True,
        )
