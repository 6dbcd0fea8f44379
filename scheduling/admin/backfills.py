"""The admin of backfills: what was asked for, how far it is, and *Cancel* as a whole."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from scheduling import display
from scheduling.admin.base import ReadOnlyAdmin, person
from scheduling.models import Backfill

CANCEL = "scheduling.cancel_backfill"


@admin.register(Backfill)
class BackfillAdmin(ReadOnlyAdmin):
    """Backfills; a new one is begun on its schedule's page."""

    list_display = ("schedule", "window", "which", "order", "progress", "requested_by", "asked")
    card_columns = ("schedule", "progress", "window")
    list_filter = ("which", ("schedule", admin.RelatedOnlyFieldListFilter))
    search_fields = ("schedule__name",)
    list_select_related = ("schedule", "requested_by")
    show_full_result_count = False
    empty_icon = "history"
    empty_title = _("No backfill yet")
    empty_text = _("A backfill runs due times of the past: open a schedule and choose “Backfill…”.")
    actions = ("cancel_many",)
    fields = ("schedule", "window", "which", "order", "at_once", "progress", "requested_by", "asked", "cancelled_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backfill]:
        """Return the backfills with the counts of their runs."""
        rows: Any = super().get_queryset(request)
        return rows.with_counts()  # type: ignore[no-any-return]

    @admin.display(description=_("Window"), ordering="window_start")
    def window(self, backfill: Backfill) -> SafeString:
        """Return from when until when."""
        return format_html(
            "{} – {}", display.clock_html(backfill.window_start), display.clock_html(backfill.window_end)
        )

    @admin.display(description=_("Progress"))
    def progress(self, backfill: Any) -> SafeString:
        """Return how many of its runs ended and how, with a link to them."""
        return format_html(
            '<a class="newss-link" href="{}?backfill__id__exact={}">{}</a>',
            reverse("admin:scheduling_run_changelist"),
            backfill.pk,
            _("%(done)d of %(all)d ended, %(bad)d badly")
            % {
                "done": backfill.run_count - backfill.active_count,
                "all": backfill.run_count,
                "bad": backfill.bad_count,
            },
        )

    @admin.display(description=_("Asked for"), ordering="created_at")
    def asked(self, backfill: Backfill) -> SafeString:
        """Return when it was asked for."""
        return display.moment_html(backfill.created_at)

    @admin.action(description=_("Cancel"), permissions=["cancel"])
    def cancel_many(self, request: HttpRequest, queryset: QuerySet[Backfill]) -> None:
        """Cancel all runs of the chosen backfills that have not ended."""
        count = sum(backfill.cancel(person(request)) for backfill in queryset)
        text = ngettext("%s run is cancelled.", "%s runs are cancelled.", count) % localize(count)
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may cancel backfills."""
        return request.user.has_perm(CANCEL)
