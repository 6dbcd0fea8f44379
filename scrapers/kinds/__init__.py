"""The kinds of sources: how an address becomes items. A new kind is one file here and one line below."""

from scrapers.kinds.base import Item, Kind, Listing, registry
from scrapers.kinds.feed import FeedKind
from scrapers.kinds.forms import OptionsForm
from scrapers.kinds.poll import NotModified, Poll

registry.add(FeedKind())

__all__ = ["Item", "Kind", "Listing", "NotModified", "OptionsForm", "Poll", "registry"]
