"""The kinds of sources: how an address becomes items. A new kind is one file here and one line below."""

from scrapers.kinds.base import Item, Kind, Listing, registry
from scrapers.kinds.custom import Scraper, scraper
from scrapers.kinds.feed import FeedKind
from scrapers.kinds.forms import OptionsForm, SecretField
from scrapers.kinds.json_api import JSONKind
from scrapers.kinds.listing import ListingKind
from scrapers.kinds.poll import NotModified, Poll
from scrapers.kinds.scrapy_spider import SpiderKind
from scrapers.kinds.sitemap import SitemapKind

registry.add(FeedKind())
registry.add(SitemapKind())
registry.add(ListingKind())
registry.add(JSONKind())
registry.add(SpiderKind())

__all__ = [
    "Item",
    "Kind",
    "Listing",
    "NotModified",
    "OptionsForm",
    "Poll",
    "Scraper",
    "SecretField",
    "registry",
    "scraper",
]
