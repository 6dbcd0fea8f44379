"""The kinds of sources: how an answer becomes items. A new kind is one file here and one line below."""

from scrapers.kinds.base import Item, Kind, Listing, registry
from scrapers.kinds.feed import FeedKind

registry.add(FeedKind())

__all__ = ["Item", "Kind", "Listing", "registry"]
