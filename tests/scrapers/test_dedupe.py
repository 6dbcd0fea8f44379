"""One story is one article, whatever its sources call it and wherever it was printed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from scrapers import dedupe
from scrapers.ingest import Entry, Outcome, look_up, store
from scrapers.kinds import Item
from scrapers.known import Listed, look_up_all, pass_over
from scrapers.models import Article, ArticleBand, ArticleSource, PassedItem
from tests.scrapers.articles import draft, instant, make_source, stored

VOCABULARY = [f"{first}{second}" for first in "bdfgklmnprst" for second in ("ane", "ilo", "orum", "esk", "ulat", "avi")]


def prose(seed: int, length: int = 300) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choice(VOCABULARY) for _ in range(length))


def outcome(source: Any, item: Item) -> Outcome | None:
    return look_up(source.pk, [Entry.of(item)], "")[0].outcome


@pytest.mark.django_db
def test_an_item_whose_identifier_changes_at_each_poll_is_known_by_its_address() -> None:
    source, url = make_source(), "http://127.0.0.1/page"
    canonical = draft(source, item=Item("guid-1", url), url="http://127.0.0.1/canonical")
    store([canonical])
    assert outcome(source, Item("guid-2", url)) is Outcome.KNOWN
    assert outcome(source, Item("", url + "?utm_source=feed")) is Outcome.KNOWN
    assert outcome(source, Item("guid-3", "http://127.0.0.1/canonical")) is Outcome.KNOWN


@pytest.mark.django_db
def test_a_passed_item_whose_identifier_changes_is_not_fetched_again() -> None:
    source, url = make_source(), "http://127.0.0.1/copy"
    stored(source, "A", "The same words.")
    assert store([draft(source, "A", "The same words.", item=Item("1", url), url=url)]) == [Outcome.DUPLICATE]
    assert outcome(source, Item("2", url)) is Outcome.KNOWN


@pytest.mark.django_db
def test_different_stories_under_one_repeated_identifier_are_told_apart_by_their_addresses() -> None:
    source = make_source()
    items = [Item("1", f"http://127.0.0.1/{number}", f"Title {number}") for number in range(3)]
    assert [status.outcome for status in look_up(source.pk, [Entry.of(item) for item in items], "")] == [None] * 3
    for item in items:
        stored(source, item.title, item=item, url=item.url)
    assert outcome(source, Item("1", "http://127.0.0.1/new", "Title 0")) is None, "three articles have that identifier"


@pytest.mark.django_db
def test_a_story_that_moved_is_known_by_its_identifier_if_the_title_is_the_same() -> None:
    source, old = make_source(), "http://127.0.0.1/old"
    article = stored(source, "Tide", item=Item("77", old, "Tide"), url=old)
    moved = Item("77", "http://127.0.0.1/new", "TIDE")
    assert outcome(source, moved) is Outcome.KNOWN
    status = look_up(source.pk, [Entry.of(replace(moved, updated=instant(9)))], "")[0]
    assert (status.outcome, status.refresh) == (None, article.pk)
    assert outcome(source, Item("77", "http://127.0.0.1/new", "Ebb")) is None, "identifiers that count places repeat"
    assert outcome(make_source(), moved) is None, "identifiers hold in one source"


TITLE = "Harbour master warns of the spring tide"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("title", "days", "same_source", "expected"),
    [
        (TITLE, 0, True, Outcome.DUPLICATE),
        ("HARBOUR Master warns, of the spring tide!", 6.9, True, Outcome.DUPLICATE),
        (TITLE, -6.9, True, Outcome.DUPLICATE),
        (TITLE, 7, True, None),
        (TITLE, -7, True, None),
        (TITLE, 0, False, None),
        ("Harbour master warns of the neap tide", 0, True, None),
    ],
)
def test_the_same_title_within_a_week_is_one_story_of_its_source(
    title: str, days: float, same_source: bool, expected: Outcome | None
) -> None:
    source = make_source()
    stored(source, TITLE, "A text.", published=instant(10))
    asked = source if same_source else make_source()
    item = Item("other", "http://127.0.0.1/other", title, published=instant(10) + timedelta(days=days))
    assert outcome(asked, item) is expected
    other = draft(asked, title, "Another text.", item=item, url=item.url, published=item.published)
    assert store([other]) == [expected or Outcome.NEW]
    assert outcome(asked, item) is Outcome.KNOWN, "in the weeks after too"


@pytest.mark.django_db
def test_a_title_that_says_too_little_makes_no_duplicate() -> None:
    source = make_source()
    stored(source, "Weather forecast", "Rain.")
    assert outcome(source, Item("other", "http://127.0.0.1/other", "Weather forecast")) is None


AGENCY = prose(1)
COPIES: dict[str, Callable[[str], str]] = {
    "framed": lambda text: f"By our own correspondents in the capital. {text} Read more on our pages.",
    "cut": lambda text: " ".join(text.split()[:200]),
    "edited": lambda text: " ".join("other" if at % 25 == 0 else word for at, word in enumerate(text.split())),
}


@pytest.mark.django_db
@pytest.mark.parametrize("sort", COPIES)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after another"])
def test_agency_copy_in_another_outlet_is_stored_and_folded_under_the_first(sort: str, together: bool) -> None:
    first, copy, other = make_source(), make_source(), make_source()
    drafts = [
        draft(first, "Agency: tide", AGENCY),
        draft(copy, "Our tide", COPIES[sort](AGENCY)),
        draft(other, "A storm", prose(2)),
    ]
    outcomes = store(drafts) if together else [store([one])[0] for one in drafts]
    assert outcomes == [Outcome.NEW, Outcome.DUPLICATE, Outcome.NEW]
    original, folded, stranger = Article.objects.order_by("pk") if not together else by_url(drafts)
    assert (original.duplicate_of, folded.duplicate_of, stranger.duplicate_of) == (None, original, None)
    assert set(Article.objects.originals()) == {original, stranger}
    assert ArticleSource.objects.filter(article=folded, source=copy).exists()
    assert outcome(copy, drafts[1].entry.item) is Outcome.KNOWN


def by_url(drafts: list[Any]) -> list[Article]:
    return [Article.objects.with_url(one.url).get() for one in drafts]


@pytest.mark.django_db
def test_a_copy_of_a_copy_is_folded_under_the_first_and_unfolds_when_that_is_deleted() -> None:
    first = stored(make_source(), "One", AGENCY)
    for number, sort in enumerate(COPIES):
        assert store([draft(make_source(), f"Copy {number}", COPIES[sort](AGENCY))]) == [Outcome.DUPLICATE]
    assert set(Article.objects.filter(duplicate_of=first)) == set(Article.objects.exclude(pk=first.pk))
    first.delete()
    assert Article.objects.originals().count() == 3, "nothing is hidden behind what is gone"


@pytest.mark.django_db
def test_a_new_story_with_old_background_is_no_copy() -> None:
    stored(make_source(), "One", AGENCY)
    background = " ".join(AGENCY.split()[:120])
    assert store([draft(make_source(), "Two", f"{prose(3, 180)} {background}")]) == [Outcome.NEW]


@pytest.mark.django_db
def test_short_notices_that_say_the_same_of_different_things_are_no_copies() -> None:
    stored(make_source(), "One", "The road A1 is closed between the bridge and the mill until six.")
    notice = "The road A2 is closed between the bridge and the mill until six."
    assert store([draft(make_source(), "Two", notice)]) == [Outcome.NEW]


@pytest.mark.django_db
def test_a_changed_story_is_compared_by_its_new_text() -> None:
    one = draft(make_source(), "One", prose(5))
    store([one])
    article = Article.objects.get()
    assert store([replace(one, text=AGENCY, refresh=article.pk)]) == [Outcome.UPDATED]
    assert store([draft(make_source(), "Two", COPIES["framed"](AGENCY))]) == [Outcome.DUPLICATE]
    assert store([draft(make_source(), "Three", COPIES["framed"](prose(5)))]) == [Outcome.NEW]


@pytest.mark.django_db
def test_copies_are_looked_for_while_a_story_is_new_and_its_traces_go_then() -> None:
    stored(make_source(), "One", AGENCY)
    now = timezone.now()
    assert dedupe.forget_old(now) == 0
    ArticleBand.objects.update(at=now - dedupe.WINDOW - timedelta(seconds=1))
    assert store([draft(make_source(), "Two", COPIES["framed"](AGENCY))]) == [Outcome.NEW]
    assert dedupe.forget_old(now) == dedupe.BANDS
    assert ArticleBand.objects.count() == dedupe.BANDS


@pytest.mark.django_db
def test_looking_a_listing_up_takes_the_same_number_of_queries_however_long_it_is(
    django_assert_max_num_queries: Any,
) -> None:
    source = make_source()
    entries = [Entry.of(Item(f"{n}", f"http://127.0.0.1/{n}", f"The title of story number {n}")) for n in range(200)]
    store([draft(source, entry.item.title, item=entry.item, url=entry.url) for entry in entries[:50]])
    with django_assert_max_num_queries(8):
        statuses = look_up(source.pk, entries, "")
    assert [status.outcome for status in statuses] == [Outcome.KNOWN] * 50 + [None] * 150
    assert not PassedItem.objects.exists()


@pytest.mark.django_db
def test_listings_that_are_looked_up_together_find_what_each_finds_alone(django_assert_max_num_queries: Any) -> None:
    one, two, three = (make_source() for _ in range(3))
    for source, host in ((one, "a"), (two, "b")):
        # The same identifiers mean other stories in each source; identifier 2 stands for two of the first.
        for number in range(3):
            item = Item(str(number), f"http://{host}.example/{number}", f"Story number {number} of outlet {host}")
            stored(source, item.title, item=item, url=item.url)
    stored(one, "Another story of outlet a", item=Item("2", "http://a.example/again"), url="http://a.example/again")
    pass_over([(two.pk, Entry.of(Item("passed", "http://b.example/passed")))])
    pass_over([(one.pk, Entry.of(Item("asked", "http://a.example/asked")))], "scope")
    items = [
        Item("0", "http://a.example/0"),
        Item("1", "http://a.example/moved", "Story number 1 of outlet a"),
        Item("2", "http://a.example/moved-too", "Story number 2 of outlet a"),
        Item("x", "http://b.example/1"),
        Item("passed", "http://b.example/passed"),
        Item("asked", "http://a.example/asked"),
        Item("new", "http://c.example/new"),
    ]
    entries = [Entry.of(item) for item in items]
    asked = [Listed(one.pk, entries, ""), Listed(two.pk, entries, "scope"), Listed(three.pk, entries[:2], "")]
    with transaction.atomic():
        alone = [look_up(listed.source_id, listed.entries, listed.scope) for listed in asked]
        links = set(ArticleSource.objects.values_list("source", "article"))
        transaction.set_rollback(True)
    with django_assert_max_num_queries(9):
        assert look_up_all(asked) == alone
    assert set(ArticleSource.objects.values_list("source", "article")) == links
    assert [status.outcome for status in alone[0]][:2] == [Outcome.KNOWN] * 2
    assert [status.outcome for status in alone[1]][3:5] == [Outcome.KNOWN] * 2


@pytest.mark.anydb
@given(st.lists(st.sampled_from(VOCABULARY[:6]), max_size=80), st.lists(st.sampled_from(VOCABULARY[:6]), max_size=80))
def test_likeness_is_a_share_equal_both_ways_and_whole_only_for_equal_sets(one: list[str], other: list[str]) -> None:
    first, second = dedupe.shingles(" ".join(one)), dedupe.shingles(" ".join(other))
    likeness = dedupe.similarity(first, second)
    assert 0 <= likeness <= 1 and likeness == dedupe.similarity(second, first)
    assert (likeness == 1) == (first == second != frozenset())
    assert len(dedupe.bands(first)) == (dedupe.BANDS if first else 0)
    assert all(-(2**63) <= value < 2**63 for value in dedupe.bands(first))


@pytest.mark.anydb
def test_bands_are_the_same_in_every_process_and_stay_so_while_they_are_stored() -> None:
    assert dedupe.bands(dedupe.shingles(" ".join(map(str, range(60)))))[:2] == [
        7714169933701760711,
        -317984978586421855,
    ]
