"""Storing: what of a source is known already, and articles in batches, each in one transaction.

Called in the run's database thread; doubles nothing, whoever else stores at the same time. An item is known by what the
source calls it, else an article by its address (in any source), by its title (in one source, within a week), or by
its text: the same words, or nearly the same (`scrapers.dedupe`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from scrapers.drafts import Draft, Entry, Outcome, Status, clean
from scrapers.models import (
    Article,
    ArticlePage,
    ArticleSource,
    ArticleVersion,
    PassedItem,
    Tombstone,
    url_hash,
)

logger = logging.getLogger(__name__)

__all__ = ["Draft", "Entry", "Outcome", "Status", "clean", "look_up", "pass_over", "store"]


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
    deleted = set(Tombstone.objects.filter(url_hash__in=list(hashes)).values_list("url_hash", flat=True))
    seen: set[str] = set()
    statuses = []
    for entry in entries:
        names = {entry.key, entry.url} - {""}
        if names & seen:
            statuses.append(Status(Outcome.DUPLICATE))
            continue
        seen |= names
        if entry.url and url_hash(entry.url) in deleted:
            statuses.append(Status(Outcome.KNOWN))
            continue
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


@dataclass
class Batch:
    """What the database knows that drafts may meet, and what of them is to be written."""

    by_url: dict[str, Article]
    by_id: dict[int, Article]
    by_content: dict[str, Article]
    deleted: set[str]
    created: list[Article] = field(default_factory=list)
    versions: list[ArticleVersion] = field(default_factory=list)
    pages: list[tuple[Article, Draft]] = field(default_factory=list)
    placed: list[tuple[Draft, Article, Outcome]] = field(default_factory=list)

    @classmethod
    def of(cls, drafts: Sequence[Draft]) -> Batch:
        """Look up all that a batch of drafts may meet."""
        urls = [url_hash(draft.url) for draft in drafts]
        contents = [content for draft in drafts if (content := draft.content_hash())]
        return cls(
            by_url={found.url_hash: found for found in Article.objects.filter(url_hash__in=urls)},
            by_id=Article.objects.in_bulk([draft.refresh for draft in drafts if draft.refresh]),
            # The first of several is the one that others are folded under.
            by_content={
                found.content_hash: found
                for found in Article.objects.filter(content_hash__in=contents).order_by("-duplicate_of", "-pk")
            },
            deleted=set(Tombstone.objects.filter(url_hash__in=urls).values_list("url_hash", flat=True)),
        )

    def place(self, draft: Draft) -> Outcome:
        """Decide what becomes of a draft, and note what is to be written."""
        key, content = url_hash(draft.url), draft.content_hash()
        article = self.by_id.get(draft.refresh or 0) or self.by_url.get(key)
        if article is None and key in self.deleted:
            pass_over(draft.source_id, draft.entry)
            return Outcome.KNOWN
        article = article or self.by_content.get(content)
        if article is None:
            outcome, article = Outcome.NEW, self._create(draft, key, content)
        elif draft.refresh is not None and draft.refresh == article.pk:
            # An article that this very batch brings has no key yet, and neither has a new draft: these are not equal.
            outcome = self._refresh(article, draft)
        else:
            outcome = Outcome.DUPLICATE
        self.placed.append((draft, article, outcome))
        return outcome

    def write(self) -> None:
        """Write what was noted."""
        Article.objects.bulk_create(self.created)
        ArticleVersion.objects.bulk_create(self.versions)
        ArticlePage.objects.bulk_create(
            [_page(article, draft) for article, draft in self.pages],
            update_conflicts=True,
            unique_fields=["article"],
            update_fields=["body", "content_type", "fetched_at"],
        )
        _note(self.placed)

    def _create(self, draft: Draft, key: str, content: str) -> Article:
        article = Article(url=draft.url, url_hash=key, first_run_id=draft.run_id, **draft.fields())
        self.by_url[key] = article
        if content:
            self.by_content[content] = article
        self.created.append(article)
        self._keep_page(article, draft)
        return article

    def _refresh(self, article: Article, draft: Draft) -> Outcome:
        """Write what has changed of an article, and keep what it said before; its address stays."""
        now = timezone.now()
        if article.content_hash == draft.content_hash():
            Article.objects.filter(pk=article.pk).update(fetched_at=now, change=F("change"))
            return Outcome.KNOWN
        self.versions.append(_version(article, draft, now))
        values = draft.fields() | {"fetched_at": now, "updated_at": now}
        if article.published_at is not None:
            # Where a feed tells only of updates, the first one was the publication.
            del values["published_at"], values["published_offset"]
        Article.objects.filter(pk=article.pk).update(**values)
        for name, value in values.items():
            setattr(article, name, value)
        self._keep_page(article, draft)
        return Outcome.UPDATED

    def _keep_page(self, article: Article, draft: Draft) -> None:
        if draft.page:
            self.pages.append((article, draft))


def _store(drafts: Sequence[Draft]) -> list[Outcome]:
    """Sort drafts into new, changed and known ones, and write each sort at once."""
    batch = Batch.of(drafts)
    outcomes = [batch.place(draft) for draft in drafts]
    batch.write()
    return outcomes


def _version(article: Article, draft: Draft, now: datetime) -> ArticleVersion:
    same = ("title", "text", "summary", "authors", "word_count")
    values = {name: getattr(article, name) for name in same}
    return ArticleVersion(
        article=article, stored_at=article.updated_at, replaced_at=now, replaced_by_id=draft.run_id, **values
    )


def _page(article: Article, draft: Draft) -> ArticlePage:
    return ArticlePage(article=article, body=ArticlePage.compress(draft.page), content_type=clean(draft.page_type))


def _note(placed: Iterable[tuple[Draft, Article, Outcome]]) -> None:
    """Link articles to their sources, and remember the items that lead to one under another address."""
    links: dict[tuple[int, int], ArticleSource] = {}
    for draft, article, outcome in placed:
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
        url=entry.url,
        guid=clean(entry.item.guid),
        guid_hash=entry.guid_hash,
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
