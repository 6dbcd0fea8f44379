"""What people do about a run that is there: cancel it, with a reason, and leave a note on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduling.models.choices import RunStatus

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from scheduling.models.run_queries import RunQuerySet


class Attended(models.Model):
    """What a run knows of those who cancel it or say something about it."""

    note = models.TextField(_("note"), blank=True, max_length=2_000, help_text=_("What people say about this run."))
    noted_at = models.DateTimeField(_("noted"), null=True, blank=True)
    noted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("noted by"),
        null=True,
        blank=True,
        db_index=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    cancel_requested_at = models.DateTimeField(_("cancel requested"), null=True, blank=True)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("cancelled by"),
        null=True,
        blank=True,
        db_index=False,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    cancel_reason = models.CharField(_("reason to cancel"), max_length=200, blank=True)

    class Meta:
        abstract = True

    def cancel(self, by: User | None = None, reason: str = "") -> bool:
        """End this run: one that waits at once, a running one by asking its process to stop; return whether it could.

        Compare-and-set on the status, so a run that ends or starts meanwhile is handled as what it has become.
        """
        from scheduling.ends import Outcome, end

        now = timezone.now()
        request = {"cancel_requested_at": now, "cancel_requested_by": by, "cancel_reason": reason[:200]}
        self.cancel_requested_by, self.cancel_reason = by, reason
        outcome = Outcome(RunStatus.CANCELLED, self.cancelled_words(gettext("before it started")))
        could = bool(end(self._rows().queued().filter(pk=self.pk), outcome, now, **request))
        if not could:
            running = self._rows().running().filter(pk=self.pk, cancel_requested_at__isnull=True)
            could = bool(running.update(**request))
        self.refresh_from_db()
        return could

    def cancelled_words(self, when: str) -> str:
        """Return in a sentence by whom, when ("while it ran") and why this run was cancelled."""
        words = (
            gettext("Cancelled by %(user)s %(when)s.") % {"user": self.cancel_requested_by, "when": when}
            if self.cancel_requested_by
            else gettext("Cancelled %(when)s.") % {"when": when}
        )
        if not self.cancel_reason:
            return words
        return gettext("%(cancelled)s Reason: %(reason)s") % {"cancelled": words, "reason": self.cancel_reason}

    def leave_note(self, by: User, text: str) -> None:
        """Replace the note on this run; an empty text takes it away. Nothing else of the run is written."""
        text = text.strip()
        values = {"note": text, "noted_at": timezone.now() if text else None, "noted_by": by if text else None}
        self._rows().filter(pk=self.pk).update(**values)
        for name, value in values.items():
            setattr(self, name, value)

    @classmethod
    def _rows(cls) -> RunQuerySet:
        rows: RunQuerySet = cls._meta.default_manager.all()  # type: ignore[union-attr,assignment]
        return rows
