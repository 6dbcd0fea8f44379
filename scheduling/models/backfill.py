"""Backfills: runs for due times of the past, asked for by a person."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models import Count, F, Q
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from scheduling import audit
from scheduling.models.choices import Cause, RunStatus
from scheduling.models.run import Run
from scheduling.triggers.base import SMALLEST_STEP
from scheduling.triggers.fields import out_of_years

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOST_DUE_TIMES = 10_000
"""The most due times that the window of a backfill may hold."""

CHUNK = 500
"""Rows in one INSERT."""


class BackfillWhich(models.TextChoices):
    """Which due times of the window get a run."""

    #: Those that no run has dealt with: none at all, or only a `missed`, `skipped` or `lost` one.
    MISSING = "missing", _("the missing ones")
    #: These, and those whose last attempt ended badly.
    FAILED = "failed", _("the missing and the failed ones")
    #: Every due time.
    ALL = "all", _("all")


_WITHOUT_WORK = {RunStatus.MISSED, RunStatus.SKIPPED, RunStatus.LOST}
"""What the last attempt at a due time may have become, so that the due time counts as missing."""

_BAD = {RunStatus.FAILED, RunStatus.TIMED_OUT}
"""What counts as failed besides."""


class BackfillOrder(models.TextChoices):
    """In which order they are run."""

    OLDEST = "oldest", _("oldest first")
    NEWEST = "newest", _("newest first")


@dataclass(frozen=True)
class BackfillItem:
    """One due time in the window of a backfill, and what the backfill does about it."""

    scheduled_for: datetime
    last: Run | None
    """The last attempt at it, or the `missed` run whose range covers it."""
    attempt: int
    """The number of the attempt that a run of it would be."""
    wanted: bool
    """It gets a run."""

    @property
    def words(self) -> str:
        """Return in a sentence what becomes of it and why, e.g. "Runs again as attempt 2: run 7 failed."."""
        if self.last is None:
            return gettext("Runs: it has no run.")
        phrases = {
            (True, True): gettext("Runs again as attempt %(attempt)d: run %(run)d is %(status)s."),
            (True, False): gettext("Runs: run %(run)d covers it and is %(status)s."),
            (False, True): gettext("Left alone: run %(run)d is %(status)s."),
            (False, False): gettext("Left alone: run %(run)d covers it and is %(status)s."),
        }
        values = {"attempt": self.attempt, "run": self.last.pk, "status": RunStatus(self.last.status).label}
        return phrases[self.wanted, self.last.scheduled_for == self.scheduled_for] % values


class BackfillQuerySet(models.QuerySet["Backfill"]):
    """Conditions on backfills, and counts of their runs."""

    def with_counts(self) -> BackfillQuerySet:
        """Add `run_count`, `active_count`, `succeeded_count` and `bad_count` (ended and neither good nor partial)."""
        good = Q(runs__status__in=[RunStatus.SUCCEEDED, RunStatus.PARTIAL])
        return self.annotate(
            run_count=Count("runs"),
            active_count=Count("runs", filter=Q(runs__status__in=RunStatus.active())),
            succeeded_count=Count("runs", filter=good),
            bad_count=Count("runs", filter=Q(runs__status__in=RunStatus.final()) & ~good),
        )


class Backfill(models.Model):
    """A window of the past, and how its due times are run."""

    schedule = models.ForeignKey(
        "scheduling.Schedule", verbose_name=_("schedule"), on_delete=models.CASCADE, related_name="backfills"
    )
    window_start = models.DateTimeField(_("from"))
    window_end = models.DateTimeField(_("until"))
    which = models.CharField(_("which"), max_length=10, choices=BackfillWhich.choices, default=BackfillWhich.MISSING)
    order = models.CharField(_("order"), max_length=10, choices=BackfillOrder.choices, default=BackfillOrder.OLDEST)
    at_once = models.PositiveSmallIntegerField(_("at once"), default=1, validators=[MinValueValidator(1)])
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("requested by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)

    objects = BackfillQuerySet.as_manager()

    class Meta:
        verbose_name = _("backfill")
        verbose_name_plural = _("backfills")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(which__in=BackfillWhich.values), name="backfill_which_legal"),
            models.CheckConstraint(condition=Q(order__in=BackfillOrder.values), name="backfill_order_legal"),
            models.CheckConstraint(condition=Q(at_once__gte=1), name="backfill_at_once_positive"),
            models.CheckConstraint(condition=Q(window_end__gt=F("window_start")), name="backfill_window_legal"),
        ]
        permissions = [("cancel_backfill", _("Can cancel backfills"))]

    def __str__(self) -> str:
        return f"{self.schedule}: {self.window_start:%Y-%m-%d %H:%M}–{self.window_end:%Y-%m-%d %H:%M}"

    def clean(self) -> None:
        """Check the window and the schedule; every message stands at the field that caused it."""
        if None in (self.schedule_id, self.window_start, self.window_end):
            return  # the field says so itself
        if problem := self.schedule.problem():
            raise ValidationError({"schedule": problem})
        if self.schedule.trigger() is None:
            raise ValidationError({"schedule": gettext("This schedule is run by hand only; it has no due times.")})
        for name in ("window_start", "window_end"):
            if problem := out_of_years(getattr(self, name)):
                raise ValidationError({name: problem})
        if self.window_end <= self.window_start:
            raise ValidationError({"window_end": gettext("The end must be after the start.")})
        now = timezone.now()
        if self.window_start > now:
            raise ValidationError({"window_start": gettext("A backfill is for due times of the past.")})
        if (count := self._count(now)) > MOST_DUE_TIMES:
            message = gettext("There are %(count)d due times between these; a backfill holds at most %(most)d.")
            raise ValidationError({"window_end": message % {"count": count, "most": MOST_DUE_TIMES}})

    def preview(self, now: datetime | None = None) -> list[BackfillItem]:
        """Return each due time from `window_start` through `window_end`, but none after `now`, with what becomes of it.

        In the order in which they are run; of a window that `clean` refuses for its size, the first are returned.
        """
        due_times = self._due_times(now or timezone.now())
        last = self._last_attempts(due_times)
        items = [self._item(due, last.get(due)) for due in due_times]
        return items if self.order == BackfillOrder.OLDEST else items[::-1]

    def start(self, now: datetime | None = None) -> list[BackfillItem]:
        """Commit this backfill with its runs in one transaction; return the due times that get one.

        1. The schedule's row is locked, so that no fire gives the same due times runs meanwhile.
        2. The due times are looked at anew: what a preview showed may have run since.
        3. Each wanted one gets a queued run with the next attempt's number, linked to the attempt before. They start
           behind whatever else waits for this schedule, at most `at_once` at a time (`RunQuerySet.startable`).

        The next due time is left alone. Raises a `ValidationError` when it makes no sense or there is nothing to run.
        """
        now = now or timezone.now()
        with transaction.atomic():
            # The lock comes before the look at the runs.
            type(self.schedule).objects.select_for_update().get(pk=self.schedule_id)
            self.full_clean()
            wanted = [item for item in self.preview(now) if item.wanted]
            if not wanted:
                raise ValidationError(gettext("There is nothing to run: no due time in this window is left to do."))
            self.created_at = now
            self.save(force_insert=True)
            Run.objects.bulk_create((self._run(item, now) for item in wanted), batch_size=CHUNK)
            started = ngettext("Started %(count)d run", "Started %(count)d runs", len(wanted)) % {"count": len(wanted)}
            audit.note(self.requested_by, self, started)
        return wanted

    def cancel(self, by: User | None = None) -> int:
        """Cancel all its runs that have not ended, those that run by asking them to stop; return how many that were."""
        from scheduling.ends import Outcome, end

        now = timezone.now()
        outcome = Outcome(RunStatus.CANCELLED, gettext("Cancelled with its backfill before it started."))
        asked = {"cancel_requested_at": now, "cancel_requested_by": by}
        runs = Run.objects.filter(backfill=self)
        with transaction.atomic():
            Backfill.objects.filter(pk=self.pk, cancelled_at=None).update(cancelled_at=now)
            queued = list(runs.queued().values_list("pk", flat=True))
            count = 0
            for start in range(0, len(queued), CHUNK):
                count += len(end(runs.queued().filter(pk__in=queued[start : start + CHUNK]), outcome, now, **asked))
            # Those that began since the look at the queue are asked as well.
            count += runs.filter(pk__in=runs.running().filter(cancel_requested_at=None).lock()).update(**asked)
            if count:
                cancelled = ngettext("Cancelled %(count)d run", "Cancelled %(count)d runs", count) % {"count": count}
                audit.note(by, self, cancelled)
        self.refresh_from_db(fields=["cancelled_at"])
        return count

    def _count(self, now: datetime) -> int:
        """Return the number of due times in the window."""
        trigger, until = self.schedule.trigger(), min(self.window_end, now)
        first = trigger.next_from(self.window_start) if trigger else None
        return trigger.due_times(first, until).count if trigger and first and first <= until else 0

    def _due_times(self, now: datetime) -> list[datetime]:
        """Return the due times of the window, oldest first, at most `MOST_DUE_TIMES`."""
        trigger = self.schedule.trigger()
        if trigger is None:
            return []
        times = trigger.between(self.window_start - SMALLEST_STEP, min(self.window_end, now))
        return list(islice(times, MOST_DUE_TIMES))

    def _last_attempts(self, due_times: list[datetime]) -> dict[datetime, Run]:
        """Return the last attempt at each due time that has a row, else the `missed` run that covers it."""
        if not due_times:
            return {}
        first, latest = due_times[0], due_times[-1]
        runs = Run.objects.filter(schedule=self.schedule).only("scheduled_for", "missed_until", "attempt", "status")
        attempts = runs.filter(scheduled_for__range=(first, latest)).order_by("attempt")
        own = {run.scheduled_for: run for run in attempts if run.scheduled_for}
        missed = runs.filter(missed_until__gte=first, scheduled_for__lte=latest)
        return {**_covered(due_times, missed.order_by("scheduled_for")), **own}

    def _item(self, due: datetime, last: Run | None) -> BackfillItem:
        if last is None:
            return BackfillItem(due, None, 1, wanted=True)
        wanted = {
            BackfillWhich.MISSING: last.status in _WITHOUT_WORK,
            BackfillWhich.FAILED: last.status in _WITHOUT_WORK | _BAD,
            BackfillWhich.ALL: not last.is_active,
        }[BackfillWhich(self.which)]
        return BackfillItem(due, last, last.attempt + 1 if last.scheduled_for == due else 1, wanted)

    def _run(self, item: BackfillItem, now: datetime) -> Run:
        return Run.of(
            self.schedule,
            cause=Cause.BACKFILL,
            backfill=self,
            requested_by=self.requested_by,
            scheduled_for=item.scheduled_for,
            attempt=item.attempt,
            parent=item.last,
            queued_at=now,
            # What became due in the past does not push itself before what is due now.
            not_before=now,
            wait_reason=gettext("Waits for its turn in the backfill: at most %(count)d at once.")
            % {"count": self.at_once},
        )


def _covered(due_times: list[datetime], missed: Iterable[Run]) -> dict[datetime, Run]:
    """Return the `missed` run of each due time that lies in the range of one."""
    covered: dict[datetime, Run] = {}
    for run in missed:
        if run.scheduled_for and run.missed_until:
            begin, end = bisect_left(due_times, run.scheduled_for), bisect_right(due_times, run.missed_until)
            covered |= dict.fromkeys(due_times[begin:end], run)
    return covered
