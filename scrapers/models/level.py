"""Settings of collecting that sources inherit: one row for all sources, and one for each tag that has some."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _


class SettingsLevelQuerySet(models.QuerySet["SettingsLevel"]):
    """Conditions on levels."""

    def by_strength(self) -> list[SettingsLevel]:
        """Return those of tags, the strongest first, and then that of all sources."""
        levels = self.select_related("tag")
        return sorted(levels, key=lambda level: (level.tag is None, level.position, level.words))


class SettingsLevel(models.Model):
    """What sources inherit: those that carry the tag, or all where there is none."""

    tag = models.OneToOneField(
        "scheduling.Tag",
        verbose_name=_("tag"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="source_settings",
        help_text=_("Left empty: all sources."),
        error_messages={"unique": _("This tag has settings already.")},
    )
    position = models.PositiveSmallIntegerField(
        _("position"),
        default=0,
        help_text=_("Of a source's tags the one with the lowest position decides, then the first by name."),
    )
    values = models.JSONField(_("settings"), default=dict, blank=True, help_text=_("What is set here, by name."))

    objects: ClassVar[SettingsLevelQuerySet] = SettingsLevelQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("inherited settings")
        verbose_name_plural = _("inherited settings")
        constraints = [
            # Two rows without a tag would not be equal otherwise.
            models.UniqueConstraint(Coalesce("tag", 0), name="settings_level_one_for_all")
        ]

    def __str__(self) -> str:
        return str(self.words)

    @property
    def words(self) -> str:
        """Return where a value of this level comes from, in words."""
        return _t("tag %s") % self.tag.name if self.tag else _t("all sources")

    def clean(self) -> None:
        """Judge the settings, and refuse a second row for all sources."""
        from scrapers.source_settings import clean_settings

        if self.tag is None and SettingsLevel.objects.filter(tag=None).exclude(pk=self.pk).exists():
            raise ValidationError({"tag": _("The settings of all sources exist already; change those.")})
        stored = SettingsLevel.objects.filter(pk=self.pk).values_list("values", flat=True).first() if self.pk else {}
        try:
            self.values = clean_settings(self.values, stored)
        except ValidationError as error:
            messages = [f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items()]
            raise ValidationError({"values": messages}) from error
