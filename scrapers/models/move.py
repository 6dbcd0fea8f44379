"""Moves: that a source's address was changed because its server said for long that it has moved for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scrapers.fetch.identity import Identity
from scrapers.models.source import QUERY, Source
from scrapers.secrets import holds_secrets

if TYPE_CHECKING:
    from django.contrib.auth.models import User

MOVES_AFTER = 10
"""After how many polls in a row that were redirected for good (301, 308) the address is changed."""


class SourceMoveManager(models.Manager["SourceMove"]):
    """Moving sources."""

    def move(self, source: Source) -> SourceMove | None:
        """Change the address of a source that is due to move, and return the record of it, or None.

        It does not move where another source is already, nor where somebody has called it back from.
        """
        target = source.moving_to
        if source.moving_seen < MOVES_AFTER or QUERY in source.url or not target or target == source.url:
            return None
        if not Identity(home=source.url).is_home(target) and _has_secrets(source):
            return None  # Its secrets are for that host alone; a person has to type them anew.
        if len(target) > 1000 or Source.objects.filter(url=target).exists():
            return None
        if self.filter(source=source, to_url=target, undone_at__isnull=False).exists():
            return None
        with transaction.atomic():
            moved = Source.objects.filter(pk=source.pk, url=source.url).update(url=target, moving_to="", moving_seen=0)
            if not moved:
                return None  # Somebody else changed the address meanwhile.
            record = self.create(source=source, from_url=source.url, to_url=target)
        source.url, source.moving_to, source.moving_seen = target, "", 0
        return record


def _has_secrets(source: Source) -> bool:
    """Tell whether requests of a source carry a secret, its own or an inherited one."""
    from scrapers.source_settings import resolve

    values = resolve(source).values
    return holds_secrets([source.options, *(values[name] for name in ("headers", "cookies", "parameters"))])


class SourceMove(models.Model):
    """One change of a source's address that its server asked for."""

    source = models.ForeignKey(Source, verbose_name=_("source"), on_delete=models.CASCADE, related_name="moves")
    from_url = models.CharField(_("from"), max_length=1000)
    to_url = models.CharField(_("to"), max_length=1000)
    at = models.DateTimeField(_("moved"), default=timezone.now)
    undone_at = models.DateTimeField(_("undone"), null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("undone by"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    objects: ClassVar[SourceMoveManager] = SourceMoveManager()

    class Meta:
        verbose_name = _("move of a source")
        verbose_name_plural = _("moves of sources")
        ordering = ["-at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(undone_at__isnull=False) | Q(undone_by__isnull=True), name="sourcemove_undone_at"
            )
        ]

    def __str__(self) -> str:
        return f"{self.from_url} → {self.to_url}"

    def undo(self, by: User | None = None) -> None:
        """Give the source its address back; it does not move there again.

        Raises `ValidationError` if that was done already, the address was changed since, or another source has it.
        """
        with transaction.atomic():
            source = Source.objects.select_for_update().get(pk=self.source_id)
            if self.undone_at is not None or source.url != self.to_url:
                raise ValidationError(_t("The source is not at that address any more."))
            if Source.objects.filter(url=self.from_url).exists():
                raise ValidationError(_t("Another source has the old address now."))
            Source.objects.filter(pk=source.pk).update(url=self.from_url, moving_to="", moving_seen=0)
            self.undone_at, self.undone_by = timezone.now(), by
            self.save(update_fields=["undone_at", "undone_by"])
