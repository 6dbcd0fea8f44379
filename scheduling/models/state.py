"""What becomes of a schedule in the engine's hands: what is counted, and when it was paused.

Apart from the schedule's own row, so that counting is no edit of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.choices import RunStatus
from scheduling.models.run import Run


class ScheduleStateManager(models.Manager["ScheduleState"]):
    """Counting, within the transaction of what is counted."""

    def note_ends(self, runs: Iterable[Run]) -> set[int]:
        """Count the ends of runs that all ended alike; return the schedules that this paused.

        Called once for each final end of a run (one that will be retried is no end), in that end's transaction. It
        takes a constant number of statements, and a few more for each schedule that is paused.

        1. Runs that succeeded, also in part, set the failed runs in a row to zero.
        2. Each that failed, timed out or was lost adds one.
        3. When they reach the schedule's `pause_after_failures`, it is paused and says so.
        4. Other ends (cancelled, skipped, missed) say nothing about the job and count neither way.
        """
        counts: dict[str, Counter[int]] = {}
        for run in runs:
            if run.schedule_id is not None:
                counts.setdefault(run.status, Counter())[run.schedule_id] += 1
        paused: set[int] = set()
        for status, schedules in counts.items():
            if status in RunStatus.good():
                self.filter(schedule__in=self._lock(schedules), failures_in_row__gt=0).update(failures_in_row=0)
            elif status in RunStatus.bad():
                paused |= self._add_failures(schedules)
        return paused

    def _lock(self, schedules: Iterable[int]) -> set[int]:
        """Lock the rows of schedules in the order of their ids; return for which there are some."""
        rows = self.filter(schedule__in=schedules).order_by("pk").select_for_update(no_key=True)
        return set(rows.values_list("pk", flat=True))

    def _add_failures(self, failures: Counter[int]) -> set[int]:
        """Add to the failed runs in a row of schedules; return those that were paused for it."""
        missing = sorted(failures.keys() - self._lock(failures))
        self.bulk_create((ScheduleState(schedule_id=key) for key in missing), ignore_conflicts=True)
        for number in set(failures.values()):
            keys = [key for key, count in failures.items() if count == number]
            self.filter(schedule__in=keys).update(failures_in_row=F("failures_in_row") + number)
        too_many = self.filter(
            schedule__in=failures,
            schedule__paused_at__isnull=True,
            failures_in_row__gte=F("schedule__pause_after_failures"),
        )
        paused = list(too_many.select_related("schedule").order_by("pk"))
        for state in paused:
            number = state.failures_in_row
            sentence = ngettext("%(count)d run in a row failed", "%(count)d runs in a row failed", number)
            state.schedule.pause(reason=sentence % {"count": number})
        return {state.pk for state in paused}


class ScheduleState(models.Model):
    """What the engine counts of a schedule."""

    schedule = models.OneToOneField(
        "scheduling.Schedule", on_delete=models.CASCADE, primary_key=True, related_name="state"
    )
    fired = models.PositiveIntegerField(
        _("runs fired"), default=0, help_text=_("Counted while the schedule ends after so many runs.")
    )
    failures_in_row = models.PositiveIntegerField(_("failed runs in a row"), default=0)

    objects = ScheduleStateManager()

    class Meta:
        verbose_name = _("state of a schedule")
        verbose_name_plural = _("states of schedules")

    def __str__(self) -> str:
        return f"{self.schedule_id}: {self.fired} fired, {self.failures_in_row} failed in a row"


class Pause(models.Model):
    """A time in which one schedule was paused; written when it ends (while it lasts, it stands on the schedule)."""

    schedule = models.ForeignKey(
        "scheduling.Schedule", verbose_name=_("schedule"), on_delete=models.CASCADE, related_name="pauses"
    )
    started_at = models.DateTimeField(_("paused"))
    ended_at = models.DateTimeField(_("resumed"))
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("paused by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        ordering = ["-started_at", "-id"]
        constraints = [
            # A pause is noted once, by the method that ends it or else by the trigger in the database.
            models.UniqueConstraint(fields=["schedule", "started_at"], name="pause_unique"),
            models.CheckConstraint(condition=Q(ended_at__gte=F("started_at")), name="pause_ends_after_start"),
        ]
        # Used by the fire path: the pauses that ended after a due time.
        indexes = [models.Index(fields=["ended_at"], name="pause_ended")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}–{self.ended_at:%Y-%m-%d %H:%M}: {self.words()}"

    def words(self) -> str:
        """Return by whom and why, e.g. "paused by anna: moving house"."""
        return pause_words(str(self.paused_by) if self.paused_by else "", self.reason)


def pause_words(who: str, reason: str) -> str:
    """Return in words by whom and why a schedule is or was paused."""
    if who and reason:
        return gettext("paused by %(who)s: %(reason)s") % {"who": who, "reason": reason}
    if who:
        return gettext("paused by %(who)s") % {"who": who}
    return gettext("paused: %(reason)s") % {"reason": reason} if reason else gettext("paused")
