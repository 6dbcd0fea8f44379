"""The look of the admin: names, colours, style sheets and the sidebar, as django-unfold reads them from settings."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

NEEDED: dict[str, tuple[str, ...]] = {
    "admin:index": (),
    "admin:scheduling_coming_up": ("scheduling.view_schedule",),
    "move": (
        "scrapers.view_source",
        "scrapers.view_topic",
        "scrapers.view_settingslevel",
        "scheduling.view_schedule",
        "scheduling.view_followup",
    ),
}
"""The permissions that one needs to see a page that is no list of a model."""
# Group, then (model or page, words, icon). A model's entry shows to whom may see it, once it is in the admin.
GROUPS: list[tuple[Any, list[tuple[str, Any, str]]]] = [
    (
        None,
        [
            ("admin:index", _("Dashboard"), "space_dashboard"),
            ("scheduling.schedule", _("Schedules"), "schedule"),
            ("scheduling.run", _("Runs"), "play_circle"),
            ("admin:scheduling_coming_up", _("Coming up"), "calendar_month"),
        ],
    ),
    (
        _("News"),
        [
            ("scrapers.article", _("Articles"), "newspaper"),
            ("scrapers.source", _("Sources"), "rss_feed"),
            ("scrapers.settingslevel", _("Inherited settings"), "account_tree"),
            ("scrapers.topic", _("Topics"), "bookmark"),
            ("scheduling.tag", _("Tags"), "sell"),
            ("scrapers.host", _("Hosts"), "dns"),
        ],
    ),
    (
        _("System"),
        [
            ("scheduling.schedulerinstance", _("Scheduler processes"), "memory"),
            ("scheduling.backfill", _("Backfills"), "history"),
            ("move", _("Import and export"), "swap_vert"),
            ("auth.user", _("Users"), "person"),
            ("auth.group", _("Groups"), "group"),
        ],
    ),
]


def style(_request: HttpRequest) -> str:
    """Return the address of the style sheet that all pages share."""
    return static("scheduling/newss.css")


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what every page shows: whether everything is held."""
    return {"hold": held(request)}


def held(request: HttpRequest) -> Any:
    """Return the hold that is open, looked up once a request; None for those who are not logged in."""
    from scheduling.models import Hold

    if not hasattr(request, "_newss_hold"):
        request._newss_hold = Hold.objects.current() if request.user.is_authenticated else None  # type: ignore[attr-defined]
    return request._newss_hold  # type: ignore[attr-defined]


def icon(_request: HttpRequest) -> str:
    """Return the address of the icon that browsers show on the tab."""
    return static("newss_project/favicon.svg")


def script(_request: HttpRequest) -> str:
    """Return the address of the script that all pages share."""
    return static("scheduling/newss.js")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: what the person may see, of the models that the admin knows."""
    groups = []
    for title, entries in GROUPS:
        items = [
            {"title": words, "icon": icon, "link": link}
            for target, words, icon in entries
            if (link := _link(request, target)) is not None
        ]
        if items:
            groups.append({"title": title, "separator": title is not None, "items": items})
    _mark_active(request, groups)
    if request.user.has_perm("scheduling.hold_everything"):
        words = _("Release everything") if held(request) else _("Hold everything…")
        entry = {"title": words, "icon": "pause_circle", "link": reverse("admin:scheduling_hold"), "active": False}
        groups[-1]["items"].append(entry)
    return groups


def _mark_active(request: HttpRequest, groups: list[dict[str, Any]]) -> None:
    """Mark the entry whose address is the longest beginning of the page's; the dashboard only on its own page."""
    items = [item for group in groups for item in group["items"]]
    here = [
        item["link"]
        for item in items
        if request.path == item["link"] or (request.path.startswith(item["link"]) and item["link"].count("/") > 2)
    ]
    for item in items:
        item["active"] = bool(here) and item["link"] == max(here, key=len)


def _link(request: HttpRequest, target: str) -> str | None:
    from django.apps import apps
    from django.contrib import admin

    if target in NEEDED:
        return reverse(target) if request.user.has_perms(NEEDED[target]) else None
    app, name = target.split(".")
    if name not in apps.all_models[app]:
        return None
    model_admin = admin.site._registry.get(apps.get_model(app, name))
    if model_admin is None or not model_admin.has_view_or_change_permission(request):
        return None
    return reverse(f"admin:{app}_{name}_changelist")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "NEWSS",
    "SITE_HEADER": "NEWSS",
    "SITE_SUBHEADER": _("News on schedules"),
    "SITE_SYMBOL": "newspaper",
    "SITE_URL": None,
    "SHOW_LANGUAGES": True,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": icon}],
    "STYLES": [style],
    "SCRIPTS": [script],
    "GLOBAL_CALLBACK": "newss_project.unfold.everywhere",
    "DASHBOARD_CALLBACK": "newss_project.dashboard.context",
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": navigation},
    "COLORS": {
        # Tailwind's indigo: calm beside the colours of states.
        "primary": {
            "50": "oklch(96.2% .018 272.314)",
            "100": "oklch(93% .034 272.788)",
            "200": "oklch(87% .065 274.039)",
            "300": "oklch(78.5% .115 274.713)",
            "400": "oklch(67.3% .182 276.935)",
            "500": "oklch(58.5% .233 277.117)",
            "600": "oklch(51.1% .262 276.966)",
            "700": "oklch(45.7% .24 277.023)",
            "800": "oklch(39.8% .195 277.366)",
            "900": "oklch(35.9% .144 278.697)",
            "950": "oklch(25.7% .09 281.288)",
        },
    },
}
