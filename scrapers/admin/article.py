"""Articles: a list that one likes to read, and a page for each."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import model_ngettext
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet, TextField, Value
from django.db.models.functions import Left
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scheduling.admin.paging import AheadPaginator
from scrapers import article_cells
from scrapers import query as queries
from scrapers.admin import show
from scrapers.admin.article_filters import FILTERS
from scrapers.admin.article_page import PageMixin
from scrapers.admin.base import AheadAdmin
from scrapers.export import FORMATS, streamed
from scrapers.models import Article, ArticlePage, ArticleSource, Source
from scrapers.models.article import ArticleQuerySet

COPIES_SHOWN = 50
VERSIONS_SHOWN = 20
"""The newest copies and earlier texts that the page of an article shows."""
RANKED = 2_000
"""So many matches of a search are put in the order of how well they fit; to rank one takes a look into its words."""
OPENING_CHARACTERS = 400
"""How much of the text the list fetches; it shows two lines of it."""


def export_links(filters: str) -> list[tuple[str, str]]:
    """Return (label, address) of each export of the list of articles; `filters` as they stand in its address."""
    return [
        (label, f"{reverse('admin:scrapers_article_export', args=[name])}?{filters}")
        for name, label in (("csv", "CSV"), ("jsonl", "JSON Lines"), ("rss", "RSS"), ("jsonfeed", "JSON Feed"))
    ]


@admin.register(Article)
class ArticleAdmin(PageMixin, AheadAdmin):
    """Articles, read only."""

    list_display = ("reading", "published")
    card_columns = ("reading", "published")
    list_display_links = None
    list_filter = FILTERS
    # What is typed is a query (`get_search_results`); the field's name only makes the box appear.
    search_fields = ("title",)
    search_help_text = _("Words, “a phrase”, -not, OR, title:, source:, lang:en")
    view_on_site = False
    change_form_template = "admin/scrapers/article/change_form.html"
    change_list_template = "admin/scrapers/article/change_list.html"
    empty_title = _("No article yet")
    empty_text = _("Add a source and poll it, or run a schedule; what it finds stands here.")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Article]:
        """Fetch the sources along, and for the list only the beginning of the text."""
        articles: QuerySet[Article] = super().get_queryset(request)
        if request.resolver_match and request.resolver_match.url_name == "scrapers_article_changelist":
            return (
                articles.defer("text")
                .annotate(opening=Left("text", OPENING_CHARACTERS))
                .prefetch_related(Prefetch("sources", queryset=Source.objects.only("name")))
            )
        return articles.select_related("first_run", "duplicate_of")

    def get_urls(self) -> list[Any]:
        """Add the export of what the list shows."""
        export = path(
            "export/<str:name>/", self.admin_site.admin_view(self.export_view), name="scrapers_article_export"
        )
        return [export, *super().get_urls()]

    def export_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """Send all articles of the list's filters and search as a file, newest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if name not in FORMATS:
            raise Http404
        found = self.get_changelist_instance(request).get_queryset(request)
        assert isinstance(found, ArticleQuerySet)
        plain = Article.objects.filter(pk__in=found.order_by().values("id")).order_by("-dated_at", "-id")
        return streamed(plain, name)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Offer the exports of what the list shows."""
        exports = export_links(request.GET.urlencode())
        return super().changelist_view(request, {"exports": exports, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Keep what a query asks for, the best first unless another order was chosen."""
        assert isinstance(queryset, ArticleQuerySet)
        try:
            query = queries.parse(search_term)
        except queries.QueryError as error:
            self.message_user(request, str(error), messages.WARNING)
            return queryset.none(), False
        if not query:
            return queryset, False
        asked = Value(search_term, output_field=TextField())
        rank = "o" not in request.GET and not self._are_many(request, queryset.search(query, rank=False))
        found = queryset.search(query, rank=rank)
        return found.defer(None).annotate(asked=asked), False

    def _are_many(self, request: HttpRequest, matching: QuerySet[Any]) -> bool:
        """Tell whether more match than can be put in the order of how well they do, and say so."""
        counted = matching.order_by().values("pk")[: RANKED + 1].count()
        many = counted > RANKED
        # The list's pages need not count the same once more.
        request.newss_matching = counted  # type: ignore[attr-defined]
        if many and request.method == "GET" and "p" not in request.GET:
            words = _t("More than %(number)d articles match: the newest stand first, not the best.")
            self.message_user(request, words % {"number": RANKED}, messages.INFO)
        return many

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> AheadPaginator:
        """Return the paginator, told what a search has counted already, as far as that is exact or enough."""
        paginator = super().get_paginator(request, *args, **kwargs)
        counted: int | None = getattr(request, "newss_matching", None)
        if counted is not None and (counted <= RANKED or counted > paginator.limit):
            paginator.known = counted
        return paginator

    @admin.display(description=_("Article"), ordering="title")
    def reading(self, article: Article) -> SafeString:
        """Return title, where it was seen, language and the first lines, or those where a search found something."""
        return article_cells.reading(article, queries.parse(getattr(article, "asked", "")))

    @admin.display(description=_("Published"), ordering="dated_at")
    def published(self, article: Article) -> SafeString:
        """Return when it was published, in the outlet's zone and relative."""
        return article_cells.published(article)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the article as a page to read."""
        article = self.get_object(request, object_id) if object_id else None
        shown: dict[str, Any] = {}
        if article and self.has_view_permission(request, article):
            shown = {
                "article": article,
                "title": article.title,
                "subtitle": None,
                "copies": article.copies.only("title").order_by("pk")[:COPIES_SHOWN],
                "kept_page": ArticlePage.objects.filter(article=article).exists(),
                "versions": article.versions.all()[:VERSIONS_SHOWN],
                "seen_in": ArticleSource.objects.filter(article=article).select_related("source").order_by("pk"),
                # The outlet's server learns who reads only when the reader asks for the image.
                "with_image": "image" in request.GET,
            }
        return super().changeform_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name the articles only; where they were seen goes along without saying."""
        rows = list(objs)
        needed = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        return (
            [show.NOTHING if not row.title else row.title for row in rows],
            {model_ngettext(self.opts, len(rows)): len(rows)},
            needed,
            [],
        )
