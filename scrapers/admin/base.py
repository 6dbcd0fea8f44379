"""What the pages of this app share: rows that are read only, an empty state that says what to do next, and paging
that does not count millions of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin

from scheduling.admin.deleting import DeletingMixin
from scheduling.admin.paging import AheadMixin, QuietChangeList
from scheduling.admin.remembered import ListMixin

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin as DjangoModelAdmin

    class _Admin(DjangoModelAdmin[Any]):
        """What type checkers see of unfold's class."""
else:
    _Admin = ModelAdmin


class NewsAdmin(DeletingMixin, ListMixin, _Admin):
    """Base of this app's admins."""

    change_list_template: ClassVar[Any] = "admin/scrapers/change_list.html"
    show_full_result_count = False
    # Its filters are fields to choose from; without the button they would do nothing.
    list_filter_submit = True
    empty_icon: ClassVar[str] = "newsmode"
    empty_title: ClassVar[Any] = _("Nothing here yet")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        """Return the list whose heading shows no count."""
        return QuietChangeList


class ReadOnlyAdmin(NewsAdmin):
    """Rows that only collecting writes: to be looked at, and deleted by those who may."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: collecting makes these rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: collecting writes these rows."""
        return False


class AheadAdmin(AheadMixin, ReadOnlyAdmin):
    """A read-only list that may have millions of rows."""
