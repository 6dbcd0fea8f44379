"""Storing articles in batches."""

from __future__ import annotations

import pytest

from scrapers.ingest import Draft, Entry, Outcome, store
from scrapers.kinds import Item
from scrapers.models import Article, ArticleSource, PassedItem, Source
from tests import factories

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
