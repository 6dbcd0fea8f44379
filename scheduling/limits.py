"""The limits of a run: what it may take in time and memory, and the words for having taken more.

The time limit is soft first (`RunContext` asks the job to stop), then hard (`executors.processes` kills). Memory is
measured by what would be free again if the process and all that it started were gone: what they share with the process
they were forked from is not theirs.
"""

from __future__ import annotations

import contextlib
import resource

import psutil
from django.utils.translation import gettext as _

from scheduling.ends import Outcome
from scheduling.models import Run, RunStatus

MEGABYTE = 1024 * 1024
WATCH_SECONDS = 0.25
"""Seconds between two looks at the memory of a child process."""
SUDDEN_MB = 512
"""Megabytes beyond twice its limit that a child may ask for between two looks, before the kernel refuses."""


def took_too_long(run: Run, killed: bool = False) -> Outcome:
    """Return the outcome of a run that exceeded its time limit, and whether it had to be killed."""
    if killed:
        sentence = _(
            "Exceeded its time limit of %(limit)d s, did not stop within %(grace)d s after that, and was killed."
        ) % {"limit": run.time_limit_seconds, "grace": run.kill_after_seconds}
    else:
        sentence = _("Exceeded its time limit of %(limit)d s.") % {"limit": run.time_limit_seconds}
    return Outcome(RunStatus.TIMED_OUT, sentence)


def took_too_much(run: Run) -> Outcome:
    """Return the outcome of a run that exceeded its memory limit."""
    sentence = _("It exceeded its memory limit of %(limit)d MB.") % {"limit": run.memory_limit_mb}
    return Outcome(RunStatus.FAILED, sentence, error_class="memory limit")


def memory_of(pid: int) -> int:
    """Return the bytes that a process and its descendants hold for themselves, swapped out ones included."""
    total = 0
    for process in family(pid):
        try:
            memory = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            # It has just ended, or became another user's: neither holds anything of this run's.
            continue
        total += memory.uss + getattr(memory, "swap", 0)
    return total


def family(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants, also those that made a session of their own; empty if it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(process: psutil.Process) -> None:
    """Kill a process that may have ended by itself meanwhile."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def bound_memory(limit_mb: int) -> None:
    """Let the kernel refuse this process what it asks for far beyond its limit, all at once.

    The watcher of `executors.processes` measures what is used and says so in words; this is for the process that takes
    all of the machine's memory between two looks. It bounds data (RLIMIT_DATA), not addresses: numpy and lxml reserve
    more of those than they ever use.
    """
    now = psutil.Process().memory_info().data
    most = now + (2 * limit_mb + SUDDEN_MB) * MEGABYTE
    _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
