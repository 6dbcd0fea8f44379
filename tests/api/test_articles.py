"""Articles over the API: lists, one of them, exports, and changes for those who copy on."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from scrapers import following
from scrapers.following import Cursor, changes
from scrapers.ingest import Entry, Outcome, look_up, store
from scrapers.kinds import Item
from scrapers.models import Article, Source
from tests import factories
from tests.scrapers.articles import draft, instant, make_source, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def get(client: Client) -> Callable[..., Any]:
    client.force_login(factories.user("scrapers.view_article"))
    return lambda path, **values: client.get(f"/api/v1/{path}", values)


def test_articles_are_listed_newest_first_by_filters(get: Callable[..., Any]) -> None:
    source = make_source("Courier")
    for day in range(1, 4):
        stored(source, f"Day {day}", "The flood.", published=instant(day), language="en")
    stored(make_source("Upland"), "Other", "Sun.")
    answer = get("articles", q="flood", source="Courier", limit=2).json()
    assert [row["title"] for row in answer["items"]] == ["Day 3", "Day 2"] and answer["more"]
    rest = get("articles", q="flood", until="2026-11-02T12:00:00Z").json()
    assert [row["title"] for row in rest["items"]] == ["Day 1"] and not rest["more"]
    one = get(f"articles/{answer['items'][0]['id']}").json()
    assert one == answer["items"][0] and one["sources"] == ["Courier"]


def test_a_list_takes_the_same_number_of_queries_however_long(
    get: Callable[..., Any], django_assert_max_num_queries: Any
) -> None:
    source = make_source("Courier")
    for _ in range(10):
        stored(source)
    with django_assert_max_num_queries(8):
        assert len(get("articles").json()["items"]) == 10


@pytest.mark.parametrize(
    ("path", "values", "field"),
    [
        ("articles", {"q": '"'}, "q"),
        ("articles", {"source": "No"}, "source"),
        ("articles", {"since": "2026-11-02T12:00:00"}, "filters.since"),
        ("articles", {"limit": "1000"}, "filters.limit"),
        ("articles/export", {"format": "exe"}, "format"),
        ("articles/changes", {"since": "yesterday"}, "since"),
    ],
)
def test_what_cannot_be_understood_is_named(
    path: str, values: dict[str, str], field: str, get: Callable[..., Any]
) -> None:
    answer = get(path, **values)
    assert answer.status_code == 422
    assert field.rpartition(".")[2] in " ".join(answer.json()["errors"])


@pytest.mark.parametrize("path", ["articles", "articles/export", "articles/changes", "articles/1"])
def test_articles_need_their_permission(path: str, client: Client) -> None:
    assert client.get(f"/api/v1/{path}").status_code in (401, 403)
    client.force_login(factories.user("scrapers.view_source"))
    assert client.get(f"/api/v1/{path}").status_code == 403


def test_an_article_that_is_not_there_is_told_so(get: Callable[..., Any]) -> None:
    assert get("articles/12345").status_code == 404


def test_an_export_is_a_stream_of_all(get: Callable[..., Any]) -> None:
    source = make_source()
    for _ in range(3):
        stored(source)
    answer = get("articles/export", format="jsonl")
    assert answer.streaming and len([json.loads(line) for line in b"".join(answer).splitlines()]) == 3


def test_changes_tell_of_new_changed_and_deleted_articles_once_each(get: Callable[..., Any]) -> None:
    source = make_source()
    first = draft(source, "One", "A text.")
    store([first, draft(source, "Two"), draft(source, "Three")])
    begin = get("articles/changes").json()
    assert [row["article"]["title"] for row in begin["items"]] == ["One", "Two", "Three"] and not begin["more"]
    assert get("articles/changes", since=begin["next"]).json() == {"items": [], "next": begin["next"], "more": False}
    keys = {row["article"]["title"]: row["id"] for row in begin["items"]}
    store([replace(first, text="Another text.", refresh=keys["One"])])
    Article.objects.get(title="Two").delete()
    later = get("articles/changes", since=begin["next"]).json()
    assert {(row["id"], row["deleted"]) for row in later["items"]} == {(keys["One"], False), (keys["Two"], True)}
    assert get("articles/changes", since=later["next"]).json()["items"] == []
    store([replace(first, text="Another text.", refresh=keys["One"])])
    assert get("articles/changes", since=later["next"]).json()["items"] == [], "it was only looked at"


def test_an_article_that_another_source_brings_too_has_changed(get: Callable[..., Any]) -> None:
    one, two = make_source("One"), make_source("Two")
    by_address, by_text = stored(one, "Address", url="http://127.0.0.1/a"), stored(one, "Text", "The same words.")
    stored(one, "Left alone")
    begin = get("articles/changes").json()
    look_up(two.pk, [Entry.of(Item("1", by_address.url, "Address"))], "")
    assert store([draft(two, by_text.title, by_text.text)]) == [Outcome.DUPLICATE]
    later = get("articles/changes", since=begin["next"]).json()
    assert {row["article"]["title"]: row["article"]["sources"] for row in later["items"]} == {
        "Address": ["One", "Two"],
        "Text": ["One", "Two"],
    }


def test_a_source_with_a_new_name_is_a_change_of_its_articles(get: Callable[..., Any]) -> None:
    one, two = make_source("One"), make_source("Two")
    stored(one, "A")
    stored(two, "B")
    begin = get("articles/changes").json()
    one.name = "First"
    one.save()
    two.enabled = False
    two.save()
    later = get("articles/changes", since=begin["next"]).json()
    assert {row["article"]["title"]: row["article"]["sources"] for row in later["items"]} == {"A": ["First"]}


def test_deleting_sources_is_a_change_of_their_articles(get: Callable[..., Any]) -> None:
    one, two, three = (make_source() for _ in range(3))
    stored(one, "One")
    stored(two, "Two")
    stored(three, "Three")
    begin = get("articles/changes").json()
    one.delete()
    Source.objects.filter(pk=two.pk).delete()
    later = get("articles/changes", since=begin["next"]).json()
    assert {row["article"]["title"]: row["article"]["sources"] for row in later["items"]} == {"One": [], "Two": []}
    assert not any(row["deleted"] for row in later["items"])


def test_who_reads_changes_in_pages_while_others_write_has_everything_in_the_end() -> None:
    rng = random.Random(5)
    source, mirror, cursor = make_source(), dict[int, str](), Cursor()
    for step in range(60):
        for _ in range(rng.randint(0, 3)):
            stored(source, f"Title {step}")
        rows = list(Article.objects.order_by("?")[: rng.randint(0, 3)])
        for article in rows[:1]:
            article.delete()
        for article in rows[1:]:
            Article.objects.filter(pk=article.pk).update(title=f"Changed {step}")
        found = changes(cursor, rng.randint(1, 4))
        cursor = follow(mirror, found)
    while (found := changes(cursor, 4)).rows:
        cursor = follow(mirror, found)
    assert mirror == dict(Article.objects.values_list("pk", "title"))


def follow(mirror: dict[int, str], found: Any) -> Cursor:
    for row in found.rows:
        if isinstance(row, Article):
            mirror[row.pk] = row.title
        else:
            mirror.pop(row.article_id, None)
    return found.next


def test_numbers_are_given_to_some_rows_at_once_so_that_no_request_takes_long(monkeypatch: Any) -> None:
    monkeypatch.setattr(following, "NUMBERED_AT_ONCE", 2)
    source = make_source()
    for _ in range(5):
        stored(source)
    assert [following.number() for _ in range(4)] == [2, 2, 1, 0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not connection.features.has_select_for_update_skip_locked, reason="one writer at a time")
def test_what_is_committed_late_is_told_late_and_not_left_out() -> None:
    source = make_source()
    early = stored(source, "Early")
    begun, go_on = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            stored(source, "Late")
            Article.objects.filter(pk=early.pk).update(title="Changed")
            begun.set()
            assert go_on.wait(30)
        connection.close()

    thread = threading.Thread(target=write_slowly)
    thread.start()
    assert begun.wait(30)
    quick = stored(source, "Quick")
    first = changes(Cursor(), 10)
    assert [row.pk for row in first.rows] == [quick.pk], "what is being written is left for the next time"
    go_on.set()
    thread.join()
    rest = changes(first.next, 10)
    assert {row.title for row in rest.rows if isinstance(row, Article)} == {"Changed", "Late"}
