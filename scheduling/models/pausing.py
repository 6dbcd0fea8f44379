"""Pausing a schedule: by whom, why, until when. While it lasts it stands on the schedule; then it is a `Pause`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduling import audit
from scheduling.models.state import Pause, ScheduleState, pause_words
from scheduling.triggers.fields import out_of_years

if TYPE_CHECKING:
    from django.contrib.auth.models import User

REASON_LENGTH = 200
"""Characters of a reason that are kept."""


class Pausable(models.Model):
    """What a schedule knows of its pause."""

    paused_at = models.DateTimeField(_("paused"), null=True, blank=True, editable=False)
    paused_until = models.DateTimeField(_("paused until"), null=True, blank=True, editable=False)
    paused_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("paused by"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    pause_reason = models.CharField(_("reason of the pause"), max_length=200, blank=True, editable=False)

    class Meta:
        abstract = True

    def is_paused(self, at: datetime | None = None) -> bool:
        """Tell whether this schedule is paused at a moment (now by default)."""
        return self.paused_at is not None and (self.paused_until is None or self.paused_until > (at or now()))

    def pause_words(self) -> str:
        """Return in words by whom and why this schedule is paused; empty when it is not."""
        return pause_words(str(self.paused_by) if self.paused_by else "", self.pause_reason) if self.is_paused() else ""

    def pause(
        self, by: User | None = None, reason: str = "", until: datetime | None = None, *, at: datetime | None = None
    ) -> None:
        """Let no due time of this schedule become a run until it is resumed, by a person or at `until`.

        A schedule that is paused already stays so from when it was, with the new reason and end. Runs go on, and can
        still be started by hand. Raises `ValidationError` for an end that is not in the future, or too far in it.
        """
        at = at or now()
        if problem := out_of_years(until):
            raise ValidationError({"until": problem})
        if until is not None and until <= at:
            raise ValidationError({"until": gettext("The end of the pause must be in the future.")})
        with transaction.atomic():
            locked = self._rows().select_for_update(no_key=True).get(pk=self.pk)
            start = locked.paused_at if locked.is_paused(at) else at
            if start != locked.paused_at:
                self._keep_pause(locked, at)
            self._set_pause(
                paused_at=start, paused_by=by, pause_reason=reason.strip()[:REASON_LENGTH], paused_until=until
            )
            audit.note(by, self, gettext("Paused: %(reason)s") % {"reason": self.pause_reason or "–"})

    def resume(self, by: User | None = None, *, at: datetime | None = None) -> bool:
        """End the pause; return whether there was one.

        The due times within it are not run afterwards: the next fire makes them one `missed` row that says why. A
        pause that ended by itself before `at` ended when it was to end. Failed runs are counted anew.
        """
        at = at or now()
        with transaction.atomic():
            locked = self._rows().select_for_update(no_key=True).get(pk=self.pk)
            paused = locked.paused_at is not None
            if paused:
                self._keep_pause(locked, at)
                self._set_pause(paused_at=None, paused_by=None, pause_reason="", paused_until=None)
                ScheduleState.objects.filter(schedule_id=self.pk).update(failures_in_row=0)
                audit.note(by, self, gettext("Resumed"))
        return paused

    def ended_pause(self, at: datetime) -> Pause | None:
        """Return, unsaved, the pause that ends at a moment, or ended before when it was to end; None without one."""
        if self.paused_at is None:
            return None
        end = max(self.paused_at, min(at, self.paused_until or at))
        return Pause(
            schedule_id=self.pk,
            started_at=self.paused_at,
            ended_at=end,
            reason=self.pause_reason,
            paused_by_id=self.paused_by_id,
        )

    def _keep_pause(self, locked: Self, at: datetime) -> None:
        if pause := locked.ended_pause(at):
            Pause.objects.bulk_create([pause], ignore_conflicts=True)

    def _set_pause(self, **values: Any) -> None:
        self._rows().filter(pk=self.pk).update(**values)
        self.refresh_from_db(fields=[*values, "version"])

    @classmethod
    def _rows(cls) -> models.QuerySet[Self]:
        rows: models.QuerySet[Self] = cls._meta.default_manager.all()  # type: ignore[union-attr]
        return rows
