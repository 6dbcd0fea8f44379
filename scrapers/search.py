"""Full-text search over articles, by the queries of `scrapers.query`, on either database.

What stands in the index are the very words that `scrapers.query` compares, cut by us and not by the database: no
stems, no stop words, no parser that takes "3.5-litre" for a number. So a search finds what a topic marks. PostgreSQL
holds them as a `tsvector` with a GIN index, SQLite in an FTS5 table; both are made by the migration 0002 and written
here, whenever articles are saved or made in bulk.

Limits: `query.TITLE_WORDS` … `FIELD_BYTES`; PostgreSQL keeps 256 places of one word in one article, so that it may
miss a phrase whose words stand there more often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from django.db import connections, models
from django.db.models import F, Q, Value
from django.db.models.expressions import RawSQL
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from scrapers.query import Document, Field, Query, Term
from scrapers.words import WORD, words

if TYPE_CHECKING:
    from scrapers.models.article import Article, ArticleQuerySet

GAP = 10
"""Places between two fields in PostgreSQL's index, so that no phrase reaches from one into the next."""
SNIPPET_CHARACTERS = 300


def index(articles: Iterable[Article], using: str) -> None:
    """Write the index of articles that were saved, in place of what stood there."""
    rows = [
        (article.pk, Document(article.title, article.summary, article.text).fields)
        for article in articles
        if article.pk is not None
    ]
    if not rows:
        return
    connection = connections[using]
    keys = [key for key, _fields in rows]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "INSERT INTO scrapers_articlesearch (article_id, document)"
                " SELECT key, document::tsvector FROM unnest(%s::bigint[], %s::text[]) AS row (key, document)"
                " ON CONFLICT (article_id) DO UPDATE SET document = excluded.document",
                [keys, [_tsvector(fields) for _key, fields in rows]],
            )
            return
        cursor.executemany("DELETE FROM scrapers_articlesearch WHERE rowid = %s", [(key,) for key in keys])
        cursor.executemany(
            "INSERT INTO scrapers_articlesearch (rowid, title, summary, text) VALUES (%s, %s, %s, %s)",
            [(key, *map(" ".join, fields)) for key, fields in rows],
        )


def matching(articles: ArticleQuerySet, query: Query) -> ArticleQuerySet:
    """Keep the articles that a query asks for."""
    if not query:
        return articles
    condition = Q()
    for row in query.alternatives:
        condition |= _row(row, articles.db)
    return articles.filter(condition)


def ranked(articles: ArticleQuerySet, query: Query) -> ArticleQuerySet:
    """Keep the articles that a query asks for, the best first: words in the title count most, rare ones more.

    Each has its `rank`, higher for better.
    """
    found = matching(articles, query)
    expression = " OR ".join if connections[articles.db].vendor != "postgresql" else " | ".join
    terms = [_term(term, articles.db) for term in query.wanted]
    rank: models.Expression = Value(0.0, output_field=models.FloatField())
    if terms:
        rank = RawSQL(_rank(articles.db), [expression(terms)], output_field=models.FloatField())  # noqa: S611
    return found.annotate(rank=rank).order_by(F("rank").desc(nulls_last=True), "-dated_at", "-id")


def highlight(text: str, query: Query, characters: int = SNIPPET_CHARACTERS) -> SafeString:
    """Return a part of a text, escaped, with what the query asks for in `<mark>`: around the first place, or the start.

    `characters` is about how long the part is; 0: the whole text.
    """
    spans = _spans(text, query.wanted)
    begin, end = _window(text, spans, characters) if characters else (0, len(text))
    parts, at = [], begin
    for start, stop in spans:
        if start < at or stop > end:
            continue
        parts.append(format_html("{}<mark>{}</mark>", text[at:start], text[start:stop]))
        at = stop
    before, after = "… " if begin else "", " …" if end < len(text) else ""
    return format_html("{}{}{}{}", before, format_html_join("", "{}", ((part,) for part in parts)), text[at:end], after)


def _row(row: Sequence[Term], using: str) -> Q:
    """Return the condition that all terms of a row hold."""
    condition = Q()
    by_text = [term for term in row if term.field in (Field.ANY, Field.TITLE)]
    wanted = [_term(term, using) for term in by_text if not term.negated]
    unwanted = [_term(term, using) for term in by_text if term.negated]
    postgresql = connections[using].vendor == "postgresql"
    if wanted:
        condition &= Q(pk__in=_found((" & " if postgresql else " AND ").join(wanted), using))
    if unwanted:
        condition &= ~Q(pk__in=_found((" | " if postgresql else " OR ").join(unwanted), using))
    for term in row:
        if term.field is Field.LANG:
            found = Q(language__iexact=term.text) | Q(language__istartswith=f"{term.text}-")
        elif term.field is Field.SOURCE:
            found = Q(pk__in=_seen_in(term, using))
        else:
            continue
        condition &= ~found if term.negated else found
    return condition


def _seen_in(term: Term, using: str) -> models.QuerySet[models.Model, int]:
    from scrapers.models import ArticleSource, Source

    names = Source.objects.using(using).order_by().values_list("pk", "name")
    keys = [key for key, name in names if term.is_in_name(name)]
    return ArticleSource.objects.using(using).filter(source__in=keys).order_by().values_list("article", flat=True)


def _found(expression: str, using: str) -> RawSQL:
    if connections[using].vendor == "postgresql":
        sql = "SELECT article_id FROM scrapers_articlesearch WHERE document @@ %s::tsquery"
    else:
        sql = "SELECT rowid FROM scrapers_articlesearch WHERE scrapers_articlesearch MATCH %s"
    return RawSQL(sql, [expression])  # noqa: S611 - a statement of ours, with a parameter


def _rank(using: str) -> str:
    if connections[using].vendor == "postgresql":
        # The weights of D (unused), C (text), B (summary) and A (title).
        return (
            "(SELECT ts_rank_cd('{0, 0.1, 0.4, 1}', document, %s::tsquery) FROM scrapers_articlesearch"
            " WHERE article_id = scrapers_article.id)"
        )
    # Ranked once for all: asked row by row, FTS5 counts all texts again for each (measured: 22 s for 3,500 of 4,000).
    return (
        "(WITH ranks (article_id, value) AS MATERIALIZED ("
        "SELECT rowid, -bm25(scrapers_articlesearch, 10, 4, 1) FROM scrapers_articlesearch"
        " WHERE scrapers_articlesearch MATCH %s) SELECT value FROM ranks WHERE article_id = scrapers_article.id)"
    )


def _term(term: Term, using: str) -> str:
    """Return a term as the database's own query language has it; words hold no character that means something there."""
    if connections[using].vendor == "postgresql":
        weight = ":A" if term.field is Field.TITLE else ""
        return "(" + " <-> ".join(f"'{word}'{weight}" for word in term.words) + ")"
    return f'title : "{term.text}"' if term.field is Field.TITLE else f'"{term.text}"'


def _tsvector(fields: Sequence[Sequence[str]]) -> str:
    """Return the words of an article as the text of a tsvector: each with its places, and its field as a weight."""
    places: dict[str, str] = {}
    at = 0
    for weight, found in zip("ABC", fields, strict=True):
        for place, word in enumerate(found, start=at + 1):
            before = places.get(word)
            places[word] = f"{before},{place}{weight}" if before else f"'{word}':{place}{weight}"
        at += len(found) + GAP
    return " ".join(places.values())


def _spans(text: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Return where in a text the terms stand, in order, those that overlap put together."""
    found = [(word, match.span()) for match in WORD.finditer(text) for word in words(match.group())]
    spoken = [word for word, _span in found]
    spans = []
    for term in terms:
        wanted = term.words
        for at in range(len(spoken) - len(wanted) + 1):
            if spoken[at] == wanted[0] and spoken[at : at + len(wanted)] == wanted:
                spans.append((found[at][1][0], found[at + len(wanted) - 1][1][1]))
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _window(text: str, spans: Sequence[tuple[int, int]], characters: int) -> tuple[int, int]:
    """Return the part to show: it begins and ends between words, a third of it before the first place."""
    first, last = spans[0] if spans else (0, 0)
    begin = max(0, first - characters // 3)
    if begin:
        space = text.find(" ", begin, first)
        begin = space + 1 if space >= 0 else begin
    end = min(len(text), max(begin + characters, last))
    if end < len(text):
        space = text.rfind(" ", max(last, begin), end)
        end = space if space > begin else end
    return begin, end
