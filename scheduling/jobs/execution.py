"""The execution of one claimed run: from its row to the job function and back. Executors call it, in a child process
or in a thread; so does whoever calls a schedule's APScheduler job by hand, and then the run is a committed row first.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling.database import REFUSALS, DatabaseAway, Refused, one_line
from scheduling.ends import Finished, Outcome, cancelled, finish
from scheduling.jobs.context import RunCancelled, RunContext, StopReason
from scheduling.jobs.registry import JobError, JobResult, registry
from scheduling.jobs.spool import Spool
from scheduling.limits import took_too_long, took_too_much
from scheduling.models import Run, RunStatus, Schedule
from scheduling.storable import error_words

logger = logging.getLogger(__name__)

FRESH_CLAIM = timedelta(seconds=5)
"""How long a claim is as good as a look at the row: well below the `STALE_AFTER_SECONDS` after which a silent process
is taken for dead."""
DATABASE_PATIENCE_SECONDS = 120.0
"""How long the begin and the end of a run wait for a database that went away."""


def execute_scheduled_scraping(
    schedule_id: int | None,
    run_id: int | None = None,
    claim_token: str = "",
    on_context: Callable[[RunContext], None] | None = None,
    spool: Spool | None = None,
) -> Run | None:
    """Execute a run that was claimed under `claim_token`; return its row as it ended, None if it was no longer ours.

    Without a run (somebody called the APScheduler job itself), commit one by hand for the schedule and return it: the
    scheduler will execute it. `on_context` is handed the run's context before the job begins, to cancel it;
    `spool` keeps its log in case this process is killed.
    """
    if run_id is None:
        assert schedule_id is not None
        return Schedule.objects.get(pk=schedule_id).run_now()[0]
    run = _patiently(lambda: _begin(run_id, claim_token), run_id)
    if run is None:
        logger.warning("Run %s was not started: it is no longer held under this claim.", run_id)
        return None
    context = RunContext(run, spool)
    if on_context:
        on_context(context)
    context.open()
    outcome = _call(run, context)
    context.close()
    return _patiently(lambda: _end(run_id, claim_token, outcome), run_id)


def execute_claimed(
    run: Run, on_context: Callable[[RunContext], None], confirmed_at: datetime | None = None
) -> Finished | None:
    """Execute a run just claimed by this very process; return how it ended, for its caller to write.

    The claim itself says that the run has begun. One that was claimed longer ago, and not confirmed since
    (`confirmed_at`, UTC: its row still said that it is held), is looked at first: this process may have slept, and been
    taken for dead. Then None says that it is no longer held. `on_context` as above.
    """
    held_at = max(filter(None, (run.started_at, confirmed_at)), default=None)
    started = datetime.now(UTC)
    if held_at is None or not timedelta(0) <= started - held_at < FRESH_CLAIM:
        begun = _patiently(lambda: _begin(run.pk, run.claim_token), run.pk)
        if begun is None:
            logger.warning("Run %s was not started: it is no longer held under this claim.", run.pk)
            return None
        run = begun
    context = RunContext(run)
    on_context(context)
    context.open(lazily=True)
    outcome = _call(run, context)
    context.close()
    if outcome.status == RunStatus.CANCELLED:
        outcome = replace(cancelled(run.pk), summary=outcome.summary, traceback=outcome.traceback)
    return Finished(run, outcome, started, datetime.now(UTC))


def _begin(run_id: int, claim_token: str) -> Run | None:
    """Note that the run begins in this process; return its row, or None if it is no longer held."""
    process = {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
    if not Run.objects.claimed(run_id, claim_token).update(started_at=timezone.now(), **process):
        return None
    return Run.objects.get(pk=run_id)


def _end(run_id: int, claim_token: str, outcome: Outcome) -> Run | None:
    if outcome.status == RunStatus.CANCELLED:
        outcome = replace(cancelled(run_id), summary=outcome.summary, traceback=outcome.traceback)
    return finish(run_id, claim_token, outcome)


def _call(run: Run, context: RunContext) -> Outcome:
    """Call the job function and turn whatever it does into an outcome.

    Once it was asked to stop, that is how it ended, whether it raises or returns; its counts and traceback are kept.
    """
    try:
        definition = registry.get(run.job)
        result = definition.function(context, **definition.complete(run.parameters))
        if result is None:
            result = JobResult()
        elif not isinstance(result, JobResult) or not isinstance(result.summary, dict):
            raise TypeError(f"a job returns a JobResult whose summary is a dict, or None; this one returned {result!r}")
    except RunCancelled:
        outcome = Outcome(RunStatus.CANCELLED)
    except ValidationError as error:
        sentence = _("Bad parameters: %(what)s") % {"what": "; ".join(error.messages)}
        outcome = Outcome(RunStatus.FAILED, sentence, retry=False, error_class="parameters")
    except JobError as error:
        outcome = Outcome(RunStatus.FAILED, str(error), retry=error.retry, error_class=error.error_class)
    except MemoryError as error:
        logger.exception("Run %s of job %s ran out of memory.", run.pk, run.job)
        outcome = took_too_much(run) if run.memory_limit_mb else _unexpected(error)
    # A job may also call sys.exit(), or let asyncio's CancelledError pass: neither may take its thread's run along.
    except BaseException as error:
        logger.exception("Run %s of job %s failed.", run.pk, run.job)
        outcome = _unexpected(error)
    else:
        status = RunStatus.PARTIAL if result.partial else RunStatus.SUCCEEDED
        outcome = Outcome(
            status,
            result.outcome,
            summary=result.summary,
            error_class=result.error_class if result.partial else "",
            nothing_due=result.nothing_due and not result.partial,
        )
    if context.stop_reason is StopReason.TIME_LIMIT:
        return replace(took_too_long(run), traceback=outcome.traceback, summary=outcome.summary)
    if context.stop_reason is not None:
        return Outcome(RunStatus.CANCELLED, traceback=outcome.traceback, summary=outcome.summary)
    return outcome


def _unexpected(error: BaseException) -> Outcome:
    return Outcome(RunStatus.FAILED, error_words(error), traceback.format_exc(), error_class=type(error).__name__)


def _patiently(step: Callable[[], Run | None], run_id: int) -> Run | None:
    """Do one step at the begin or end of a run; a database that went away is waited for, one that refuses is not."""
    deadline = time.monotonic() + DATABASE_PATIENCE_SECONDS
    pause, refusals = 0.2, 0
    while True:
        try:
            return step()
        except DatabaseAway as error:
            refusals += isinstance(error, Refused)
            if refusals == REFUSALS or time.monotonic() > deadline:
                raise
            logger.warning("Run %s waits for the database: %s", run_id, one_line(error))
            connection.close()
            time.sleep(pause)
            pause = min(pause * 2, 5.0)
