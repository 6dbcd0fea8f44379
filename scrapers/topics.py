"""Marking: which topics an article belongs to, as it comes in and among what is stored.

What comes in is matched in memory, what is stored by one statement of the database; both mean the same
(`scrapers.query`, `scrapers.search`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable

from django.db import connection, transaction
from django.utils import timezone

from scrapers.models import Article, ArticleSource, Topic, TopicMatch
from scrapers.query import Document, Field, Query, QueryError

logger = logging.getLogger(__name__)


def mark(articles: Iterable[Article]) -> None:
    """Mark articles that were stored or changed with the topics that they match now, and with no others."""
    _mark(list(articles), _queries())


def mark_seen(keys: Iterable[int]) -> None:
    """Mark articles (primary keys) that were seen in a further source, by the topics that ask for sources."""
    queries = {
        topic: query
        for topic, query in _queries().items()
        if any(term.field is Field.SOURCE for row in query.alternatives for term in row)
    }
    if queries:
        _mark(list(Article.objects.filter(pk__in=list(keys))), queries)


@transaction.atomic
def apply(topic: Topic) -> int:
    """Let a topic mark what is stored, and nothing that it does not match any more; return how many it has then."""
    found = Article.objects.all().search(topic.parsed).order_by().values("id")
    TopicMatch.objects.filter(topic=topic).exclude(article__in=found).delete()
    statement, parameters = found.query.sql_with_params()
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO scrapers_topicmatch (topic_id, article_id, at)"
            f" SELECT %s, found.id, %s FROM ({statement}) AS found WHERE true ON CONFLICT DO NOTHING",
            [topic.pk, now, *parameters],
        )
    return TopicMatch.objects.filter(topic=topic).count()


def _queries() -> dict[int, Query]:
    """Return the queries of the topics that mark what comes in."""
    queries = {}
    for topic in Topic.objects.enabled():
        try:
            queries[topic.pk] = topic.parsed
        except QueryError as error:
            # Stored before the syntax refused it, or by plain SQL: the others go on.
            logger.warning("The query of the topic “%s” cannot be understood: %s", topic, error)
    return queries


def _mark(articles: list[Article], queries: dict[int, Query]) -> None:
    if not articles or not queries:
        return
    names: dict[int, list[str]] = defaultdict(list)
    links = ArticleSource.objects.filter(article__in=[article.pk for article in articles])
    for key, name in links.values_list("article", "source__name"):
        names[key].append(name)
    now = {
        (topic, article.pk)
        for article in articles
        for document in [_document(article, names[article.pk])]
        for topic, query in queries.items()
        if query.matches(document)
    }
    rows = TopicMatch.objects.filter(article__in=[article.pk for article in articles], topic__in=list(queries))
    before = {(topic, article): key for key, topic, article in rows.values_list("pk", "topic", "article")}
    TopicMatch.objects.filter(pk__in=[key for pair, key in before.items() if pair not in now]).delete()
    TopicMatch.objects.bulk_create(
        [TopicMatch(topic_id=topic, article_id=article) for topic, article in sorted(now - before.keys())],
        ignore_conflicts=True,
    )


def _document(article: Article, names: Iterable[str]) -> Document:
    return Document(article.title, article.summary, article.text, article.language, tuple(names))
