"""Which run follows one that ended badly: a retry, a recovery, or none. Rules without a database; `scheduling.ends`
brings the rows and commits what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from scheduling.models import Cause, Run, RunStatus, Schedule
from scheduling.triggers.jitter import share

SPREAD = 0.2
"""The share of a back-off by which its jitter may shorten it, so that what failed together does not return together."""
MAX_RECOVERIES = 3
"""So often one execution is run again because its process died: it might be what kills it."""


@dataclass(frozen=True)
class Tries:
    """How many attempts came before, in one execution: since the fire or request that began it."""

    retries: int = 0
    recoveries: int = 0


def next_attempt(run: Run, schedule: Schedule | None, before: Tries, retryable: bool, now: datetime) -> Run | None:
    """Return the unsaved run that follows an ended one as another attempt at the same thing, or None.

    1. Without a schedule there is no policy; one that is disabled or paused begins nothing by itself.
    2. What was lost is run again at once if the policy says so, at most `MAX_RECOVERIES` times.
    3. What failed or timed out is retried as often as the policy says, after a back-off; bad configuration
       (`retryable` is false) never. Whatever succeeded, was partial or was cancelled is not.
    4. The new attempt has the parameters, limits and executor of the old one.
    """
    if schedule is None or not schedule.enabled or schedule.is_paused(now):
        return None
    if run.status == RunStatus.LOST:
        if not schedule.rerun_lost or before.recoveries >= MAX_RECOVERIES:
            return None
        return run.next_attempt(cause=Cause.RECOVERY, queued_at=now)
    wanted = {RunStatus.FAILED: schedule.retry_failed, RunStatus.TIMED_OUT: schedule.retry_timed_out}
    if not retryable or not wanted.get(RunStatus(run.status), False) or before.retries >= schedule.max_retries:
        return None
    number = before.retries + 1
    retry = run.next_attempt(cause=Cause.RETRY, queued_at=now)
    retry.not_before = now + back_off(schedule, run, number)
    retry.wait_reason = _("Retry %(number)d of %(of)d waits until %(until)s.") % {
        "number": number,
        "of": schedule.max_retries,
        "until": f"{retry.not_before.astimezone(ZoneInfo(schedule.timezone)):%Y-%m-%d %H:%M:%S}, {schedule.timezone}",
    }
    return retry


def back_off(schedule: Schedule, run: Run, number: int) -> timedelta:
    """Return how long the retry of this number (from 1) waits: doubled each time up to the longest delay, less jitter.

    The jitter follows from schedule, run and number, so that the same question has the same answer.
    """
    # 2 ** 31 s are 68 years: no longer delay can be asked for, and the power stays small.
    seconds = min(schedule.retry_delay_seconds * 2 ** min(number - 1, 31), schedule.retry_delay_max_seconds)
    return timedelta(seconds=seconds * (1 - SPREAD * share(f"{schedule.pk}:{run.pk}:{number}")))
