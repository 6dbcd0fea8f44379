"""Makers of stored articles for tests of ingest, search, topics and export."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from scrapers.ingest import Draft, Entry, Outcome, store
from scrapers.kinds import Item
from scrapers.models import Article, Source
from tests import factories

_numbers = itertools.count(1)


def make_source(name: str = "", **values: Any) -> Source:
    name = name or f"Source {next(_numbers)}"
    return Source.objects.create(**{"name": name, "url": f"http://127.0.0.1/feed/{next(_numbers)}", **values})


def draft(source: Source, title: str = "", text: str = "", *, item: Item | None = None, **values: Any) -> Draft:
    """Return a draft with an address and a title of its own, unless given."""
    number = next(_numbers)
    url = values.pop("url", f"http://127.0.0.1/{number}")
    item = item or Item(guid=f"guid-{number}", url=url, title=title)
    run_id = values.pop("run_id", None) or factories.run().pk
    return Draft(run_id, source.pk, Entry.of(item), url, title or f"Story number {number}", text, **values)


def stored(source: Source, title: str = "", text: str = "", **values: Any) -> Article:
    """Store an article as collecting does, and return it."""
    made = draft(source, title, text, **values)
    assert store([made]) == [Outcome.NEW]
    return Article.objects.with_url(made.url).get()


def instant(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)
