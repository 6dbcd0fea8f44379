"""The endpoints of articles: lists, one of them, exports, and changes for those who copy on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from pydantic import AwareDatetime, Field

from scheduling.api.access import permitted
from scheduling.api.errors import READ_ERRORS, Problem
from scheduling.api.fields import RowId
from scrapers import following
from scrapers.export import as_dict, get_format, streamed, with_sources
from scrapers.models import Article, Tombstone
from scrapers.selection import Selection

router = Router(tags=["articles"])
VIEW = "scrapers.view_article"


class Filters(Schema):
    """Which articles; all filters must hold."""

    q: str = Field("", max_length=500, description='Words, "a phrase", -not, OR, title:, source:, lang:.')
    source: str = Field("", max_length=200, description="Seen in this source (number or name).")
    tag: str = Field("", max_length=200, description="Seen in a source with this tag (number or name).")
    topic: str = Field("", max_length=200, description="Marked by this topic (number or name).")
    language: str = Field("", max_length=20)
    since: AwareDatetime | None = Field(None, description="Published (or else stored) at this instant or later.")
    until: AwareDatetime | None = Field(None, description="Published (or else stored) before this instant.")
    copies: bool = Field(False, description="Also copies of a story in other outlets.")

    def selection(self) -> Selection:
        """Return the filters as the rest of the code has them."""
        return Selection(**{name: getattr(self, name) for name in Filters.model_fields})


class ArticleFilters(Filters):
    """Which articles, and which part of the list."""

    limit: int = Field(50, ge=1, le=200)
    offset: int = Field(0, ge=0, le=10_000, description="For more, go on with `until`, or take an export.")


class ExportFilters(Filters):
    """Which articles, in which format."""

    format: str = Field("jsonl", description="csv, jsonl, rss or jsonfeed.")


class ArticleDetail(Schema):
    """One article."""

    id: int
    url: str
    title: str
    text: str
    summary: str
    authors: list[str]
    published: datetime | None
    modified: datetime | None
    stored: datetime
    changed: datetime
    language: str
    section: str
    keywords: list[str]
    site_name: str
    image: str
    words: int
    sources: list[str]
    copy_of: int | None = Field(description="The first article with nearly the same text.")


class ArticlePage(Schema):
    """A part of the list of articles, newest first."""

    items: list[ArticleDetail]
    more: bool = Field(description="Whether the list goes on.")


class Change(Schema):
    """An article as it is now, or that it was deleted."""

    id: int
    deleted: bool
    article: ArticleDetail | None = None


class ChangePage(Schema):
    """Changes in their order."""

    items: list[Change]
    next: str = Field(description="Give this as `since` the next time.")
    more: bool = Field(description="Whether there is more at once.")


class Since(Schema):
    """From where."""

    since: str = Field("", max_length=60, description="What `next` said the last time; empty: from the beginning.")
    limit: int = Field(100, ge=1, le=500)


@router.get("/articles", response={200: ArticlePage, **READ_ERRORS}, operation_id="articles")
def list_articles(request: HttpRequest, filters: Query[ArticleFilters]) -> dict[str, Any]:
    """List articles, newest first. Needs the permission scrapers.view_article."""
    permitted(request, VIEW)
    found = with_sources(filters.selection().articles())
    rows = list(found[filters.offset : filters.offset + filters.limit + 1])
    return {"items": [as_dict(row) for row in rows[: filters.limit]], "more": len(rows) > filters.limit}


@router.get("/articles/changes", response={200: ChangePage, **READ_ERRORS}, operation_id="article_changes")
def list_changes(request: HttpRequest, part: Query[Since]) -> dict[str, Any]:
    """List what was stored, changed or deleted since a cursor; nothing is left out, however many write meanwhile.

    Needs the permission scrapers.view_article.
    """
    permitted(request, VIEW)
    found = following.changes(following.Cursor.parse(part.since), part.limit)
    return {"items": [_change(row) for row in found.rows], "next": str(found.next), "more": found.more}


@router.get(
    "/articles/export",
    response={200: None, **READ_ERRORS},
    operation_id="article_export",
    openapi_extra={"responses": {200: {"description": "The articles in the format that was asked for."}}},
)
def export_articles(request: HttpRequest, filters: Query[ExportFilters]) -> StreamingHttpResponse:
    """Export all articles of a filter, newest first, in a stream. Needs the permission scrapers.view_article."""
    permitted(request, VIEW)
    get_format(filters.format)
    return streamed(filters.selection().articles(), filters.format, filters.topic)


@router.get(
    "/articles/{article_id}", response={200: ArticleDetail, 404: Problem, **READ_ERRORS}, operation_id="article"
)
def read_article(request: HttpRequest, article_id: RowId) -> dict[str, Any]:
    """Tell of one article. Needs the permission scrapers.view_article."""
    permitted(request, VIEW)
    article = with_sources(Article.objects.filter(pk=article_id)).first()
    if article is None:
        raise Http404(_("There is no article %(number)s.") % {"number": article_id})
    return as_dict(article)


def _change(row: Article | Tombstone) -> dict[str, Any]:
    if isinstance(row, Tombstone):
        return {"id": row.article_id, "deleted": True}
    return {"id": row.pk, "deleted": False, "article": as_dict(row)}
