"""Storing: articles in batches, each in one transaction.

Called in the run's database thread; doubles nothing, whoever else stores at the same time. An item is known by what the
source calls it, else an article by its address (in any source), by its title (in one source, within a week), or by
its text: the same words, or nearly the same (`scrapers.dedupe`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from scrapers import known, search, topics
from scrapers.database import is_refusal
from scrapers.dedupe import Copies
from scrapers.drafts import Draft, Entry, Outcome, Status, clean
from scrapers.known import look_up, pass_over
from scrapers.models import (
    Article,
    ArticlePage,
    ArticleSource,
    ArticleVersion,
    Tombstone,
    url_hash,
)
from scrapers.words import fold

logger = logging.getLogger(__name__)

__all__ = ["Draft", "Entry", "Outcome", "Status", "clean", "look_up", "pass_over", "store"]


def store(drafts: Sequence[Draft]) -> list[Outcome | DatabaseError]:
    """Store articles in one transaction; return what became of each.

    A draft that the database refuses fails alone: then each is stored by itself. Raises `OperationalError` and
    `InterfaceError` when the database does not answer.
    """
    try:
        with transaction.atomic():
            return list(_store(drafts))
    except DatabaseError as error:
        if not is_refusal(error):
            raise
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
    by_title: dict[tuple[int, str], list[Article]]
    deleted: set[str]
    copies: Copies
    now: datetime
    created: list[Article] = field(default_factory=list)
    changed: list[Article] = field(default_factory=list)
    versions: list[ArticleVersion] = field(default_factory=list)
    pages: list[tuple[Article, Draft]] = field(default_factory=list)
    placed: list[tuple[Draft, Article, Outcome]] = field(default_factory=list)

    @classmethod
    def of(cls, drafts: Sequence[Draft]) -> Batch:
        """Look up all that a batch of drafts may meet."""
        now = timezone.now()
        urls = [url_hash(url) for draft in drafts for url in {draft.url, draft.entry.url} if url]
        contents = [content for draft in drafts if (content := draft.content_hash())]
        return cls(
            by_url={found.url_hash: found for found in Article.objects.filter(url_hash__in=urls)},
            by_id=Article.objects.in_bulk([draft.refresh for draft in drafts if draft.refresh]),
            # The first of several is the one that others are folded under.
            by_content={
                found.content_hash: found
                for found in Article.objects.filter(content_hash__in=contents).order_by("-duplicate_of", "-pk")
            },
            by_title=known.by_title({draft.source_id for draft in drafts}, {draft.title_hash() for draft in drafts}),
            deleted=set(Tombstone.objects.filter(url_hash__in=urls).values_list("url_hash", flat=True)),
            copies=Copies((clean(draft.text) for draft in drafts), now),
            now=now,
        )

    def place(self, draft: Draft) -> Outcome:
        """Decide what becomes of a draft, and note what is to be written."""
        if self._is_misnamed(draft):
            draft = replace(draft, url=draft.entry.url)
        key, content = url_hash(draft.url), draft.content_hash()
        article = self.by_id.get(draft.refresh or 0) or self.by_url.get(key)
        if article is None and key in self.deleted:
            pass_over([(draft.source_id, draft.entry)], buried_at=self.now)
            Tombstone.objects.filter(url_hash=key, seen_at__isnull=False).update(seen_at=self.now)
            return Outcome.KNOWN
        article = article or self.by_content.get(content) or self._same_title(draft)
        if article is None:
            article = self._create(draft, key, content)
            outcome = Outcome.DUPLICATE if article.duplicate_of else Outcome.NEW
        elif draft.refresh is not None and draft.refresh == article.pk:
            # An article that this very batch brings has no key yet, and neither has a new draft: these are not equal.
            outcome = self._refresh(article, draft)
        else:
            outcome = Outcome.DUPLICATE
        self.placed.append((draft, article, outcome))
        return outcome

    def write(self) -> None:
        """Write what was noted."""
        # Those first that others are copies of: a row can only refer to one that has its key.
        Article.objects.bulk_create([article for article in self.created if article.duplicate_of is None])
        Article.objects.bulk_create([article for article in self.created if article.duplicate_of is not None])
        search.index(self.changed, DEFAULT_DB_ALIAS)
        self.copies.write(self.created, self.changed, self.now)
        ArticleVersion.objects.bulk_create(self.versions)
        ArticlePage.objects.bulk_create(
            [_page(article, draft) for article, draft in self.pages],
            update_conflicts=True,
            unique_fields=["article"],
            update_fields=["body", "content_type", "fetched_at"],
        )
        _note(self.placed)
        topics.mark([*self.created, *self.changed])
        if seen_again := {article.pk for _draft, article, outcome in self.placed if outcome is Outcome.DUPLICATE}:
            topics.mark_seen(seen_again)
            Article.objects.filter(pk__in=seen_again).note_change()

    def _create(self, draft: Draft, key: str, content: str) -> Article:
        article = Article(url=draft.url, url_hash=key, first_run_id=draft.run_id, **draft.fields())
        article.duplicate_of = self.copies.original_of(article.text)
        self.copies.add(article)
        if title := draft.title_hash():
            self.by_title.setdefault((draft.source_id, title), []).append(article)
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
        self.changed.append(article)
        self._keep_page(article, draft)
        return Outcome.UPDATED

    def _is_misnamed(self, draft: Draft) -> bool:
        """Tell whether a page's canonical address is that of another story: some sites name the same on all pages."""
        named = self.by_url.get(url_hash(draft.url))
        if named is None or draft.refresh is not None or draft.entry.url in ("", draft.url):
            return False
        return fold(named.title) != fold(draft.title) and self.copies.differ(named.text, clean(draft.text))

    def _same_title(self, draft: Draft) -> Article | None:
        """Return the article of the same source and week with the same title."""
        same = self.by_title.get((draft.source_id, draft.title_hash()), [])
        published = draft.published or self.now
        return next((article for article in same if known.is_near(article, published)), None)

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
    passed: list[tuple[int, Entry]] = []
    for draft, article, outcome in placed:
        if outcome in (Outcome.UPDATED, Outcome.KNOWN):
            ArticleSource.objects.filter(article=article, source=draft.source_id).update(
                item_key=draft.entry.key, item_updated_at=draft.entry.item.updated
            )
            continue
        links.setdefault((article.pk, draft.source_id), known.link_to(article.pk, draft.source_id, draft.entry))
        if outcome is Outcome.DUPLICATE:
            passed.append((draft.source_id, draft.entry))
    pass_over(passed)
    ArticleSource.objects.bulk_create(links.values(), ignore_conflicts=True)
