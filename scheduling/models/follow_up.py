"""Follow-ups: that one schedule is run after another has ended. No path of them leads back to its start."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.choices import RunStatus
from scheduling.models.schedule import Schedule


class FollowOn(models.TextChoices):
    """After which ends of its predecessor a schedule follows."""

    SUCCESS = "success", _("it succeeded")
    PARTIAL = "partial", _("it succeeded or was partial")
    FAILURE = "failure", _("it failed")
    ANY = "any", _("it ended, however")

    def holds_for(self, status: str) -> bool:
        """Tell whether a run that ended like this is followed; timed out and lost ones have failed."""
        return status in _ENDS[self]


_ENDS: dict[str, set[RunStatus]] = {
    FollowOn.SUCCESS: {RunStatus.SUCCEEDED},
    FollowOn.PARTIAL: {RunStatus.SUCCEEDED, RunStatus.PARTIAL},
    FollowOn.FAILURE: {RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.LOST},
    # What was skipped or missed never became a run, so it has no end that could be followed.
    FollowOn.ANY: {*RunStatus.final()} - {RunStatus.SKIPPED, RunStatus.MISSED},
}


class FollowUp(models.Model):
    """That one schedule is run after another; the follow-up run is committed with the end of its predecessor."""

    predecessor = models.ForeignKey(
        Schedule, verbose_name=_("after"), on_delete=models.CASCADE, related_name="follow_ups"
    )
    successor = models.ForeignKey(
        Schedule, verbose_name=_("schedule"), on_delete=models.CASCADE, related_name="follows"
    )
    on = models.CharField(_("when"), max_length=10, choices=FollowOn.choices, default=FollowOn.SUCCESS)

    class Meta:
        verbose_name = _("follow-up")
        verbose_name_plural = _("follow-ups")
        ordering = ["predecessor", "successor"]
        constraints = [
            models.UniqueConstraint(fields=["predecessor", "successor"], name="followup_unique"),
            models.CheckConstraint(condition=Q(on__in=FollowOn.values), name="followup_on_legal"),
            models.CheckConstraint(condition=~Q(predecessor=models.F("successor")), name="followup_not_itself"),
        ]

    def __str__(self) -> str:
        return gettext("%(successor)s after %(predecessor)s") % {
            "successor": self.successor,
            "predecessor": self.predecessor,
        }

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, unless it would close a circle, also with what somebody else saves at the same time.

        1. Both schedules and all follow-ups are locked: two edits that could close a circle together share at least
           one of these rows, so the second of them sees what the first has saved.
        2. Then the circle is looked for. Raises `ValidationError`.
        """
        with transaction.atomic():
            ends = [self.predecessor_id, self.successor_id]
            list(Schedule.objects.filter(pk__in=ends).order_by("pk").select_for_update(no_key=True).values_list("pk"))
            list(FollowUp.objects.order_by("pk").select_for_update(no_key=True).values_list("pk"))
            self.clean()
            super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse a follow-up that would lead back to its start, naming the schedules on the way.

        Raises `ValidationError`, not at a field: a form may show either of the two.
        """
        way = self._way_back()
        if way is None:
            return
        names = dict(Schedule.objects.filter(pk__in=way).values_list("pk", "name"))
        raise ValidationError(
            gettext("This would go round in a circle: %(way)s. Every run would start the next one for ever."),
            code="circle",
            params={"way": " → ".join(names.get(schedule_id, "?") for schedule_id in [self.predecessor_id, *way])},
        )

    def _way_back(self) -> list[int] | None:
        """Return the schedules from the successor to the predecessor along other follow-ups, None without a way."""
        if not (self.predecessor_id and self.successor_id):
            return None
        after: dict[int, list[int]] = defaultdict(list)
        others = FollowUp.objects.exclude(pk=self.pk) if self.pk else FollowUp.objects.all()
        for predecessor, successor in others.values_list("predecessor_id", "successor_id"):
            after[predecessor].append(successor)
        came_from: dict[int, int | None] = {self.successor_id: None}
        ahead = [self.successor_id]
        while ahead:
            schedule = ahead.pop()
            if schedule == self.predecessor_id:
                way: list[int] = []
                step: int | None = schedule
                while step is not None:
                    way.insert(0, step)
                    step = came_from[step]
                return way
            for following in after[schedule]:
                if following not in came_from:
                    came_from[following] = schedule
                    ahead.append(following)
        return None
