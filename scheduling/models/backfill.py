"""Backfills: runs for due times of the past, asked for by a person."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class BackfillWhich(models.TextChoices):
    """Which due times of the window get a run."""

    #: Those that no run has dealt with: none at all, or only a `missed`, `skipped` or `lost` one.
    MISSING = "missing", _("the missing ones")
    #: These, and those whose last attempt ended badly.
    FAILED = "failed", _("the missing and the failed ones")
    #: Every due time.
    ALL = "all", _("all")


class BackfillOrder(models.TextChoices):
    """In which order they are run."""

    OLDEST = "oldest", _("oldest first")
    NEWEST = "newest", _("newest first")


class Backfill(models.Model):
    """A window of the past, and how its due times are run."""

    schedule = models.ForeignKey(
        "scheduling.Schedule", verbose_name=_("schedule"), on_delete=models.CASCADE, related_name="backfills"
    )
    window_start = models.DateTimeField(_("from"))
    window_end = models.DateTimeField(_("until"))
    which = models.CharField(_("which"), max_length=10, choices=BackfillWhich.choices, default=BackfillWhich.MISSING)
    order = models.CharField(_("order"), max_length=10, choices=BackfillOrder.choices, default=BackfillOrder.OLDEST)
    at_once = models.PositiveSmallIntegerField(_("at once"), default=1)
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
