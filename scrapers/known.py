"""What of a source's items is known already, so that no page is fetched for nothing.

1. An item is known by what the source calls it: identifier and address together, since feeds repeat identifiers.
2. Where the identifier changes from poll to poll, or there is none, by its address in the source.
3. Where the address changed, by its identifier, if no other item carries that and the title is still the same.
4. An article is known by its normalised address, whatever source brought it, and when it was deleted too.
5. In one source, an item with the title of an article of the same week is that article.

A known item is looked at again only if its source says that it was updated since.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import ClassVar

from django.db.models import Q
from django.utils import timezone

from scrapers import topics
from scrapers.drafts import Entry, Outcome, Status, clean
from scrapers.models import Article, ArticleSource, PassedItem, Tombstone
from scrapers.models.seen import SEEN_AGAIN
from scrapers.words import fold

PAIRS_AT_ONCE = 2_000
"""Pairs of a source and an entry that one look at the database asks for, where it asks for several listings."""
ENTRIES_AT_ONCE = 5_000
"""Entries of one listing that one look asks for: each takes up to five values, and SQLite by default 32,766 at most."""
SAME_TITLE_WITHIN = timedelta(days=7)
"""Two items of a source with the same title and less than this between them are one story; a weekly column is not."""


@dataclass(frozen=True)
class Listed:
    """The entries of one listing of a source; `scope` is the key of the run's query."""

    source_id: int
    entries: Sequence[Entry]
    scope: str


def look_up(source_id: int, entries: Sequence[Entry], scope: str) -> list[Status]:
    """Return what is known of each entry of a source; an entry that repeats an earlier one is a duplicate.

    Articles that other sources brought are linked to this one. `scope` is the key of the run's query.
    """
    return look_up_all([Listed(source_id, entries, scope)])[0]


def look_up_all(listings: Sequence[Listed]) -> list[list[Status]]:
    """Return for each of several listings what `look_up` does, in the number of queries that one takes.

    A listing of more than `ENTRIES_AT_ONCE` is looked up in parts, since SQLite takes only so many values.
    """
    parts = [_parts(listed) for listed in listings]
    found: list[list[Status]] = []
    for some in _together([part for of_listing in parts for part in of_listing]):
        known = Known.of(some)
        found += [one.statuses() for one in known]
        _note(known)
    by_part = iter(found)
    return [
        _whole(listed.entries, list(islice(by_part, len(of_listing))))
        for listed, of_listing in zip(listings, parts, strict=True)
    ]


@dataclass
class Known:
    """What the database knows of the entries of one listing; the keys are the hashes of `Entry`."""

    listed: Listed
    articles: dict[str, Article]
    by_key: dict[str, ArticleSource]
    by_address: dict[str, ArticleSource]
    by_guid: dict[str, ArticleSource]
    passed: dict[str, PassedItem]
    by_title: dict[tuple[int, str], list[Article]]
    deleted: dict[str, datetime | None]
    now: datetime

    def __post_init__(self) -> None:
        self.source_id = self.listed.source_id
        self.new_links: list[ArticleSource] = []
        self.new_passed: list[PassedItem] = []

    @classmethod
    def of(cls, listings: Sequence[Listed]) -> list[Known]:
        """Look everything up, in a fixed number of queries."""
        asked = [_Asked.of(listed) for listed in listings]
        keys, addresses, guids, titles = (set().union(*(getattr(one, name) for one in asked)) for name in _Asked.NAMES)
        sources = {listed.source_id for listed in listings}
        articles = {
            found.url_hash: found for found in Article.objects.filter(url_hash__in=addresses).only("url", "url_hash")
        }
        links = list(
            ArticleSource.objects.filter(source__in=sources)
            .filter(
                Q(item_key__in=keys)
                | Q(address_hash__in=addresses)
                | Q(guid_hash__in=guids)
                | Q(article__in=[article.pk for article in articles.values()])
            )
            .select_related("article")
            .defer("article__text", "article__summary")
        )
        passed = list(
            PassedItem.objects.filter(
                source__in=sources, scope__in={"", *(listed.scope for listed in listings)}
            ).filter(Q(item_key__in=keys) | Q(address_hash__in=addresses))
        )
        same_titles = by_title(sources, titles)
        deleted = dict(Tombstone.objects.filter(url_hash__in=addresses).values_list("url_hash", "seen_at"))
        now = timezone.now()
        found = []
        for listed, one in zip(listings, asked, strict=True):
            mine = [link for link in links if link.source_id == listed.source_id and one.asks_for(link)]
            named = Counter(link.guid_hash for link in mine)
            items = [item for item in passed if item.source_id == listed.source_id and one.asks_for_item(item)]
            found.append(
                cls(
                    listed,
                    articles,
                    by_key={link.item_key: link for link in mine},
                    by_address={
                        **{link.address_hash: link for link in mine if link.address_hash},
                        **{link.article.url_hash: link for link in mine},
                    },
                    by_guid={link.guid_hash: link for link in mine if link.guid_hash and named[link.guid_hash] == 1},
                    passed={item.address_hash: item for item in items if item.address_hash}
                    | {item.item_key: item for item in items},
                    by_title=same_titles,
                    deleted={key: deleted[key] for key in one.addresses & deleted.keys()},
                    now=now,
                )
            )
        return found

    def statuses(self) -> list[Status]:
        """Return the status of each entry; of one that repeats an earlier one, duplicate."""
        statuses, seen = [], set[str]()
        for entry in self.listed.entries:
            names = {entry.key, entry.url} - {""}
            statuses.append(Status(Outcome.DUPLICATE) if names & seen else self.status(entry))
            seen |= names
        return statuses

    def status(self, entry: Entry) -> Status:
        """Return what is known of an entry."""
        address = entry.address_hash
        link = self.by_key.get(entry.key) or self.by_address.get(address) or self._moved(entry)
        passed = self.passed.get(entry.key) or self.passed.get(address)
        if link is None and address in self.deleted:
            return Status(Outcome.KNOWN)
        if link is None and passed is not None and passed.buried_at is not None:
            return Status(Outcome.KNOWN)
        if link is None and passed is None:
            return self._unseen(entry)
        updated = entry.item.updated
        # The entry's own times are compared: clocks differ, and many feeds write no seconds. A first one is an update
        # too.
        before = [known.item_updated_at for known in (link, passed) if known and known.item_updated_at]
        if updated is None or any(updated <= moment for moment in before):
            return Status(Outcome.KNOWN)
        return Status(refresh=link.article_id if link else None)

    def _moved(self, entry: Entry) -> ArticleSource | None:
        """Return the link of the same identifier under another address, if the title says that it is the same story."""
        found = self.by_guid.get(entry.guid_hash) if entry.guid_hash else None
        same = found is not None and fold(found.article.title) == fold(entry.item.title)
        return found if same else None

    def _unseen(self, entry: Entry) -> Status:
        """Return the status of an item that the source has not brought before."""
        article = self.articles.get(entry.address_hash)
        if article is not None:
            self.new_links.append(link_to(article.pk, self.source_id, entry))
            return Status(Outcome.DUPLICATE)
        published = entry.item.published or self.now
        same = self.by_title.get((self.source_id, entry.title_hash), [])
        if any(is_near(article, published) for article in same):
            self.new_passed.append(_passed(self.source_id, entry))
            return Status(Outcome.DUPLICATE)
        return Status()


@dataclass(frozen=True)
class _Asked:
    """What one listing asks for: the hashes of its entries, identifiers that repeat left out."""

    NAMES: ClassVar[tuple[str, ...]] = ("keys", "addresses", "guids", "titles")

    keys: frozenset[str]
    addresses: frozenset[str]
    guids: frozenset[str]
    titles: frozenset[str]
    scopes: frozenset[str]

    @classmethod
    def of(cls, listed: Listed) -> _Asked:
        entries = listed.entries
        guids = Counter(entry.guid_hash for entry in entries if entry.guid_hash)
        return cls(
            frozenset(entry.key for entry in entries),
            frozenset(entry.address_hash for entry in entries if entry.url),
            frozenset(guid for guid, count in guids.items() if count == 1),
            frozenset(entry.title_hash for entry in entries),
            frozenset({"", listed.scope}),
        )

    def asks_for(self, link: ArticleSource) -> bool:
        """Tell whether a link of the same source was looked for, and not only for the sake of another listing."""
        return (
            link.item_key in self.keys
            or link.address_hash in self.addresses
            or link.guid_hash in self.guids
            or link.article.url_hash in self.addresses
        )

    def asks_for_item(self, item: PassedItem) -> bool:
        """Tell the same of an item that was passed over."""
        return item.scope in self.scopes and (item.item_key in self.keys or item.address_hash in self.addresses)


def _parts(listed: Listed) -> list[Listed]:
    """Return a listing in parts that can be looked up."""
    starts = range(0, max(1, len(listed.entries)), ENTRIES_AT_ONCE)
    return [replace(listed, entries=listed.entries[at : at + ENTRIES_AT_ONCE]) for at in starts]


def _whole(entries: Sequence[Entry], parts: Sequence[list[Status]]) -> list[Status]:
    """Return the statuses of all parts; an entry that repeats one of an earlier part is a duplicate too."""
    if len(parts) == 1:
        return parts[0]
    statuses, seen = [], set[str]()
    for entry, status in zip(entries, (status for part in parts for status in part), strict=True):
        names = {entry.key, entry.url} - {""}
        statuses.append(Status(Outcome.DUPLICATE) if names & seen else status)
        seen |= names
    return statuses


def _together(listings: Sequence[Listed]) -> Iterator[list[Listed]]:
    """Yield listings in groups that are looked up at once: an index is asked for each entry in each of its sources."""
    group: list[Listed] = []
    entries = 0
    for listed in listings:
        entries += len(listed.entries)
        if group and (len(group) + 1) * entries > PAIRS_AT_ONCE:
            yield group
            group, entries = [], len(listed.entries)
        group.append(listed)
    if group:
        yield group


def _note(known: Sequence[Known]) -> None:
    """Store which articles of others were seen in these sources, which items lead to them, and what they still have."""
    links = [link for one in known for link in one.new_links]
    ArticleSource.objects.bulk_create(links, ignore_conflicts=True)
    if links:
        keys = {link.article_id for link in links}
        topics.mark_seen(keys)
        Article.objects.filter(pk__in=keys).note_change()
    PassedItem.objects.bulk_create([item for one in known for item in one.new_passed], ignore_conflicts=True)
    now = known[0].now
    before = now - SEEN_AGAIN
    if items := {item.pk for one in known for item in one.passed.values() if item.at < before}:
        PassedItem.objects.filter(pk__in=items).update(at=now)
    deleted = {key: seen for one in known for key, seen in one.deleted.items()}
    if tombs := [key for key, seen in deleted.items() if seen is not None and seen < before]:
        Tombstone.objects.filter(url_hash__in=tombs).update(seen_at=now)


def by_title(sources: Iterable[int], titles: set[str]) -> dict[tuple[int, str], list[Article]]:
    """Return the articles with these titles (hashes) that were seen in these sources."""
    links = ArticleSource.objects.filter(source__in=sources, article__title_hash__in=titles - {""})
    found: dict[tuple[int, str], list[Article]] = defaultdict(list)
    for link in links.select_related("article").order_by("pk"):
        found[link.source_id, link.article.title_hash].append(link.article)
    return found


def stored_titles(source: int, titles: set[str]) -> set[str]:
    """Return which of these titles (hashes) a source's stored articles have."""
    wanted, found = sorted(titles - {""}), set[str]()
    for at in range(0, len(wanted), ENTRIES_AT_ONCE):
        some = wanted[at : at + ENTRIES_AT_ONCE]
        links = ArticleSource.objects.filter(source=source, article__title_hash__in=some)
        found.update(links.values_list("article__title_hash", flat=True))
    return found


def is_near(article: Article, published: datetime) -> bool:
    """Tell whether an instant of publication is within a week of an article's."""
    return abs((article.published_at or article.created_at) - published) < SAME_TITLE_WITHIN


def link_to(article_id: int, source_id: int, entry: Entry) -> ArticleSource:
    """Return the unsaved row that says that an article was seen in a source."""
    return ArticleSource(
        article_id=article_id,
        source_id=source_id,
        url=entry.url,
        guid=clean(entry.item.guid),
        guid_hash=entry.guid_hash,
        item_key=entry.key,
        address_hash=entry.address_hash,
        item_updated_at=entry.item.updated,
    )


def pass_over(entries: Iterable[tuple[int, Entry]], scope: str = "", *, buried_at: datetime | None = None) -> None:
    """Remember items (source, entry) that are not stored, so that their pages are not fetched again.

    One statement for all. `scope` as in `PassedItem`; `buried_at` is when they were found to lead to articles that were
    deleted: then they stay away for good.
    """
    items = {(source_id, entry.key): _passed(source_id, entry, scope) for source_id, entry in entries}
    fields = ["address_hash", "item_updated_at", "at"]
    if buried_at is not None:
        fields.append("buried_at")
        for item in items.values():
            item.buried_at = buried_at
    PassedItem.objects.bulk_create(
        items.values(), update_conflicts=True, unique_fields=["source", "item_key", "scope"], update_fields=fields
    )


def _passed(source_id: int, entry: Entry, scope: str = "") -> PassedItem:
    return PassedItem(
        source_id=source_id,
        item_key=entry.key,
        address_hash=entry.address_hash,
        scope=scope,
        item_updated_at=entry.item.updated,
    )
