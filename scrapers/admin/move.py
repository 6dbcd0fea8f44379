"""Moves of sources: what was changed because a server said so, and the way back."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scrapers.admin import show
from scrapers.admin.base import ReadOnlyAdmin
from scrapers.models import SourceMove


@admin.register(SourceMove)
class SourceMoveAdmin(ReadOnlyAdmin):
    """Moves, read only but for undoing them."""

    list_display = ("source", "from_url", "to_url", "moved", "undone")
    list_select_related = ("source", "undone_by")
    list_per_page = 50
    search_fields = ("source__name", "from_url", "to_url")
    actions = ("undo",)
    empty_title = _("No source has moved")
    empty_text = _("When a server says ten times in a row that an address has moved for good, the source follows it.")

    @admin.display(description=_("Moved"), ordering="at")
    def moved(self, move: SourceMove) -> SafeString:
        """Return when the address was changed."""
        return show.when(move.at)

    @admin.display(description=_("Undone"), ordering="undone_at")
    def undone(self, move: SourceMove) -> SafeString:
        """Return when and by whom it was undone."""
        return show.lines(show.when(move.undone_at), str(move.undone_by or ""))

    def has_source_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may change sources."""
        return bool(request.user.has_perm("scrapers.change_source"))

    @admin.action(description=_("Give the source its old address back"), permissions=["source"])
    def undo(self, request: HttpRequest, moves: QuerySet[SourceMove]) -> None:
        """Undo the chosen moves."""
        for move in moves.select_related("source"):
            try:
                move.undo(request.user)  # type: ignore[arg-type]
            except ValidationError as error:
                self.message_user(request, f"{move.source}: {' '.join(error.messages)}", messages.ERROR)
            else:
                words = _t("%(source)s has its old address again.") % {"source": move.source}
                self.message_user(request, words, messages.SUCCESS)
