"""Settings of scheduling, derived from Django's; the environment variables stand in `newss_project.settings`."""

from __future__ import annotations

from django.conf import settings

from scheduling.models import ExecutorAlias


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
