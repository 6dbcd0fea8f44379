"""Results: how each source went in each run, read only."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from scheduling.display import duration_words
from scheduling.said import said
from scrapers.admin import show
from scrapers.admin.base import AheadAdmin
from scrapers.models import SourceResult


@admin.register(SourceResult)
class SourceResultAdmin(AheadAdmin):
    """How sources went in runs, read only."""

    list_display = ("source_name", "state", "found", "new", "took", "started", "run_link")
    card_columns = ("source_name", "state", "started")
    list_filter = (("status", ChoicesDropdownFilter), ("failure_class", ChoicesDropdownFilter))
    search_fields = ("source_name",)
    search_help_text = _("Name of the source")
    ordering = ("-id",)
    list_select_related = ("run",)
    fieldsets = (
        (None, {"fields": ("source_link", "run_link", "state", "http_status", "started", "took")}),
        (_("What became of the items"), {"fields": ("seen", *SourceResult.COUNTERS)}),
        (_("Traffic"), {"fields": ("requests", "bytes_received")}),
    )
    readonly_fields = ("source_link", "run_link", "state", "started", "took")
    empty_title = _("No source was polled yet")
    empty_text = _("Run a schedule, or poll a source by hand.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SourceResult]:
        """Fetch run and source along."""
        return super().get_queryset(request).select_related("run", "source")

    @admin.display(description=_("Status"), ordering="status")
    def state(self, result: SourceResult) -> SafeString:
        """Return how it went, and why it failed."""
        words = show.status(result.look, result.get_status_display())
        return show.lines(words, said(result.error))

    @admin.display(description=_("Found"), ordering="seen")
    def found(self, result: SourceResult) -> int:
        """Return how many items it had."""
        return result.seen

    @admin.display(description=_("Duration"))
    def took(self, result: SourceResult) -> str:
        """Return how long it took."""
        return duration_words(result.duration)

    @admin.display(description=_("Started"), ordering="started_at")
    def started(self, result: SourceResult) -> SafeString:
        """Return when it began."""
        return show.when(result.started_at)

    @admin.display(description=pgettext_lazy("noun", "Run"))
    def run_link(self, result: SourceResult) -> SafeString:
        """Return a link to the run."""
        return show.link(result.run.get_absolute_url(), result.run)

    @admin.display(description=_("Source"))
    def source_link(self, result: SourceResult) -> SafeString:
        """Return a link to the source, or its name if it was deleted."""
        if result.source is None:
            return format_html("{} ({})", result.source_name, _t("deleted"))
        address = reverse("admin:scrapers_source_change", args=[result.source.pk])
        return show.link(address, result.source)
