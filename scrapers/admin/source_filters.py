"""The filters of the list of sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from scheduling.admin.dropdown import DropdownFilter
from scheduling.models import Tag
from scrapers.kinds import registry as kinds
from scrapers.models import Source, SourceHealth
from scrapers.models.source import SourceQuerySet


class StateFilter(DropdownFilter):
    """How a source is doing, and the opposite of each."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return the states, then their opposites."""
        words = [(state.value, state.label) for state in SourceHealth]
        return [*words, *((f"!{value}", _("not %(state)s") % {"state": label}) for value, label in words)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those in the state, or all others."""
        value = self.value() or ""
        if value.lstrip("!") not in SourceHealth.values:
            return None
        matching = Source.objects.in_health(SourceHealth(value.lstrip("!"))).values("pk")
        return queryset.exclude(pk__in=matching) if value.startswith("!") else queryset.filter(pk__in=matching)


class KindFilter(DropdownFilter):
    """The kind of source."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return the registered kinds."""
        return kinds.choices()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those of the kind."""
        return queryset.filter(kind=self.value()) if self.value() else None


class TagFilter(DropdownFilter):
    """A tag that it carries."""

    title = _("tag")
    parameter_name = "tag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return the tags that sources carry."""
        # As text, as it stands in an address: counting what each choice would show asks with what is returned here.
        carried = Tag.objects.filter(sources__isnull=False).distinct()
        return [(str(key), name) for key, name in carried.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those that carry it."""
        value = self.value() or ""
        assert isinstance(queryset, SourceQuerySet)
        return queryset.tagged([int(value)]) if value.isdecimal() and len(value) < 19 else None


class EnabledFilter(DropdownFilter):
    """Whether a person wants it polled."""

    title = _("enabled")
    parameter_name = "enabled"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Return yes and no."""
        return [("1", _("yes")), ("0", _("no"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Keep those that are enabled, or those that are off."""
        return queryset.filter(enabled=self.value() == "1") if self.value() in ("0", "1") else None


FILTERS = (StateFilter, KindFilter, TagFilter, EnabledFilter)
