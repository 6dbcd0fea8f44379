"""Transitions of runs in the scheduler's hands: claimed, handed back, ended from outside. Those that a person or a job
causes stand in `Run`; what follows from an end, in `scheduling.ends`.

Each is a compare-and-set on the status (and the claim token), so that whoever comes second finds nothing to do.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import leader
from scheduling.ends import CHUNK, Outcome, cancelled, end, finish
from scheduling.jobs.spool import Spool
from scheduling.models import Run, RunLog, RunStatus, SchedulerInstance
from scheduling.models.run import Held
from scheduling.statements import listed


def claim(
    executor: str, limit: int, instance: SchedulerInstance, epoch: int, now: datetime, *, token: str | None = None
) -> list[Run]:
    """Take up to `limit` queued runs of an executor that may start now, in the order in which they became due.

    The token (by default a new one) is this claim's: what is written under an older one is refused. Raises
    `LostLeadership`, or what the database raises; then the claim is in doubt, since it may have been committed.
    """
    if limit <= 0:
        return []
    # Most looks find nothing queued at all, and to put the rules of `startable` together costs ten times that question.
    if not Run.objects.queued().filter(executor=executor).exists():
        return []
    waiting = Run.objects.startable(now).filter(executor=executor)
    if not waiting.exists():
        return []
    token = token or uuid.uuid4().hex
    with transaction.atomic():
        leader.check_epoch(epoch)
        order = Coalesce(F("not_before"), F("scheduled_for"), F("queued_at"))
        # Backfills come after all that became due by itself.
        waiting = waiting.order_by(F("backfill").asc(nulls_first=True), order, "id")
        ids = list(waiting.values_list("pk", flat=True)[:limit])
        # What somebody else is about to end or to change is left for the next look.
        free = Run.objects.queued().filter(pk__in=ids).lock(wait=False)
        Run.objects.filter(pk__in=free).update(
            status=RunStatus.RUNNING, claim_token=token, instance=instance, started_at=now, wait_reason="", pid=None
        )
        # In the order of the queue; without what a run that begins does not have yet.
        claimed = Run.objects.running().filter(pk__in=ids, claim_token=token)
        rows = {run.pk: run for run in claimed.defer("summary", "traceback", "outcome", "progress_message")}
        return [rows[run_id] for run_id in ids if run_id in rows]


def no_place(executor: str, limit: int) -> str:
    """Return in a sentence that a run waits for a free place of its executor."""
    return _("Waits for a free place: all %(limit)d of the executor “%(executor)s” are in use.") % {
        "limit": limit,
        "executor": executor,
    }


def say_wait(executor: str, limit: int, now: datetime) -> None:
    """Tell on the runs that an executor has no room for what they wait for."""
    reason = no_place(executor, limit)
    waiting = Run.objects.startable(now).filter(executor=executor).exclude(wait_reason=reason)
    with transaction.atomic():
        # In two steps: as a subquery of the locking one, the server may look for what waits once for each row.
        ids = list(waiting.values_list("pk", flat=True))
        free = Run.objects.queued().filter(pk__in=listed(ids)).lock(wait=False)
        Run.objects.filter(pk__in=listed(free)).update(wait_reason=reason)


def hand_back(run: Held, reason: str) -> bool:
    """Put a claimed run back into the queue, for the next scheduler; return whether it was still claimed."""
    return bool(
        Run.objects.claimed(run.pk, run.claim_token).update(
            status=RunStatus.QUEUED,
            claim_token="",
            started_at=None,
            instance=None,
            pid=None,
            wait_reason=reason[:200],
            progress_done=0,
            progress_total=None,
            progress_message="",
        )
    )


def keep_log(run: Run, spool: Spool) -> None:
    """Write the log lines that a run's process had not written when it ended, if the run is still held."""
    with transaction.atomic():
        # The update locks the row: the claim cannot change until the lines are in.
        if Run.objects.claimed(run.pk, run.claim_token).update(claim_token=run.claim_token):
            RunLog.objects.bulk_create(spool.missing(run.pk), batch_size=500)


def hand_back_all(claimed: Collection[Held], reason: str) -> None:
    """Put claimed runs that have not begun back into the queue."""
    for token in {run.claim_token for run in claimed}:
        ids = [run.pk for run in claimed if run.claim_token == token]
        for start in range(0, len(ids), CHUNK):
            held = Run.objects.running().filter(pk__in=ids[start : start + CHUNK], claim_token=token)
            with transaction.atomic():
                Run.objects.filter(pk__in=held.lock()).update(
                    status=RunStatus.QUEUED, claim_token="", started_at=None, instance=None, wait_reason=reason[:200]
                )


def end_dead(run: Run, outcome: Outcome) -> Run | None:
    """End a run whose child process is gone without a word: cancelled if somebody asked for it, else as given."""
    if Run.objects.cancel_requested().filter(pk=run.pk).exists():
        outcome = cancelled(run.pk)
    return finish(run.pk, run.claim_token, outcome)


def lose(runs: Collection[Run], fence: timedelta = timedelta(0), now: datetime | None = None) -> list[Run]:
    """Mark running runs whose process died as `lost` (or cancelled, where that had been asked for); return those that
    were still running under the same process. One transaction for `CHUNK` runs, however many there are.

    `fence` is how long their next attempts wait, where the death is not proven.
    """
    lost: list[Run] = []
    for instance in {run.instance for run in runs}:
        sentence = _("The scheduler process %(instance)s that executed it died.") % {"instance": instance or "?"}
        died = Outcome(RunStatus.LOST, sentence, fence=fence)
        asked = Outcome(RunStatus.CANCELLED, _("Cancelled; its process had died."))
        ids = [run.pk for run in runs if run.instance == instance]
        for start in range(0, len(ids), CHUNK):
            dead = Run.objects.running().filter(pk__in=ids[start : start + CHUNK], instance=instance)
            lost += end(dead.filter(cancel_requested_at__isnull=False), asked, now)
            lost += end(dead.filter(cancel_requested_at__isnull=True), died, now)
    return lost


def waiting_since(now: datetime | None = None) -> datetime | None:
    """Return the earliest `not_before` in the future among queued runs: when the dispatcher must look again."""
    now = now or timezone.now()
    return (
        Run.objects.queued()
        .filter(not_before__gt=now)
        .order_by("not_before")
        .values_list("not_before", flat=True)
        .first()
    )
