"""Storing: what of a source is known already, and articles in batches, each in one transaction.

Called in the run's database thread; doubles nothing, whoever else stores at the same time.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from scrapers.extract.addresses import normalise
from scrapers.kinds import Item
from scrapers.models import Article, ArticleSource, PassedItem, url_hash

logger = logging.getLogger(__name__)

FUTURE_ALLOWED = timedelta(days=1)
"""A time of publication further ahead than this is a mistake and not stored."""
OLDEST_YEAR = 1900


class Outcome(StrEnum):
    """What became of an item; the names are the counters of `SourceResult`."""

    NEW = "new"
    UPDATED = "updated"
    KNOWN = "known"
    DUPLICATE = "duplicate"
    EXCLUDED = "excluded"
    OVER_LIMIT = "over_limit"
    FORBIDDEN = "forbidden"
    FAILED = "failed"


@dataclass(frozen=True)
class Entry:
    """An item of a source, as it is looked up: `key` tells it from others, `url` is normalised (or empty)."""

    item: Item
    key: str
    url: str

    @classmethod
    def of(cls, item: Item) -> Entry:
        """Return the entry of an item."""
        try:
            url = normalise(item.url) if item.url else ""
        except ValueError:
            url = ""
        # A feed that changes the tracking parameters at each poll still means the same item.
        name = f"{item.guid}\n{url}" if item.guid or url else f"\n\n{item.title}"
        return cls(item, hashlib.sha256(clean(name).encode()).hexdigest(), url)


@dataclass(frozen=True)
class Status:
    """What is known of an entry: how it counts, or None if its page is to be fetched.

    `refresh` is the article that the page is to be compared with, since the entry was updated; None for a new one.
    """

    outcome: Outcome | None = None
    refresh: int | None = None


@dataclass(frozen=True)
class Draft:
    """An article as it was collected, to be stored."""

    run_id: int
    source_id: int
    entry: Entry
    url: str
    title: str
    text: str
    summary: str = ""
    authors: tuple[str, ...] = ()
    published: datetime | None = None
    zone_known: bool = False
    language: str = ""
    image: str = ""
    refresh: int | None = None

    def content_hash(self) -> str:
        """Return what equal content has in common; empty without text."""
        words = " ".join(re.findall(r"\w+", f"{self.title}\n{self.text}".casefold()))
        return hashlib.sha256(words.encode()).hexdigest() if self.text else ""

    def fields(self) -> dict[str, object]:
        """Return the article's fields, fit for both databases."""
        published = self.published if self.published and is_plausible(self.published) else None
        offset = published.utcoffset() if published and self.zone_known else None
        return {
            "title": clean(self.title),
            "text": clean(self.text),
            "summary": clean(self.summary),
            "authors": [clean(name) for name in self.authors],
            "published_at": published.astimezone(UTC) if published else None,
            "published_offset": round(offset.total_seconds() / 60) if offset is not None else None,
            "language": clean(self.language)[:20],
            "image_url": clean(self.image),
            "word_count": len(re.findall(r"\w+", self.text)),
            "content_hash": self.content_hash(),
        }


def clean(text: str) -> str:
    """Return a text that both databases can hold: no NUL, no halves of characters."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def is_plausible(instant: datetime) -> bool:
    """Tell whether an instant can be one of publication."""
    return instant.year >= OLDEST_YEAR and instant <= timezone.now() + FUTURE_ALLOWED


def look_up(source_id: int, entries: Sequence[Entry], scope: str) -> list[Status]:
    """Return what is known of each entry of a source; an entry that repeats an earlier one is a duplicate.

    Articles that other sources brought are linked to this one. `scope` is the key of the run's query.
    """
    keys = [entry.key for entry in entries]
    hashes = {url_hash(entry.url): entry for entry in entries if entry.url}
    articles = {found.url_hash: found for found in _articles(hashes)}
    links = {
        link.item_key: link for link in ArticleSource.objects.filter(source=source_id, item_key__in=keys)
    } | _links_by_url(source_id, articles)
    passed = {
        item.item_key: item
        for item in PassedItem.objects.filter(source=source_id, item_key__in=keys, scope__in={"", scope})
    }
    seen: set[str] = set()
    statuses = []
    for entry in entries:
        names = {entry.key, entry.url} - {""}
        if names & seen:
            statuses.append(Status(Outcome.DUPLICATE))
            continue
        seen |= names
        article = articles.get(url_hash(entry.url)) if entry.url else None
        statuses.append(_status(entry, links.get(entry.key) or links.get(entry.url), passed.get(entry.key), article))
    _link_elsewhere_known(source_id, entries, statuses, articles)
    return statuses


def _articles(hashes: Iterable[str]) -> Iterable[Article]:
    return Article.objects.filter(url_hash__in=list(hashes)).only("pk", "url", "url_hash", "fetched_at")


def _links_by_url(source_id: int, articles: dict[str, Article]) -> dict[str, ArticleSource]:
    by_id = {article.pk: article.url for article in articles.values()}
    links = ArticleSource.objects.filter(source=source_id, article__in=list(by_id))
    return {by_id[link.article_id]: link for link in links}


def _status(entry: Entry, link: ArticleSource | None, passed: PassedItem | None, article: Article | None) -> Status:
    updated = entry.item.updated
    if link is None and passed is None:
        return Status(Outcome.DUPLICATE if article is not None else None)
    # The entry's own times are compared: clocks differ, and many feeds write no seconds. A first one is an update too.
    before = [known.item_updated_at for known in (link, passed) if known and known.item_updated_at]
    if updated is None or any(updated <= moment for moment in before):
        return Status(Outcome.KNOWN)
    return Status(refresh=link.article_id if link else None)


def _link_elsewhere_known(
    source_id: int, entries: Sequence[Entry], statuses: Sequence[Status], articles: dict[str, Article]
) -> None:
    links = {}
    for entry, status in zip(entries, statuses, strict=True):
        article = articles.get(url_hash(entry.url)) if entry.url else None
        if status.outcome is Outcome.DUPLICATE and article is not None:
            links[article.pk] = _link(article.pk, source_id, entry)
    ArticleSource.objects.bulk_create(links.values(), ignore_conflicts=True)


def store(drafts: Sequence[Draft]) -> list[Outcome | DatabaseError]:
    """Store articles in one transaction; return what became of each.

    A draft that the database refuses fails alone: then each is stored by itself. Raises `OperationalError` and
    `InterfaceError` when the database does not answer.
    """
    try:
        with transaction.atomic():
            return list(_store(drafts))
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        if len(drafts) == 1:
            logger.warning("The article %s could not be stored: %s", drafts[0].url, error)
            return [error]
        return [outcome for draft in drafts for outcome in store([draft])]


def _store(drafts: Sequence[Draft]) -> list[Outcome]:
    """Sort drafts into new, changed and known ones, and write each sort at once."""
    by_url = {found.url_hash: found for found in Article.objects.filter(url_hash__in=[url_hash(d.url) for d in drafts])}
    by_id = {found.pk: found for found in Article.objects.filter(pk__in=[d.refresh for d in drafts if d.refresh])}
    contents = [content for draft in drafts if (content := draft.content_hash())]
    by_content = {found.content_hash: found for found in Article.objects.filter(content_hash__in=contents)}
    outcomes: list[Outcome] = []
    created: list[Article] = []
    placed: list[tuple[Draft, Article]] = []
    for draft in drafts:
        key, content = url_hash(draft.url), draft.content_hash()
        article = by_id.get(draft.refresh or 0) or by_url.get(key) or by_content.get(content)
        if article is None:
            article = Article(url=draft.url, url_hash=key, first_run_id=draft.run_id, **draft.fields())
            by_url[key] = article
            if content:
                by_content[content] = article
            created.append(article)
            outcomes.append(Outcome.NEW)
        elif draft.refresh is not None and draft.refresh == article.pk:
            # An article that this very batch brings has no key yet, and neither has a new draft: these are not equal.
            outcomes.append(_refresh(article, draft))
        else:
            outcomes.append(Outcome.DUPLICATE)
        placed.append((draft, article))
    Article.objects.bulk_create(created)
    _note(placed, outcomes)
    return outcomes


def _refresh(article: Article, draft: Draft) -> Outcome:
    """Write what has changed of an article; its address stays."""
    now = timezone.now()
    changed = article.content_hash != draft.content_hash()
    values: dict[str, object] = {"fetched_at": now}
    if changed:
        values |= {**draft.fields(), "updated_at": now}
        if article.published_at is not None:
            # Where a feed tells only of updates, the first one was the publication.
            del values["published_at"], values["published_offset"]
    Article.objects.filter(pk=article.pk).update(**values)
    return Outcome.UPDATED if changed else Outcome.KNOWN


def _note(placed: Sequence[tuple[Draft, Article]], outcomes: Sequence[Outcome]) -> None:
    """Link articles to their sources, and remember the items that lead to one under another address."""
    links: dict[tuple[int, int], ArticleSource] = {}
    for (draft, article), outcome in zip(placed, outcomes, strict=True):
        if outcome in (Outcome.UPDATED, Outcome.KNOWN):
            ArticleSource.objects.filter(article=article, source=draft.source_id).update(
                item_key=draft.entry.key, item_updated_at=draft.entry.item.updated
            )
            continue
        links.setdefault((article.pk, draft.source_id), _link(article.pk, draft.source_id, draft.entry))
        if outcome is Outcome.DUPLICATE:
            pass_over(draft.source_id, draft.entry)
    ArticleSource.objects.bulk_create(links.values(), ignore_conflicts=True)


def _link(article_id: int, source_id: int, entry: Entry) -> ArticleSource:
    return ArticleSource(
        article_id=article_id,
        source_id=source_id,
        guid=clean(entry.item.guid),
        item_key=entry.key,
        item_updated_at=entry.item.updated,
    )


def pass_over(source_id: int, entry: Entry, scope: str = "") -> None:
    """Remember an item that is not stored, so that its page is not fetched again; `scope` as in `PassedItem`."""
    PassedItem.objects.update_or_create(
        source_id=source_id,
        item_key=entry.key,
        scope=scope,
        defaults={"item_updated_at": entry.item.updated, "at": timezone.now()},
    )
