"""Sources: how each is doing, what polls it, and the form to add and change them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import Field
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import action as page_action

from scheduling.admin.edit_many import EditManyMixin
from scheduling.admin.versions import HistoryMixin
from scrapers import secrets as stored_secrets
from scrapers.admin import opml
from scrapers.admin.base import NewsAdmin
from scrapers.admin.level import settings_html
from scrapers.admin.source_columns import ColumnsMixin, SourceChangeList, add_rows
from scrapers.admin.source_delete import DeleteMixin
from scrapers.admin.source_filters import FILTERS
from scrapers.admin.source_form import (
    EDITABLE_SETTINGS,
    POLLING_FIELDS,
    SETTING,
    SourceForm,
    option_names,
    setting_names,
)
from scrapers.admin.source_pause import PauseMixin
from scrapers.admin.source_poll import PollMixin
from scrapers.admin.source_start import StartMixin
from scrapers.kinds import registry as kinds
from scrapers.models import Article, Source
from scrapers.secrets import without_secrets
from scrapers.source_settings import SETTINGS
from scrapers.source_settings.fields import GROUPS

LATEST = 10
"""How many results and articles the form shows."""


@admin.register(Source)
class SourceAdmin(ColumnsMixin, PollMixin, StartMixin, PauseMixin, DeleteMixin, EditManyMixin, HistoryMixin, NewsAdmin):
    """Sources: list, form, and the ways to poll them at once."""

    form = SourceForm
    list_display = (
        "name_and_address",
        "state",
        "kind_words",
        "last_success",
        "articles_of_days",
        "polled_by_schedules",
        "enabled",
    )
    list_display_links = ("name_and_address",)
    card_columns = ("name_and_address", "state", "poll_button")
    list_filter = FILTERS
    list_per_page = 50
    search_fields = ("name", "url")
    search_help_text = _("Name or address")
    ordering = ("name",)
    autocomplete_fields = ("tags",)
    actions = ("enable", "disable", "poll", "pause_many", "resume", "edit_many")
    edit_many_names = ("enabled", *POLLING_FIELDS, *EDITABLE_SETTINGS)
    history_fields = ("name", "url", "kind", "enabled", "options", "settings", *POLLING_FIELDS)
    actions_list: ClassVar[Sequence[str]] = ["retry_failing", "import_opml", "export_opml"]
    fieldsets = (
        (None, {"fields": ("name", "url", "kind", "tags", "enabled")}),
        (
            _("When it is polled"),
            {
                "fields": (
                    ("pace", "interval_minutes"),
                    "active_from",
                    "active_until",
                    "active_zone",
                    "heed_ttl",
                    "forbidden_is_busy",
                    "due",
                )
            },
        ),
        (
            _("How it is doing"),
            {"fields": ("state", "last_polled", "last_success", "consecutive_failures", "polled_by_schedules")},
        ),
    )
    readonly_fields = (
        "due",
        "options_shown",
        "settings_shown",
        "state",
        "last_polled",
        "last_success",
        "consecutive_failures",
        "polled_by_schedules",
    )
    change_form_outer_before_template = "scrapers/admin/source_before.html"
    change_form_outer_after_template = "scrapers/admin/source_after.html"
    empty_title = _("No source yet")
    empty_text = _(
        "Add the address of an RSS, Atom or JSON feed, or of any site; then make a schedule that collects from it."
    )
    empty_links = (("admin:scrapers_source_starter", _("Choose from the starter list")),)

    # -- The list -----------------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        """Return the list that looks up figures once a page."""
        return SourceChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Source]:
        """Fetch the tags along."""
        return super().get_queryset(request).select_related("paused_by").prefetch_related("tags")

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        """Offer the button only to those who may start runs."""
        shown = tuple(super().get_list_display(request))
        return (*shown, "poll_button") if self.has_start_run_permission(request) else shown

    # -- History and *Edit many* --------------------------------------------------------------------------------------

    def history_values(self, row: Source) -> dict[str, Any]:
        """Return the values that the history keeps, secrets masked."""
        return dict(stored_secrets.without_secrets(super().history_values(row)))

    def history_parts(self, name: str, values: Mapping[str, Any]) -> Mapping[str, Field]:
        """Return the options of a kind by the fields of its form, and the settings by theirs."""
        if name == "settings":
            return {setting.name: setting.field() for setting in SETTINGS.values()}
        return kinds.form_fields(values.get("kind", "")) if name == "options" else {}

    def edit_many_value(self, row: Source, name: str) -> Any:
        """Return what a field or a setting is for this source alone."""
        setting = name.removeprefix(f"{SETTING}-")
        return getattr(row, name) if setting == name else row.settings.get(setting)

    def edit_many_set(self, row: Source, name: str, value: Any) -> str:
        """Give the source a value, or a setting of its own (an empty one: it is inherited again)."""
        setting = name.removeprefix(f"{SETTING}-")
        if setting == name:
            return super().edit_many_set(row, name, value)
        others = {key: kept for key, kept in row.settings.items() if key != setting}
        row.settings = others if value in (None, "", [], {}) else {**others, setting: value}
        return "settings"

    # -- Actions ------------------------------------------------------------------------------------------------------

    @admin.action(description=_("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, sources: QuerySet[Source]) -> None:
        """Let runs poll the chosen sources."""
        self._switch(request, sources.filter(enabled=False), True)

    @admin.action(description=_("Disable"), permissions=["change"])
    def disable(self, request: HttpRequest, sources: QuerySet[Source]) -> None:
        """Let no run poll the chosen sources."""
        self._switch(request, sources.filter(enabled=True), False)

    def _switch(self, request: HttpRequest, sources: QuerySet[Source], enabled: bool) -> None:
        changed = list(sources)
        Source.objects.filter(pk__in=[source.pk for source in changed]).update(enabled=enabled)
        note = [{"changed": {"fields": [str(Source._meta.get_field("enabled").verbose_name)]}}]
        for source in changed:
            self.log_change(request, source, note)
        words = (
            ngettext("%s source is enabled.", "%s sources are enabled.", len(changed))
            if enabled
            else ngettext("%s source is off.", "%s sources are off.", len(changed))
        )
        self.message_user(request, words % localize(len(changed)), messages.SUCCESS)

    @page_action(description=_("Import OPML"), url_path="import-opml", permissions=["add"], icon="upload")  # type: ignore[untyped-decorator]
    def import_opml(self, request: HttpRequest) -> HttpResponse:
        """Take in the feeds of a file."""
        return opml.import_page(request, self.page_context(request))

    @page_action(description=_("Export OPML"), url_path="export-opml", permissions=["view"], icon="download")  # type: ignore[untyped-decorator]
    def export_opml(self, request: HttpRequest) -> HttpResponse:
        """Hand out all sources as a file."""
        return opml.export_file()

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what each page beside the list and the form needs."""
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "back": reverse("admin:scrapers_source_changelist"),
        }

    # -- The form -----------------------------------------------------------------------------------------------------

    def get_form(self, request: HttpRequest, obj: Source | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form with the options of the kind, and the settings."""
        if self._may_change(request, obj):
            kwargs["form"] = SourceForm.for_kind(self._kind(request, obj))
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Source | None = None) -> Any:
        """Return the source, its kind's options, its settings folded away, and, where it exists, how it is doing."""
        main, polling, *health = super().get_fieldsets(request, obj)
        if not self._may_change(request, obj):
            fields = (*main[1]["fields"], "options_shown", "settings_shown")
            return [(main[0], {"fields": fields}), polling, *health]
        options = option_names(self._kind(request, obj))
        parts: list[tuple[Any, dict[str, Any]]] = [(main[0], {"fields": (*main[1]["fields"], "kind_shown")})]
        if options:
            parts.append((_("What this kind needs to know"), {"fields": options}))
        for group, label in GROUPS.items():
            # Folded, unless something in it is set or wrong.
            values = obj.settings if obj else {}
            folded = request.method != "POST" and not any(f"setting-{name}" in setting_names(group) for name in values)
            classes = ["collapse"] if folded else []
            parts.append((label, {"fields": setting_names(group), "classes": classes}))
        return [*parts, polling, *(health if obj else [])]

    def _may_change(self, request: HttpRequest, obj: Source | None) -> bool:
        return self.has_change_permission(request, obj) if obj else self.has_add_permission(request)

    def _kind(self, request: HttpRequest, obj: Source | None) -> str:
        asked = request.POST.get("kind") or request.GET.get("kind") or ""
        return asked if asked in dict(kinds.choices()) else obj.kind if obj else "feed"

    @admin.display(description=_("Options"))
    def options_shown(self, source: Source) -> SafeString:
        """Return the options of the kind in words."""
        rows = [(name, value) for name, value in without_secrets(source.options).items() if value not in (None, "", [])]
        return format_html_join("", '<span class="newss-sub">{}: {}</span><br>', rows)

    @admin.display(description=_("Settings"))
    def settings_shown(self, source: Source) -> SafeString:
        """Return what is set for this source alone."""
        return settings_html(source.settings)

    def save_model(self, request: HttpRequest, obj: Source, form: Any, change: bool) -> None:
        """Store the source; ask whether what looks like a token in its address is one."""
        super().save_model(request, obj, form, change)
        if "url" in form.changed_data and stored_secrets.perhaps_secret_part(obj.url):
            words = _t("A part of the address looks like a token. If nobody may see it, put braces around it: {…}")
            self.message_user(request, words, messages.WARNING)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Source | None:
        """Fetch the source with its figures."""
        source: Source | None = super().get_object(request, object_id, from_field)
        if source:
            add_rows([source], request)
        return source

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the form, with the last results and the latest articles under it."""
        panels: dict[str, Any] = {}
        source = super().get_object(request, object_id) if object_id else None
        if source and self.has_view_permission(request, source):
            panels = {
                "source": source,
                "results": source.results.select_related("run").order_by("-started_at", "-id")[:LATEST],
                "articles": Article.objects.seen_in(source).defer("text", "summary")[:LATEST],
                "articles_url": f"{reverse('admin:scrapers_article_changelist')}?source={source.pk}",
                "may_poll": source.enabled and self.has_start_run_permission(request),
                "request_key": secrets.token_hex(16),
                "move": source.moves.filter(to_url=source.url, undone_at=None).first(),
                "moves_url": f"{reverse('admin:scrapers_sourcemove_changelist')}?{urlencode({'q': source.name})}",
            }
        panels |= self.try_button(request, source) | self.pause_buttons(request, source)
        return super().changeform_view(request, object_id, form_url, {**panels, **(extra_context or {})})
