"""The installation: by what its database is known, and whether everything is held."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


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
        permissions = [("hold_everything", _("Can hold and release everything"))]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}: {self.reason}"
