"""What collecting stores: sources, hosts, articles, topics, and how each source went in each run."""

from scrapers.models.article import Article, url_hash
from scrapers.models.history import ArticleBand, ArticlePage, ArticleVersion, ChangeCounter, Tombstone
from scrapers.models.host import Host, HostGroup, HostLane
from scrapers.models.level import SettingsLevel
from scrapers.models.move import SourceMove
from scrapers.models.polled import Facts
from scrapers.models.result import ResultStatus, SourceResult
from scrapers.models.seen import ArticleSource, PassedItem
from scrapers.models.source import Source
from scrapers.models.source_health import SourceHealth
from scrapers.models.topic import Topic, TopicMatch

__all__ = [
    "Article",
    "ArticleBand",
    "ArticlePage",
    "ArticleSource",
    "ArticleVersion",
    "ChangeCounter",
    "Facts",
    "Host",
    "HostGroup",
    "HostLane",
    "PassedItem",
    "ResultStatus",
    "SettingsLevel",
    "Source",
    "SourceHealth",
    "SourceMove",
    "SourceResult",
    "Tombstone",
    "Topic",
    "TopicMatch",
    "url_hash",
]
