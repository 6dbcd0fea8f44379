"""Items and articles on their way to storage, and what may become of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from django.utils import timezone

from scrapers.extract.addresses import normalise
from scrapers.extract.page import count_words
from scrapers.kinds import Item
from scrapers.query import Document
from scrapers.words import words

FUTURE_ALLOWED = timedelta(days=1)
"""A time of publication further ahead than this is a mistake and not stored."""
OLDEST_YEAR = 1900
TITLE_WORDS = 4
"""Titles of fewer words ("Weather", "Live blog") do not tell one story from another."""


class Outcome(StrEnum):
    """What became of an item; the names are the counters of `SourceResult`."""

    NEW = "new"
    UPDATED = "updated"
    KNOWN = "known"
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"
    EXCLUDED = "excluded"
    EXCLUDED_BY_PATTERN = "excluded_by_pattern"
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
        return cls(item, _hash(clean(name)), url)

    @property
    def guid_hash(self) -> str:
        """Return the hash under which its identifier is looked up; empty without one."""
        return _hash(clean(self.item.guid)) if self.item.guid else ""

    @property
    def address_hash(self) -> str:
        """Return the hash under which its address is looked up; empty without one."""
        return _hash(self.url) if self.url else ""

    @property
    def title_hash(self) -> str:
        """Return what equal titles have in common; empty for one that says too little."""
        return title_hash(self.item.title)


@dataclass(frozen=True)
class Status:
    """What is known of an entry: how it counts, or None if its page is to be fetched.

    `refresh` is the article that the page is to be compared with, since the entry was updated; None for a new one.
    """

    outcome: Outcome | None = None
    refresh: int | None = None


@dataclass(frozen=True)
class Draft:
    """An article as it was collected, to be stored.

    `page` and `page_type` are its page as it came, where that is to be kept; `methods` tells where fields were found.
    """

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
    modified: datetime | None = None
    modified_zone_known: bool = False
    language: str = ""
    image: str = ""
    section: str = ""
    keywords: tuple[str, ...] = ()
    site_name: str = ""
    methods: dict[str, str] = field(default_factory=dict)
    page: bytes = b""
    page_type: str = ""
    refresh: int | None = None

    def content_hash(self) -> str:
        """Return what equal content has in common; empty without text."""
        return self._content_hash

    @cached_property
    def _content_hash(self) -> str:
        return _hash(" ".join([*words(self.title), *words(self.text)])) if self.text else ""

    def title_hash(self) -> str:
        """Return what equal titles have in common; empty for one that says too little."""
        return title_hash(self.title)

    def document(self, *sources: str) -> Document:
        """Return what queries are matched with; `sources` are the names of those that it was seen in."""
        return Document(self.title, self.summary, self.text, self.language, sources)

    def fields(self) -> dict[str, object]:
        """Return the article's fields, fit for both databases."""
        published, published_offset = _instant(self.published, self.zone_known)
        modified, modified_offset = _instant(self.modified, self.modified_zone_known)
        return {
            "title": clean(self.title),
            "text": clean(self.text),
            "summary": clean(self.summary),
            "authors": [clean(name) for name in self.authors],
            "published_at": published,
            "published_offset": published_offset,
            "modified_at": modified,
            "modified_offset": modified_offset,
            "language": clean(self.language)[:20],
            "image_url": clean(self.image),
            "section": clean(self.section),
            "keywords": [clean(word) for word in self.keywords],
            "site_name": clean(self.site_name),
            "methods": {name: clean(method) for name, method in self.methods.items()},
            "word_count": count_words(self.text),
            "content_hash": self.content_hash(),
            "title_hash": self.title_hash(),
        }


def clean(text: str) -> str:
    """Return a text that both databases can hold: no NUL, no halves of characters."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def is_plausible(instant: datetime) -> bool:
    """Tell whether an instant can be one of publication."""
    return instant.year >= OLDEST_YEAR and instant <= timezone.now() + FUTURE_ALLOWED


def title_hash(title: str) -> str:
    """Return what equal titles have in common, case and punctuation aside; empty for fewer words than `TITLE_WORDS`."""
    found = words(title)
    return _hash(" ".join(found)) if len(found) >= TITLE_WORDS else ""


def _instant(instant: datetime | None, zone_known: bool) -> tuple[datetime | None, int | None]:
    """Return an instant in UTC and the minutes that its zone is east of it; None for what is not plausible or known."""
    if instant is None or not is_plausible(instant):
        return None, None
    offset = instant.utcoffset() if zone_known else None
    return instant.astimezone(UTC), int(offset.total_seconds() / 60) if offset is not None else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "ignore")).hexdigest()
