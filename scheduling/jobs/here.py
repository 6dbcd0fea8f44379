"""A run in the calling process itself, for commands in a terminal: a committed row like any other, with no scheduler.

The process has a row among the scheduler processes while it works, so that a scheduler, on this host or another, does
not take its run for one that was left behind.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from django.db import connection, transaction
from django.utils import timezone

from scheduling.database import DatabaseAway, one_line
from scheduling.jobs.context import RunContext
from scheduling.jobs.execution import execute_scheduled_scraping
from scheduling.models import Cause, InstanceState, Run, RunStatus, SchedulerInstance

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""Seconds between two looks at the run: how far it is, and whether somebody wants it to end."""


def run_here(job: str, parameters: dict[str, Any], on_look: Callable[[Run], None] | None = None) -> Run | None:
    """Execute a job in this process and return its run as it ended; None if the run was taken away meanwhile.

    `on_look` is called with the run's row every half second, in another thread. Ctrl-C, SIGTERM and *Cancel* in the
    admin end it in order. Raises `ValidationError` for an unknown job or wrong parameters.
    """
    token = uuid.uuid4().hex
    process = {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
    with transaction.atomic():
        run, _new = Run.objects.start(job=job, parameters=parameters, cause=Cause.MANUAL)
        instance = SchedulerInstance.objects.create(host=socket.gethostname(), state=InstanceState.COMMAND, **process)
        Run.objects.filter(pk=run.pk).update(
            status=RunStatus.RUNNING, claim_token=token, instance=instance, started_at=timezone.now(), **process
        )
    ended = threading.Event()
    watchers: list[threading.Thread] = []

    def begin(context: RunContext) -> None:
        arguments = (run.pk, instance.pk, context, ended, on_look)
        watchers.append(threading.Thread(target=_watch, args=arguments, name="run-here", daemon=True))
        watchers[0].start()
        stoppable.append(context)

    stoppable: list[RunContext] = []
    try:
        with _signals(stoppable):
            return execute_scheduled_scraping(None, run.pk, token, begin)
    finally:
        ended.set()
        for watcher in watchers:
            watcher.join()
        SchedulerInstance.objects.filter(pk=instance.pk).update(state=InstanceState.STOPPED, ended_at=timezone.now())


@contextmanager
def _signals(contexts: list[RunContext]) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask the run to stop (in the main thread; elsewhere signals are not ours)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_of: object) -> None:
        # In a thread, since a handler may interrupt the very lock that asking takes.
        for context in contexts:
            threading.Thread(target=context.request_cancel, daemon=True).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(
    run_id: int,
    instance_id: int,
    context: RunContext,
    ended: threading.Event,
    on_look: Callable[[Run], None] | None,
) -> None:
    try:
        while not ended.wait(LOOK_SECONDS):
            try:
                SchedulerInstance.objects.filter(pk=instance_id).update(heartbeat_at=timezone.now())
                run = Run.objects.filter(pk=run_id).first()
            except DatabaseAway as error:
                logger.warning("Run %s cannot be looked at, will be tried again: %s", run_id, one_line(error))
                connection.close()
                continue
            if run is not None and on_look:
                on_look(run)
            if run is not None and run.cancel_requested_at is not None:
                context.request_cancel()
    finally:
        connection.close()
