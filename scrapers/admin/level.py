"""Settings that sources inherit: for all sources, and by tag."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from scrapers.admin.base import NewsAdmin
from scrapers.admin.source_form import in_words, level_form, setting_names
from scrapers.models import SettingsLevel
from scrapers.source_settings import SETTINGS
from scrapers.source_settings.fields import GROUPS


def settings_html(values: dict[str, Any]) -> SafeString:
    """Return settings as lines "label: value", without any secret."""
    rows = [(SETTINGS[name].field().label, in_words(name, value)) for name, value in values.items() if name in SETTINGS]
    return format_html_join("", '<span class="newss-sub">{}: {}</span><br>', rows)


@admin.register(SettingsLevel)
class SettingsLevelAdmin(NewsAdmin):
    """One row for all sources, and one for each tag that has settings."""

    list_display = ("where", "position", "what")
    list_select_related = ("tag",)
    autocomplete_fields = ("tag",)
    empty_title = _("Nothing is inherited")
    empty_text = _("Add settings here that hold for all sources, or for all that carry a tag.")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form with all settings."""
        if self._may_change(request, obj):
            kwargs["form"] = level_form()
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return whom it is for, and the settings by group; in words for those who may only look."""
        first: tuple[Any, dict[str, Any]] = (None, {"fields": ["tag", "position"]})
        if not self._may_change(request, obj):
            first[1]["fields"].append("what")
            return [first]
        return [first, *((label, {"fields": setting_names(group)}) for group, label in GROUPS.items())]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Name the words of the settings."""
        return (*super().get_readonly_fields(request, obj), "what")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SettingsLevel]:
        """Return them in the order in which they decide."""
        rows: QuerySet[SettingsLevel] = super().get_queryset(request)
        return rows.order_by("position", F("tag__name").asc(nulls_last=True))

    def _may_change(self, request: HttpRequest, obj: Any) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    @admin.display(description=_("For"), ordering="tag__name")
    def where(self, level: SettingsLevel) -> str:
        """Return whom it is for."""
        return level.words

    @admin.display(description=_("Settings"))
    def what(self, level: SettingsLevel) -> SafeString:
        """Return what is set."""
        return settings_html(level.values)
