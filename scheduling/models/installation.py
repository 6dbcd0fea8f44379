"""The installation: by what its database is known, and whether everything is held."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduling import audit

if TYPE_CHECKING:
    from django.contrib.auth.models import User

REASON_LENGTH = 200
"""Characters of a reason that are kept."""


class Installation(models.Model):
    """The one row that tells a copied database from the one it was copied from."""

    SINGLETON = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLETON)
    environment = models.CharField(_("environment"), max_length=100)
    identity = models.CharField(_("identity of the database"), max_length=500)
    adopted_at = models.DateTimeField(_("adopted"), default=timezone.now)

    class Meta:
        verbose_name = _("installation")
        verbose_name_plural = _("installation")
        constraints = [models.CheckConstraint(condition=Q(id=1), name="installation_one_row")]

    def __str__(self) -> str:
        return f"{self.environment} ({self.identity})"


class HoldManager(models.Manager["Hold"]):
    """Holding and releasing everything."""

    def current(self) -> Hold | None:
        """Return the hold that is open, or None."""
        return self.select_related("held_by").filter(is_open=True).first()

    def hold(self, by: User | None = None, reason: str = "", *, at: datetime | None = None) -> Hold:
        """Hold everything: nothing is fired or started until it is released; what runs, ends.

        When all is held already, that hold is returned as it is.
        """
        with transaction.atomic():
            hold, created = self.get_or_create(
                is_open=True,
                defaults={
                    "held_by": by,
                    "reason": reason.strip()[:REASON_LENGTH],
                    "started_at": at or timezone.now(),
                },
            )
            if created:
                audit.note(by, hold, gettext("Held: %(reason)s") % {"reason": hold.reason or "–"})
        return hold

    def release(self, by: User | None = None, *, at: datetime | None = None) -> bool:
        """Release everything; return whether it was held.

        Due times within the hold are not run afterwards: each schedule gets one `missed` row that says why.
        """
        with transaction.atomic():
            hold = self.select_for_update().filter(is_open=True).first()
            if hold is None:
                return False
            hold.is_open, hold.released_by = None, by
            hold.ended_at = max(at or timezone.now(), hold.started_at)
            hold.save(update_fields=["is_open", "released_by", "ended_at"])
            audit.note(by, hold, gettext("Released"))
        return True


class Hold(models.Model):
    """A time in which everything is held: nothing is fired or started; what runs, ends."""

    started_at = models.DateTimeField(_("held since"), default=timezone.now)
    ended_at = models.DateTimeField(_("released"), null=True, blank=True)
    is_open = models.BooleanField(null=True, default=True, editable=False)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    held_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("held by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("released by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    objects = HoldManager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        ordering = ["-started_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=models.F("started_at")),
                name="hold_ends_after_start",
            ),
            # At most one hold is open: `is_open` is true or NULL, and NULLs are not equal.
            models.CheckConstraint(
                condition=Q(is_open=True, ended_at__isnull=True) | Q(is_open__isnull=True, ended_at__isnull=False),
                name="hold_open_has_no_end",
            ),
            models.UniqueConstraint(fields=["is_open"], name="hold_one_open"),
        ]
        # Used by the fire path: the holds that ended after a due time.
        indexes = [models.Index(fields=["ended_at"], name="hold_ended")]
        permissions = [("hold_everything", _("Can hold and release everything"))]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}: {self.reason}"

    def words(self) -> str:
        """Return in words by whom and why, e.g. "everything was held by anna: database moves"."""
        who = str(self.held_by) if self.held_by else ""
        if who and self.reason:
            return gettext("everything was held by %(who)s: %(reason)s") % {"who": who, "reason": self.reason}
        if who:
            return gettext("everything was held by %(who)s") % {"who": who}
        if self.reason:
            return gettext("everything was held: %(reason)s") % {"reason": self.reason}
        return gettext("everything was held")
