"""Executors: where a claimed run is executed. The dispatcher hands runs over; an executor reports each end."""

from scheduling.executors.base import Executor
from scheduling.executors.processes import ProcessExecutor
from scheduling.executors.threads import ThreadExecutor

__all__ = ["Executor", "ProcessExecutor", "ThreadExecutor"]
