"""The states of a source's health, with their words, colours and icons; `Source.health` tells which holds."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SourceHealth(models.TextChoices):
    """How a source is doing, derived from its last polls."""

    #: The last poll went well.
    HEALTHY = "healthy", _("healthy")
    #: The last poll failed.
    FAILING = "failing", _("failing")
    #: It was never polled.
    NEW = "new", _("never polled")
    #: A selector that used to match finds nothing.
    SELECTOR = "selector", _("selector finds nothing")
    #: It is answered, but without a single item.
    EMPTY = "empty", _("empty result")
    #: Most of its items look new at once.
    LOOKS_NEW = "looks_new", _("everything looks new")
    #: Nothing new for longer than is its habit.
    SILENT = "silent", _("silent")
    #: Held, with a reason, until somebody resumes it.
    PAUSED = "paused", _("paused")
    #: A person switched it off.
    DISABLED = "disabled", _("off")

    @property
    def colour(self) -> str:
        """Return the colour on pages (a word that the templates map to classes)."""
        return _LOOK[self][0]

    @property
    def icon(self) -> str:
        """Return the name of the Material Symbol."""
        return _LOOK[self][1]


_LOOK: dict[str, tuple[str, str]] = {
    SourceHealth.HEALTHY: ("green", "check_circle"),
    SourceHealth.FAILING: ("red", "error"),
    SourceHealth.NEW: ("grey", "fiber_new"),
    SourceHealth.SELECTOR: ("amber", "search_off"),
    SourceHealth.EMPTY: ("amber", "inbox"),
    SourceHealth.LOOKS_NEW: ("amber", "published_with_changes"),
    SourceHealth.SILENT: ("amber", "notifications_off"),
    SourceHealth.PAUSED: ("amber", "pause_circle"),
    SourceHealth.DISABLED: ("grey", "block"),
}
