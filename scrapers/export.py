"""Articles for other programs: CSV, JSON Lines, RSS and JSON Feed, written piece by piece.

A format is a generator of text: it reads the articles in batches from the database's cursor and holds one batch at a
time, so that a million of them need no more memory than a thousand.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from django.core.exceptions import ValidationError
from django.db.models import Prefetch
from django.http import StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from scrapers.models import Article, Source
from scrapers.models.article import ArticleQuerySet

BATCH = 500
"""Articles that are held at once."""
COLUMNS = (
    "id",
    "url",
    "title",
    "text",
    "summary",
    "authors",
    "published",
    "modified",
    "stored",
    "changed",
    "language",
    "section",
    "keywords",
    "site_name",
    "image",
    "words",
    "sources",
    "copy_of",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
#: What XML 1.0 does not allow, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Format:
    """One form of export: what it is called in HTTP and in files, and who writes it."""

    content_type: str
    extension: str
    write: Callable[[Iterable[Article], str], Iterator[str]]


def export(articles: ArticleQuerySet, name: str, title: str = "NEWSS") -> Iterator[str]:
    """Return the pieces of an export; `name` is a key of `FORMATS`, `title` heads what has a heading.

    Raises `ValidationError` for an unknown format, at once.
    """
    return get_format(name).write(_stream(articles), title)


def streamed(articles: ArticleQuerySet, name: str, title: str = "") -> StreamingHttpResponse:
    """Return an export as an answer that is sent while it is written; raises `ValidationError` as `export` does."""
    chosen = get_format(name)
    response = StreamingHttpResponse(export(articles, name, title or "NEWSS"), content_type=chosen.content_type)
    file_name = f"articles-{timezone.localdate():%Y-%m-%d}.{chosen.extension}"
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def get_format(name: str) -> Format:
    """Return a format; raises `ValidationError` with the names that exist."""
    if name not in FORMATS:
        words = _("There is no format “%(name)s”; known are: %(known)s.")
        raise ValidationError({"format": words % {"name": name, "known": ", ".join(FORMATS)}})
    return FORMATS[name]


def as_dict(article: Article) -> dict[str, Any]:
    """Return an article as JSON has it (its sources are read); instants are ISO 8601, with the outlet's zone."""
    return {
        "id": article.pk,
        "url": article.url,
        "title": article.title,
        "text": article.text,
        "summary": article.summary,
        "authors": article.authors,
        "published": _iso(article.published_local),
        "modified": _iso(article.modified_local),
        "stored": _iso(article.created_at),
        "changed": _iso(article.updated_at),
        "language": article.language,
        "section": article.section,
        "keywords": article.keywords,
        "site_name": article.site_name,
        "image": article.image_link,
        "words": article.word_count,
        "sources": [source.name for source in article.sources.all()],
        "copy_of": article.duplicate_of_id,
    }


def with_sources(articles: ArticleQuerySet) -> ArticleQuerySet:
    """Return articles whose sources come along."""
    return articles.prefetch_related(Prefetch("sources", queryset=Source.objects.only("name").order_by("name")))


def _stream(articles: ArticleQuerySet) -> Iterator[Article]:
    return with_sources(articles).iterator(BATCH)


def _csv(articles: Iterable[Article], _title: str) -> Iterator[str]:
    """Write a table that spreadsheets open: with a byte order mark, and no cell that one would take for a formula."""
    line = io.StringIO()
    writer = csv.writer(line)
    yield "\ufeff"
    writer.writerow(COLUMNS)
    for article in articles:
        yield _taken(line)
        writer.writerow([_cell(value) for value in as_dict(article).values()])
    yield _taken(line)


def _cell(value: Any) -> Any:
    text = "; ".join(map(str, value)) if isinstance(value, list) else value
    # By OWASP: a cell that begins like a formula is executed by spreadsheets; an apostrophe makes it text.
    return f"'{text}" if isinstance(text, str) and text.lstrip(" ").startswith(_FORMULA) else text


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _json_lines(articles: Iterable[Article], _title: str) -> Iterator[str]:
    for article in articles:
        yield json.dumps(as_dict(article), ensure_ascii=False) + "\n"


def _json_feed(articles: Iterable[Article], title: str) -> Iterator[str]:
    """Write a JSON Feed 1.1 (jsonfeed.org)."""
    head = {"version": "https://jsonfeed.org/version/1.1", "title": title}
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "items": ['
    between = ""
    for article in articles:
        yield between + json.dumps(_feed_item(article), ensure_ascii=False)
        between = ",\n"
    yield "]}\n"


def _feed_item(article: Article) -> dict[str, Any]:
    item = {
        "id": article.url,
        "url": article.url,
        "title": article.title,
        "content_text": article.text or article.summary,
        "summary": article.summary,
        "image": article.image_link,
        "date_published": _iso(article.published_local or article.created_at),
        "date_modified": _iso(article.updated_at),
        "authors": [{"name": name} for name in article.authors],
        "tags": article.keywords,
        "language": article.language,
    }
    return {name: value for name, value in item.items() if value or name == "content_text"}


def _rss(articles: Iterable[Article], title: str) -> Iterator[str]:
    """Write RSS 2.0 (rssboard.org), authors in Dublin Core since RSS wants addresses of mail there."""
    yield (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
        f"<title>{_xml(title)}</title><link>http://localhost/</link><description>{_xml(title)}</description>\n"
    )
    for article in articles:
        published = (article.published_local or article.created_at).astimezone(UTC)
        yield "".join(
            [
                f"<item><title>{_xml(article.title)}</title><link>{_xml(article.url)}</link>",
                f"<guid isPermaLink={quoteattr('true')}>{_xml(article.url)}</guid>",
                f"<pubDate>{format_datetime(published, usegmt=True)}</pubDate>",
                f"<description>{_xml(_paragraphs(article))}</description>",
                *(f"<dc:creator>{_xml(name)}</dc:creator>" for name in article.authors),
                *(f"<category>{_xml(word)}</category>" for word in article.keywords),
                "</item>\n",
            ]
        )
    yield "</channel></rss>\n"


def _paragraphs(article: Article) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in article.paragraphs)


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("", text))


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


FORMATS: dict[str, Format] = {
    "csv": Format("text/csv; charset=utf-8", "csv", _csv),
    "jsonl": Format("application/jsonl; charset=utf-8", "jsonl", _json_lines),
    "rss": Format("application/rss+xml; charset=utf-8", "rss", _rss),
    "jsonfeed": Format("application/feed+json; charset=utf-8", "json", _json_feed),
}
