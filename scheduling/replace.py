"""The concurrency policy `replace`: a newer run of a schedule lets the older ones end.

Called in the transaction that commits the newer run: by the fire path, and by `Schedule.run_now()`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import CharField, Exists, OuterRef, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Concat
from django.utils.translation import gettext as _

from scheduling.ends import Outcome, end
from scheduling.models import Cause, ConcurrencyPolicy, Run, RunStatus, Schedule


def replace_older(schedule_ids: Iterable[int] | RawSQL, now: datetime) -> None:
    """Cancel the active runs of these schedules that have a newer one, where their policy is `replace`.

    A running one is asked to stop, and the newer one waits until it has ended; one that waits ends at once. A retry or
    recovery replaces nothing, and backfills neither replace nor are replaced.
    """
    newer = Run.objects.active().filter(schedule=OuterRef("schedule"), pk__gt=OuterRef("pk"), backfill__isnull=True)
    newer = newer.exclude(cause__in=[Cause.RETRY, Cause.RECOVERY])
    replacing = Schedule.objects.filter(pk__in=schedule_ids, concurrency_policy=ConcurrencyPolicy.REPLACE)
    older = Run.objects.active().filter(Exists(newer), schedule__in=replacing.values("pk"), backfill__isnull=True)
    if not older.lock():
        return
    newest = Cast(Subquery(newer.order_by("-pk").values("pk")[:1]), CharField())
    before, after = _("Replaced by run %(run)s.").split("%(run)s")
    older.running().filter(cancel_requested_at__isnull=True).update(
        cancel_requested_at=now, cancel_reason=Concat(Value(before), newest, Value(after))
    )
    sentence = _("Replaced by a newer run before it started.")
    end(older.queued(), Outcome(RunStatus.CANCELLED, sentence), now, cancel_requested_at=now)
