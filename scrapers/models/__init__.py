"""What collecting stores: sources, hosts, articles, and how each source went in each run."""

from scrapers.models.article import Article, ArticleSource, PassedItem, url_hash
from scrapers.models.host import Host, HostLane
from scrapers.models.result import ResultStatus, SourceResult
from scrapers.models.source import Source, SourceHealth

__all__ = [
    "Article",
    "ArticleSource",
    "Host",
    "HostLane",
    "PassedItem",
    "ResultStatus",
    "Source",
    "SourceHealth",
    "SourceResult",
    "url_hash",
]
