"""Search and filters of a list, remembered for the person while the session lasts.

1. Who filters a list, or searches it, in the list itself has that remembered; a link that leads to a filtered list from
   elsewhere (the dashboard's "running: 3") is no choice of the person's and is not.
2. Who comes to the list from elsewhere, by an address that says nothing, finds it as it was left.
3. *Reset*, or the bare address asked for in the list itself ("All"), forgets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.admin.options import IS_POPUP_VAR, TO_FIELD_VAR
from django.contrib.admin.views.main import ERROR_FLAG
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _t

from scheduling.admin.turned import PAGE, RESET, TurnableChangeList

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    _Admin = ModelAdmin[Any]
else:
    _Admin = object

SESSION_KEY = "newss_lists"
MOST_WORDS = 100
"""So many words a list is searched for; each makes the condition deeper, and SQLite ends at 1,000."""
LONGEST = 2_000
"""So many characters of an address are remembered."""


class SearchMixin(_Admin):
    """A list that can be searched for no more words than databases look for at once."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search as usual; for too many words find nothing, and say so."""
        if self.are_too_many(request, search_term):
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def are_too_many(self, request: HttpRequest, search_term: str) -> bool:
        """Tell whether a search has more words than databases can look for at once, and say so."""
        many = len(search_term.split()) > MOST_WORDS
        if many:
            words = _t("At most %(number)d words can be searched for.") % {"number": MOST_WORDS}
            self.message_user(request, words, messages.WARNING)
        return many


class ListMixin(SearchMixin):
    """A list whose filters can be turned round, and which is remembered as it was left."""

    change_list_template: ClassVar[Any] = "admin/scheduling/change_list.html"
    #: What the card of a row shows where the screen is narrow, what names it first; the others are folded. None: all.
    card_columns: ClassVar[tuple[str, ...]] = ()
    #: What an empty list says: an icon, a heading (none: the theme's words), and a sentence that says what to do next.
    empty_icon: ClassVar[str] = "inbox"
    empty_title: ClassVar[Any] = ""
    empty_text: ClassVar[Any] = ""
    #: Further ways to begin, for those who may add: names of addresses and the words of their links.
    empty_links: ClassVar[tuple[tuple[str, Any], ...]] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Any]:
        """Return the list whose filters can be turned round."""
        return TurnableChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the list, or lead to it as it was left."""
        context = {"title": capfirst(str(self.opts.verbose_name_plural)), **(extra_context or {})}
        return _answer(request, self.opts.label_lower) or super().changelist_view(request, context)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        """Say that there is no such row, as Django does, and lead to the list of those that are there."""
        super()._get_obj_does_not_exist_redirect(request, opts, object_id)  # type: ignore[misc]
        return HttpResponseRedirect(reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist"))


def _answer(request: HttpRequest, name: str) -> HttpResponse | None:
    """Remember, forget, or return the way to what is remembered."""
    if request.method != "GET" or IS_POPUP_VAR in request.GET or TO_FIELD_VAR in request.GET:
        return None
    lists: dict[str, str] = request.session.get(SESSION_KEY, {})
    kept = request.GET.copy()
    kept.pop(PAGE, None)
    asked = kept.urlencode()
    if RESET in request.GET or ERROR_FLAG in request.GET:
        _note(request, lists, name, "")
        return HttpResponseRedirect(request.path) if RESET in request.GET else None
    if urlsplit(request.headers.get("Referer", "")).path == request.path:
        _note(request, lists, name, asked if len(asked) <= LONGEST else "")
    elif not request.GET and name in lists:
        return HttpResponseRedirect(f"{request.path}?{lists[name]}")
    return None


def _note(request: HttpRequest, lists: dict[str, str], name: str, asked: str) -> None:
    if lists.get(name, "") != asked:
        others = {key: value for key, value in lists.items() if key != name}
        request.session[SESSION_KEY] = {**others, name: asked} if asked else others
