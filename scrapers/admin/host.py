"""Hosts: how each server wants to be asked; which of them share slots can be chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from scheduling.admin.dropdown import DropdownFilter
from scheduling.display import badge_html
from scrapers.admin import show
from scrapers.admin.base import NewsAdmin
from scrapers.fetch.groups import group_name
from scrapers.models import Host
from scrapers.models.host import HostQuerySet


class CoolingFilter(DropdownFilter):
    """Whether the host asked to be left alone."""

    title = _("left alone")
    parameter_name = "cooling"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return the one choice."""
        return [("1", _("yes, for a while"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those that asked for it."""
        assert isinstance(queryset, HostQuerySet)
        return queryset.cooling() if self.value() else None


@admin.register(Host)
class HostAdmin(NewsAdmin):
    """Hosts: what collecting knows of them, and the group that a person chose."""

    list_display = ("origin", "shared", "robots", "crawl_delay_words", "cooling")
    card_columns = ("origin", "robots")
    list_select_related = ("group",)
    list_filter = (CoolingFilter, ("robots_failure", ChoicesDropdownFilter))
    search_fields = ("host", "group__name")
    search_help_text = _("Host")
    list_per_page = 50
    fieldsets = (
        (None, {"fields": ("origin", "chosen_group", "shared", "crawl_delay_words", "cooling")}),
        (_("robots.txt"), {"fields": ("robots", "robots_fetched", "robots_expires", "robots_text")}),
    )
    readonly_fields = (
        "origin",
        "shared",
        "crawl_delay_words",
        "cooling",
        "robots",
        "robots_fetched",
        "robots_expires",
        "robots_text",
    )
    empty_title = _("No host was asked yet")
    empty_text = _("Each server that sources and articles are on stands here as soon as it was asked for something.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        """Count along how many share the group of each."""
        hosts: QuerySet[Host] = super().get_queryset(request)
        return hosts.annotate(sharing=Count("group__hosts"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: collecting makes these rows."""
        return False

    def save_model(self, request: HttpRequest, obj: Host, form: forms.ModelForm[Host], change: bool) -> None:
        """Store the chosen group alone, since collecting may write the rest meanwhile, and let the host join it."""
        obj.save(update_fields=["chosen_group"])
        obj.join(group_name(obj))

    @admin.display(description=_("Host"), ordering="host")
    def origin(self, host: Host) -> str:
        """Return scheme, host and port."""
        return host.origin

    @admin.display(description=_("Shares slots as"), ordering="group__name")
    def shared(self, host: Host) -> str:
        """Return the group that it shares slots and cool-downs with; nothing where it stands alone."""
        alone = host.group is None or (host.group.name == host.origin and getattr(host, "sharing", 1) == 1)
        return show.NOTHING if alone else str(host.group)

    @admin.display(description=_("robots.txt"), ordering="robots_status")
    def robots(self, host: Host) -> SafeString:
        """Return what is known of robots.txt."""
        if host.robots_failure:
            badge = badge_html(host.get_robots_failure_display(), "red", "error")
            return show.lines(badge, host.robots_error)
        if host.robots_fetched_at is None:
            return badge_html(_t("not fetched yet"), "grey", "hourglass_empty")
        if host.robots_status is not None and 400 <= host.robots_status < 500:
            return badge_html(_t("none: all is allowed"), "green", "check_circle")
        if host.robots_are_fresh():
            return badge_html(_t("known"), "green", "check_circle")
        return badge_html(_t("to be fetched again"), "grey", "history")

    @admin.display(description=_("Crawl delay"), ordering="crawl_delay")
    def crawl_delay_words(self, host: Host) -> str:
        """Return the delay that robots.txt asks for."""
        return show.NOTHING if host.crawl_delay is None else _t("%(seconds)g s") % {"seconds": host.crawl_delay}

    @admin.display(description=_("Left alone until"), ordering="cool_down_until")
    def cooling(self, host: Host) -> SafeString:
        """Return until when it wants to be left alone; nothing once that has passed."""
        if host.cool_down_until is None or host.cool_down_until <= timezone.now():
            return format_html("{}", show.NOTHING)
        return badge_html(show.when(host.cool_down_until), "amber", "ac_unit")

    @admin.display(description=_("Fetched"))
    def robots_fetched(self, host: Host) -> SafeString:
        """Return when robots.txt was fetched."""
        return show.when(host.robots_fetched_at)

    @admin.display(description=_("Valid until"))
    def robots_expires(self, host: Host) -> SafeString:
        """Return until when it is valid."""
        return show.when(host.robots_expires_at)

    @admin.display(description=_("Text"))
    def robots_text(self, host: Host) -> SafeString:
        """Return robots.txt as it was sent."""
        return format_html('<pre class="newss-pre scrapers-pre">{}</pre>', host.robots_txt or show.NOTHING)
