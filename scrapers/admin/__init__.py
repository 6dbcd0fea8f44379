"""The admin of collecting: one file a model; importing them registers them."""

from scrapers.admin.article import ArticleAdmin
from scrapers.admin.host import HostAdmin
from scrapers.admin.level import SettingsLevelAdmin
from scrapers.admin.move import SourceMoveAdmin
from scrapers.admin.result import SourceResultAdmin
from scrapers.admin.source import SourceAdmin
from scrapers.admin.topic import TopicAdmin

__all__ = [
    "ArticleAdmin",
    "HostAdmin",
    "SettingsLevelAdmin",
    "SourceAdmin",
    "SourceMoveAdmin",
    "SourceResultAdmin",
    "TopicAdmin",
]
