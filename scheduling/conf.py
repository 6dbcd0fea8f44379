"""Settings of scheduling, derived from Django's; the environment variables stand in `newss_project.settings`."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from scheduling.models import ExecutorAlias
from scheduling.models.instance import HEARTBEAT_SECONDS


def parallel_runs(executor: str) -> int:
    """Return how many runs an executor may execute at once."""
    limits = {
        ExecutorAlias.THREADS: settings.NEWSS_EXECUTOR_THREADS,
        ExecutorAlias.PROCESSES: settings.NEWSS_EXECUTOR_PROCESSES,
    }
    return int(limits[ExecutorAlias(executor)])


def grace_seconds() -> float:
    """Return how long running runs may take to end when the scheduler stops, in seconds."""
    return float(settings.NEWSS_GRACE_SECONDS)


def lease_seconds() -> float:
    """Return after how many seconds without a heartbeat a leader that still holds the lock is replaced."""
    return float(settings.NEWSS_LEASE_SECONDS)


def heartbeat_seconds() -> float:
    """Return the seconds between two heartbeats of a scheduler process: four fit into the lease."""
    return min(HEARTBEAT_SECONDS, lease_seconds() / 4)


@dataclass(frozen=True)
class Retention:
    """How much housekeeping keeps, by age in days and by number of rows; 0 is no limit."""

    runs_days: float
    runs_per_schedule: int
    log_days: float
    log_lines: int
    executions_days: float
    executions_per_job: int
    instances_days: float
    instances: int


def retention() -> Retention:
    """Return how much housekeeping keeps (`NEWSS_KEEP_…`)."""
    return Retention(**{name: getattr(settings, f"NEWSS_KEEP_{name.upper()}") for name in Retention.__annotations__})
