"""The filters of the list of articles."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.utils import parse_date_str

from scheduling.admin.dropdown import DropdownFilter
from scheduling.models import Tag
from scrapers.models import Article, Source, Topic
from scrapers.models.article import ArticleQuerySet


class _KeyFilter(DropdownFilter):
    """A filter whose value is a primary key."""

    def key(self) -> int | None:
        """Return the chosen key; None for none, and for what is no key."""
        value = self.value() or ""
        return int(value) if value.isdecimal() and len(value) < 19 else None


class SourceFilter(_KeyFilter):
    """A source in which it was seen."""

    title = _("source")
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return all sources."""
        return list(Source.objects.order_by("name").values_list("pk", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those that were seen in it."""
        assert isinstance(queryset, ArticleQuerySet)
        key = self.key()
        return None if key is None else queryset.seen_in(key)


class TagFilter(_KeyFilter):
    """A tag of a source in which it was seen."""

    title = _("tag")
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return the tags that sources carry."""
        return list(Tag.objects.filter(sources__isnull=False).distinct().values_list("pk", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those that were seen in a source with the tag."""
        assert isinstance(queryset, ArticleQuerySet)
        key = self.key()
        return None if key is None else queryset.tagged(key)


class TopicFilter(_KeyFilter):
    """A topic that has marked it."""

    title = _("topic")
    parameter_name = "topic"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return all topics."""
        return list(Topic.objects.order_by("name").values_list("pk", "name"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those that it has marked."""
        assert isinstance(queryset, ArticleQuerySet)
        key = self.key()
        return None if key is None else queryset.in_topic(key)


class LanguageFilter(DropdownFilter):
    """The language it is written in."""

    title = _("language")
    parameter_name = "language"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return the languages that articles have."""
        return [(code, code) for code in Article.objects.languages()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those in it."""
        return queryset.filter(language=self.value()) if self.value() else None


class DayFilter(RangeDateFilter):  # type: ignore[misc]
    """A range of local days, both of them whole; unfold's own leaves out the last one and knows no zone.

    It filters what the list is sorted by: one that names no date counts by when it was stored.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep those of these days; what is no date is no bound."""
        if first := self._day("from"):
            queryset = queryset.filter(dated_at__gte=_start_of(first))
        if last := self._day("to"):
            queryset = queryset.filter(dated_at__lt=_start_of(last + timedelta(days=1)))
        return queryset

    def _day(self, end: str) -> date | None:
        day = cast("date | None", parse_date_str(self.used_parameters.get(f"{self.parameter_name}_{end}") or ""))
        # The first and the last year that there are cannot be told in every zone.
        return day if day and date.min.year < day.year < date.max.year else None


def _start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


class CopiesFilter(DropdownFilter):
    """Whether copies of a story in other outlets stand in the list by themselves."""

    title = _("copies")
    turnable = False
    parameter_name = "copies"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return the one choice beside the usual list."""
        return [("shown", _("shown one by one"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Fold copies under the first article, unless they are asked for."""
        assert isinstance(queryset, ArticleQuerySet)
        return None if self.value() == "shown" else queryset.originals()


FILTERS = (SourceFilter, TagFilter, TopicFilter, LanguageFilter, CopiesFilter, ("published_at", DayFilter))
