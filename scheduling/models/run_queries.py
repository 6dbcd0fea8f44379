"""Conditions on runs: what waits for what, what may start, what has ended; and their creation by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, When, Window
from django.db.models.functions import RowNumber

from scheduling.models.choices import Cause, ConcurrencyPolicy, RunStatus
from scheduling.models.installation import Hold

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from scheduling.models.run import Run
    from scheduling.models.schedule import Schedule


class RunQuerySet(models.QuerySet["Run"]):
    """Conditions on runs, and their creation by hand (those of due schedules: `scheduling.fires`)."""

    def active(self) -> RunQuerySet:
        """Keep the runs that have not ended.

        They have no end (`run_ended_has_end`). That is said too, here and below, since it is what the partial indexes
        of active runs name: SQLite uses none whose condition has values, which a query only brings as parameters.
        """
        return self.filter(status__in=RunStatus.active(), finished_at__isnull=True)

    def queued(self) -> RunQuerySet:
        """Keep the runs that wait to be started."""
        return self.filter(status=RunStatus.QUEUED, finished_at__isnull=True)

    def running(self) -> RunQuerySet:
        """Keep the runs that are being executed."""
        return self.filter(status=RunStatus.RUNNING, finished_at__isnull=True)

    def ended(self) -> RunQuerySet:
        """Keep the runs that have ended."""
        return self.filter(status__in=RunStatus.final())

    def executed(self) -> RunQuerySet:
        """Keep the runs that were really started and have ended (neither skipped nor missed)."""
        return self.ended().filter(started_at__isnull=False)

    def succeeded(self) -> RunQuerySet:
        """Keep the runs that did all of their work."""
        return self.filter(status=RunStatus.SUCCEEDED)

    def due(self, now: datetime) -> RunQuerySet:
        """Keep the queued runs that may start at `now`."""
        return self.queued().filter(self.is_due(now))

    def startable(self, now: datetime) -> RunQuerySet:
        """Keep the queued runs that only lack a free place at `now`; the claim takes no other.

        Every rule that lets a run wait stands here, one condition each:
        1. Its time has come (a retry's back-off, jitter).
        2. Nothing is held.
        3. Unless its schedule's concurrency policy is `allow`, no other run of the schedule is before it.
        4. Its backfill, if it belongs to one, has room for it.
        """
        may = Q(schedule__isnull=True) | Q(schedule__concurrency_policy=ConcurrencyPolicy.ALLOW)
        may |= Q(~Exists(self.model.objects.before(now)), backfill__isnull=True)
        may |= Q(~Exists(self.model.objects.before_backfill(now)), backfill__isnull=False)
        in_turn = Q(backfill__isnull=True) | Q(pk__in=self.model.objects.in_turn_of_backfill(now).values("pk"))
        return self.due(now).filter(may, in_turn, ~Exists(Hold.objects.filter(is_open=True)))

    def before(self, now: datetime, run: Run | None = None) -> RunQuerySet:
        """Keep what a run (by default that of an outer query) waits for where no two of a schedule may run at once.

        That is whatever runs of its schedule, and what was queued earlier and is due. Backfills come after it.
        """
        mine = _values_of(run)
        queued = Q(self.is_due(now), status=RunStatus.QUEUED, backfill__isnull=True, pk__lt=mine("pk"))
        return self.active().filter(Q(status=RunStatus.RUNNING) | queued, schedule=mine("schedule_id"))

    def before_backfill(self, now: datetime, run: Run | None = None) -> RunQuerySet:
        """Keep what a run of a backfill (by default that of an outer query) waits for where no two may run at once.

        That is whatever else is due or runs of its schedule, and earlier backfills. How many of its own backfill run at
        once is the backfill's to say.
        """
        mine = _values_of(run)
        not_its_own = Q(backfill__isnull=True) | ~Q(backfill=mine("backfill_id"))
        earlier = Q(backfill__isnull=True) | Q(backfill__lt=mine("backfill_id"))
        return self.active().filter(
            Q(not_its_own, status=RunStatus.RUNNING) | Q(earlier, self.is_due(now), status=RunStatus.QUEUED),
            schedule=mine("schedule_id"),
        )

    def in_turn_of_backfill(self, now: datetime) -> RunQuerySet:
        """Keep the runs of backfills that may be active at once: those that run, then the earliest queued."""
        waits = Case(When(status=RunStatus.RUNNING, then=0), default=1)
        place = Window(RowNumber(), partition_by="backfill", order_by=[waits, "pk"])
        active = Q(status=RunStatus.RUNNING) | Q(self.is_due(now), status=RunStatus.QUEUED)
        runs = self.filter(active, backfill__isnull=False, finished_at__isnull=True)
        return runs.annotate(place=place).filter(place__lte=F("backfill__at_once"))

    @staticmethod
    def is_due(now: datetime) -> Q:
        """Return the condition that a queued run's time has come."""
        return Q(not_before__isnull=True) | Q(not_before__lte=now)

    def active_for(self, schedule: Schedule) -> RunQuerySet:
        """Keep the runs of a schedule that have not ended."""
        return self.active().filter(schedule=schedule)

    def claimed(self, run_id: int, token: str) -> RunQuerySet:
        """Keep the one run that is still held under this claim token."""
        return self.running().filter(pk=run_id, claim_token=token)

    def to_cancel(self) -> RunQuerySet:
        """Keep the runs that have not ended and that nobody has asked to end."""
        return self.active().filter(cancel_requested_at__isnull=True)

    def cancel_requested(self) -> RunQuerySet:
        """Keep the running runs that somebody wants to end."""
        return self.running().filter(cancel_requested_at__isnull=False)

    def lock(self, *, wait: bool = True) -> list[int]:
        """Lock these runs until the transaction ends, in the order of their ids; return the ids of those still there.

        Several runs are locked in this order only, and after the schedules that are locked with them: so no two
        transactions wait for each other. Without `wait`, what another transaction holds is left out. The query set must
        not reach into other tables by a join.
        """
        rows = self.order_by("pk").select_for_update(no_key=True, skip_locked=not wait)
        return list(rows.values_list("pk", flat=True))

    def start(
        self,
        *,
        job: str,
        parameters: dict[str, Any],
        cause: Cause,
        by: User | None = None,
        request_key: str | None = None,
        executor: str | None = None,
        parent: Run | None = None,
    ) -> tuple[Run, bool]:
        """Commit a queued run of a job without a schedule; return it and whether it is new.

        A `request_key` that was used before returns the run of that request, so a double click is one run.
        Raises `django.core.exceptions.ValidationError` for an unknown job or wrong parameters.
        """
        from scheduling.jobs import registry

        definition = registry.get(job)
        values = {
            "schedule_name": "",
            "job": job,
            "parameters": definition.clean(parameters),
            "executor": executor or definition.executor,
            "cause": cause,
            "requested_by": by,
            "parent": parent,
        }
        if request_key is None:
            return self.create(**values), True
        return self.get_or_create(request_key=request_key, defaults=values)


def _values_of(run: Run | None) -> Callable[[str], Any]:
    """Return a run's value by name; without a run, a reference to the row of the outer query."""
    return OuterRef if run is None else lambda name: getattr(run, name)
