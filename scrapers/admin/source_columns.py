"""The columns of the list of sources, which their form shows as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scheduling.admin.paging import QuietChangeList
from scheduling.display import clock_html
from scheduling.said import said
from scrapers.admin import show
from scrapers.admin.source_rows import SourceRow, rows_for
from scrapers.kinds import registry as kinds
from scrapers.models import Source, SourceHealth

POLLERS_SHOWN = 3
"""How many schedules the list names for each source."""


class SourceChangeList(QuietChangeList):
    """The list with what is looked up once for the whole page."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page and add each source's row."""
        super().get_results(request)
        self.result_list: list[Source] = list(self.result_list)
        add_rows(self.result_list, request, pollers_shown=POLLERS_SHOWN)


def add_rows(sources: Sequence[Any], request: HttpRequest, **how: Any) -> None:
    """Hang the figures on the sources, for the columns to show."""
    rows = rows_for(sources, linked=request.user.has_perm("scheduling.view_schedule"), **how)
    for source in sources:
        source.row = rows[source.pk]


def _row(source: Any) -> SourceRow:
    return cast(SourceRow, source.row)


class ColumnsMixin:
    """Adds to the admin of sources what its columns show."""

    @admin.display(description=_("Source"), ordering="name")
    def name_and_address(self, source: Source) -> SafeString:
        """Return the name with the address under it, without its scheme: there is little room."""
        name = format_html('<span class="newss-name">{}</span>', source.name)
        short = source.url.partition("://")[2]
        return show.lines(name, format_html('<span class="scrapers-address" title="{}">{}</span>', source.url, short))

    @admin.display(description=_("State"), ordering="consecutive_failures")
    def state(self, source: Source) -> SafeString:
        """Return how the source is doing, since when it fails, and why."""
        health = source.health
        words = show.status(health, health.label)
        if health == SourceHealth.PAUSED:
            by = _t("by %(person)s") % {"person": source.paused_by} if source.paused_by else ""
            until = format_html("{} {}", _t("until"), clock_html(source.paused_until)) if source.paused_until else ""
            return show.lines(words, show.when(source.paused_at), until, said(source.pause_reason), by)
        if health != SourceHealth.FAILING:
            return show.lines(words, said(source.trouble_detail)) if source.trouble_detail else words
        since = _row(source).failing_since
        error = said(source.last_error)
        why = format_html('<span class="scrapers-clamp" title="{}">{}</span>', error, error)
        daily = _t("asked once a day now") if source.is_failing_for_long else ""
        return show.lines(words, format_html("{} {}", _t("since"), clock_html(since)) if since else "", daily, why)

    @admin.display(description=_("Due"), ordering="next_poll_at")
    def due(self, source: Source) -> SafeString:
        """Return when scheduled runs poll it again; nothing where each of them does."""
        return show.when(source.next_poll_at, _("with the next run"))

    @admin.display(description=_("Kind"), ordering="kind")
    def kind_words(self, source: Source) -> SafeString:
        """Return the kind in short words, what it takes on hover; its name where it is not registered any more."""
        words = str(dict(kinds.choices()).get(source.kind, source.kind))
        return format_html('<span class="newss-number" title="{}">{}</span>', words, words.partition(" (")[0])

    @admin.display(description=_("Last success"), ordering="last_success_at")
    def last_success(self, source: Source) -> SafeString:
        """Return when it was last read."""
        return show.when(source.last_success_at, _("never"))

    @admin.display(description=_("Last polled"), ordering="last_polled_at")
    def last_polled(self, source: Source) -> SafeString:
        """Return when it was last asked."""
        return show.when(source.last_polled_at, _("never"))

    @admin.display(description=_("Articles, 7 days"))
    def articles_of_days(self, source: Source) -> SafeString:
        """Return the articles of the last days as bars, and their number."""
        row = _row(source)
        return format_html(
            '<span class="scrapers-days">{}<span class="newss-number">{}</span></span>',
            show.bars(row.days),
            localize(row.articles),
        )

    @admin.display(description=_("Polled by"))
    def polled_by_schedules(self, source: Source) -> SafeString:
        """Return the schedules that poll it, with links."""
        row = _row(source)
        if not row.pollers:
            return format_html('<span class="newss-sub">{}</span>', _t("no schedule"))
        words = [
            (
                show.link(poller.address, poller.name) if row.linked else poller.name,
                "" if poller.enabled else f" ({_t('off')})",
            )
            for poller in row.pollers[: row.pollers_shown]
        ]
        named = format_html_join(", ", "{}{}", words)
        more = len(row.pollers) - len(words)
        return format_html("<span>{} {}</span>", named, _t("and %s more") % localize(more) if more else "")
