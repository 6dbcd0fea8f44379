"""Conditions on schedules: search, pauses that are over, the last runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.db.models import Exists, Min, OuterRef, Q, Subquery
from django.utils.text import smart_split, unescape_string_literal

from scheduling.models.run import Run
from scheduling.models.state import Pause, ScheduleState
from scheduling.models.tag import Tag

if TYPE_CHECKING:
    from scheduling.models.schedule import Schedule  # noqa: F401  named in the base of the query set


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    """Conditions on schedules."""

    def enabled(self) -> ScheduleQuerySet:
        """Keep the schedules that a person wants to run."""
        return self.filter(enabled=True)

    def paused(self, at: datetime) -> ScheduleQuerySet:
        """Keep the schedules that are paused at a moment."""
        return self.filter(paused_at__isnull=False).exclude(paused_until__lte=at)

    def search(self, text: str) -> ScheduleQuerySet:
        """Keep the schedules with each word of a text in the name, the note, a tag or what the job would do.

        Of what the job would do, the job itself decides: its parameters hold keys, and only it knows their names. So
        the parameters of all of these schedules are read, in one statement.
        """
        from scheduling.jobs import registry

        words = [
            unescape_string_literal(bit) if bit[0] in "\"'" and bit[0] == bit[-1] and len(bit) > 1 else bit
            for bit in smart_split(text)
        ]
        if not words:
            return self
        rows = list(self.order_by().values_list("pk", "job", "parameters"))
        kept = self
        for word in words:
            hits = registry.search(word, [(job, parameters) for _key, job, parameters in rows])
            keys = [row[0] for row, hit in zip(rows, hits, strict=True) if hit]
            tagged = Tag.objects.filter(name__icontains=word, schedules=OuterRef("pk"))
            own = Q(name__icontains=word) | Q(description__icontains=word)
            kept = kept.filter(own | Exists(tagged) | Q(pk__in=keys))
        return kept

    @transaction.atomic
    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete them; they are locked before their runs are touched, as everybody does (`RunQuerySet.lock`)."""
        list(self.model.objects.filter(pk__in=self.values("pk")).order_by("pk").select_for_update().values_list("pk"))
        return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def resume_due(self, at: datetime) -> datetime | None:
        """Resume the schedules whose pause is over at a moment; return when the next pause will be (None: none)."""
        ends = self.filter(paused_until__isnull=False)
        first: datetime | None = ends.aggregate(first=Min("paused_until"))["first"]
        if first is None or first > at:
            return first
        with transaction.atomic():
            over = list(ends.filter(paused_until__lte=at).order_by("pk").select_for_update(no_key=True))
            Pause.objects.bulk_create(filter(None, (one.ended_pause(at) for one in over)), ignore_conflicts=True)
            keys = [schedule.pk for schedule in over]
            ScheduleState.objects.filter(schedule__in=keys).update(failures_in_row=0)
            self.filter(pk__in=keys).update(paused_at=None, paused_by=None, pause_reason="", paused_until=None)
        following: datetime | None = ends.aggregate(first=Min("paused_until"))["first"]
        return following

    def due_before(self, schedule_id: int | None, moment: datetime) -> datetime | None:
        """Return the last due time (UTC) of a schedule before a moment, by its present trigger; None where none is.

        Schedules that were deleted, are broken or run by hand only have none.
        """
        schedule = None if schedule_id is None else self.filter(pk=schedule_id).first()
        trigger = schedule.trigger() if schedule and not schedule.problem() else None
        return trigger.last_before(moment) if trigger else None

    def with_last_run(self) -> ScheduleQuerySet:
        """Add `last_run_id`, `last_run_status` and `last_run_finished_at` of the newest executed run."""
        runs = Run.objects.executed().filter(schedule=OuterRef("pk")).order_by("-queued_at", "-id")
        return self.annotate(
            last_run_id=Subquery(runs.values("pk")[:1]),
            last_run_status=Subquery(runs.values("status")[:1]),
            last_run_finished_at=Subquery(runs.values("finished_at")[:1]),
        )
