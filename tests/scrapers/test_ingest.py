"""Storing articles in batches."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from datetime import datetime
from unittest.mock import patch

import pytest
from django.db import connection

from scrapers import search
from scrapers.database import DatabaseThread
from scrapers.ingest import Draft, Entry, Outcome, look_up, store
from scrapers.kinds import Item
from scrapers.models import Article, ArticleSource, PassedItem, Source
from scrapers.query import parse
from tests import factories
from tests.scrapers.articles import draft

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("text", ["Same words.", "Other words."])
def test_two_drafts_of_one_story_in_the_same_batch_are_one_article_and_a_duplicate_that_is_remembered(
    text: str,
) -> None:
    source = Source.objects.create(name="Small", url="http://127.0.0.1/feed")
    run = factories.run()
    entries = [Entry.of(Item(url=f"http://127.0.0.1/{path}", guid=path, title="A story")) for path in ("amp", "print")]
    drafts = [
        Draft(run.pk, source.pk, entry, "http://127.0.0.1/story", "A story", words)
        for entry, words in zip(entries, ["Same words.", text], strict=True)
    ]
    assert store(drafts) == [Outcome.NEW, Outcome.DUPLICATE]
    assert Article.objects.get().text == "Same words."
    assert ArticleSource.objects.get().item_key == entries[0].key
    assert PassedItem.objects.get().item_key == entries[1].key, "its page is not fetched again"


def test_an_article_of_the_longest_words_is_stored_and_found() -> None:
    source = Source.objects.create(name="Small", url="http://127.0.0.1/feed")
    # Letters of four bytes each (Deseret), all words different.
    letters = [chr(0x10428 + number) for number in range(40)]
    begin = ("".join(letters[(number // 40**place) % 40] for place in range(3)) for number in range(14_000))
    words = [word + letters[0] * 40 for word in begin]
    made = draft(source, "A story in the longest words", " ".join(words[:12_000]), summary=" ".join(words[12_000:]))
    assert store([draft(source, "A story like any other", "So it goes."), made]) == [Outcome.NEW] * 2
    assert Article.objects.search(parse("longest")).count() == 1


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no limit of this kind")
def test_an_article_beyond_the_limits_of_the_database_fails_alone() -> None:
    source = Source.objects.create(name="Small", url="http://127.0.0.1/feed")
    drafts = [draft(source, f"Story {name} of today", f"It is {name}.") for name in ("one", "two", "three")]

    def too_long(fields: object) -> str:
        text = "'" + "a" * 3_000 + "':1"
        return text if "two" in str(fields) else "'a':1"

    with patch.object(search, "_tsvector", too_long):
        found = store(drafts)
    assert [found[0], found[2]] == [Outcome.NEW] * 2
    assert not isinstance(found[1], Outcome)


@pytest.mark.django_db(transaction=True)
def test_two_runs_that_bring_the_same_articles_in_another_order_both_go_on() -> None:
    sources = [Source.objects.create(name=name, url=f"http://127.0.0.1/{name}") for name in "ab"]
    for turn in range(3):
        urls = [f"http://127.0.0.1/{turn}/{number}" for number in range(40)]
        orders = (urls, urls[::-1])
        batches = [
            [draft(source, f"The story at {url}", f"Some words of {url}.", url=url) for url in order]
            for source, order in zip(sources, orders, strict=True)
        ]
        ready, found = threading.Barrier(2), []

        async def run(batch: list[Draft], ready: threading.Barrier) -> list[Outcome]:
            database = DatabaseThread()
            try:
                await database.run(ready.wait)
                return await database.run(store, batch)  # type: ignore[arg-type]
            finally:
                await database.close()

        def collect(batch: list[Draft], ready: threading.Barrier, found: list[list[Outcome]]) -> None:
            found.append(asyncio.run(run(batch, ready)))

        threads = [threading.Thread(target=collect, args=(batch, ready, found)) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcomes = [outcome for batch in found for outcome in batch]
        assert sorted(outcomes) == sorted([Outcome.NEW] * 40 + [Outcome.DUPLICATE] * 40)
        assert Article.objects.filter(url__in=urls).count() == 40
        assert ArticleSource.objects.filter(article__url__in=urls).count() == 80


def test_a_listing_of_any_length_is_looked_up() -> None:
    source = Source.objects.create(name="Large", url="http://127.0.0.1/feed")
    items = [
        Item(url=f"http://127.0.0.1/{number}", guid=f"guid-{number}", title=f"The story with number {number}")
        for number in range(90_000)
    ]
    assert store([draft(source, items[-1].title, "Known.", item=items[-1], url=items[-1].url)]) == [Outcome.NEW]
    entries = [Entry.of(item) for item in [*items, items[0]]]
    found = Counter(status.outcome for status in look_up(source.pk, entries, ""))
    assert found == {None: 89_999, Outcome.KNOWN: 1, Outcome.DUPLICATE: 1}


@pytest.mark.parametrize("written", ["+23:59:59", "-23:59:59"])
def test_a_zone_at_the_edge_of_what_can_be_written_keeps_no_article_out(written: str) -> None:
    source = Source.objects.create(name="Small", url="http://127.0.0.1/feed")
    published = datetime.fromisoformat(f"2026-03-10T09:00:00{written}")
    assert store([draft(source, "A story", "So it goes.", published=published, zone_known=True)]) == [Outcome.NEW]
    assert abs(Article.objects.get().published_offset or 0) == 1439
