"""The states of a source's health, with their words, colours and icons; `Source.health` tells which holds."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from scheduling.models.choices import ShownChoices


class SourceHealth(ShownChoices):
    """How a source is doing, derived from its last polls."""

    #: The last poll went well.
    HEALTHY = "healthy", "green", "check_circle", _("healthy")
    #: The last poll failed.
    FAILING = "failing", "red", "error", _("failing")
    #: It was never polled.
    NEW = "new", "grey", "fiber_new", _("never polled")
    #: A selector that used to match finds nothing.
    SELECTOR = "selector", "amber", "search_off", _("selector finds nothing")
    #: It is answered, but without a single item.
    EMPTY = "empty", "amber", "inbox", _("empty result")
    #: Most of its items look new at once.
    LOOKS_NEW = "looks_new", "amber", "published_with_changes", _("everything looks new")
    #: Nothing new for longer than is its habit.
    SILENT = "silent", "amber", "notifications_off", _("silent")
    #: Held, with a reason, until somebody resumes it.
    PAUSED = "paused", "amber", "pause_circle", _("paused")
    #: A person switched it off.
    DISABLED = "disabled", "grey", "block", _("off")
