"""Lists that may have millions of rows: paging that counts no further than some pages ahead."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.formats import localize
from django.utils.functional import cached_property
from django.utils.translation import gettext as _t

from scheduling.admin.in_batches import InBatchesMixin
from scheduling.admin.turned import TurnableChangeList

COUNTED_AHEAD = 20
"""How many pages beyond the shown one are counted."""


class AheadPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than some pages beyond the one that is shown, so that a list of millions opens at once.

    `reached_end` tells whether the count is exact.
    """

    template_name = "scheduling/pagination.html"

    def __init__(self, *args: Any, page: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limit = (max(1, page) + COUNTED_AHEAD) * self.per_page
        #: The number of rows, or one beyond the limit, where it was counted before.
        self.known: int | None = None

    @cached_property
    def count(self) -> int:
        """Return the number of rows, or the limit where there are more."""
        return min(self._counted, self.limit)

    @property
    def reached_end(self) -> bool:
        """Tell whether `count` is the number of all rows."""
        return self._counted <= self.limit

    @cached_property
    def _counted(self) -> int:
        if self.known is not None:
            return self.known
        rows = self.object_list
        assert isinstance(rows, QuerySet)
        # Without an order the database may stop at the limit, whatever the list is sorted by.
        return rows.order_by().values("pk")[: self.limit + 1].count()


class QuietChangeList(TurnableChangeList):
    """A list that shows its count below, where it can say "more than"; the heading would take it for exact."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the page, and let the heading show no count."""
        super().get_results(request)
        self.full_result_count = self.result_count


class AheadMixin(InBatchesMixin):
    """A list that may have millions of rows."""

    list_per_page = 50
    # "All" may be millions, and counting what each choice of a filter would show reads all of them.
    list_max_show_all = 0
    show_facets = ShowFacets.NEVER

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any], *args: Any) -> HttpResponse | None:
        """Ask first, with their number, where an action is for all that match and the list does not show how many.

        An action that cannot be done in batches is refused for so many.
        """
        paginator = self.get_paginator(request, queryset, self.list_per_page)
        many = "sure" in request.POST or not paginator.reached_end
        if request.POST.get("select_across") != "1" or not many:
            return super().response_action(request, queryset, *args)
        name = request.POST.get("action", "")
        if name in self.in_batches and name in self.get_actions(request):
            return self.act_on_all(request, name, queryset)
        words = _t("More than %(number)s match: too many to change at once. Narrow the list by its filters first.")
        self.message_user(request, words % {"number": localize(paginator.limit)}, messages.WARNING)
        return None

    def get_paginator(
        self,
        request: HttpRequest,
        queryset: QuerySet[Any],
        per_page: int,
        orphans: int = 0,
        allow_empty_first_page: bool = True,
    ) -> AheadPaginator:
        """Return a paginator that counts only ahead of the page that is asked for."""
        asked = request.GET.get("p", "1")
        page = int(asked) if asked.isdecimal() and len(asked) < 9 else 1
        return AheadPaginator(queryset, per_page, orphans, allow_empty_first_page, page=page)
