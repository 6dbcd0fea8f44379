"""Topics mark what matches: as it comes in, and among what is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from scrapers import topics
from scrapers.ingest import Entry, Outcome, look_up, store
from scrapers.kinds import Item
from scrapers.models import Article, Topic
from tests import factories
from tests.scrapers.articles import draft, make_source, stored

pytestmark = pytest.mark.django_db


def titles(topic: Topic) -> set[str]:
    return set(Article.objects.filter(topics=topic).values_list("title", flat=True))


def make(query: str, **values: Any) -> Topic:
    return Topic.objects.create(**{"name": query, "query": query, **values})


def test_articles_are_marked_as_they_come_in() -> None:
    flood, other, off = make("flood OR title:tide"), make("storm"), make("flood -x", enabled=False)
    stored(make_source(), "A", "The flood came.")
    stored(make_source(), "Tide", "It came.")
    stored(make_source(), "C", "The tide came.")
    assert (titles(flood), titles(other), titles(off)) == ({"A", "Tide"}, set(), set())


def test_a_changed_story_is_marked_by_what_it_says_now() -> None:
    flood, storm, source = make("flood"), make("storm"), make_source()
    first = draft(source, "A", "The flood came.")
    store([first])
    key = Article.objects.get().pk
    assert store([replace(first, text="The storm came.", refresh=key)]) == [Outcome.UPDATED]
    assert (titles(flood), titles(storm)) == (set(), {"A"})


def test_a_topic_marks_what_is_stored_and_follows_its_query() -> None:
    upland = make_source("Upland Review")
    stored(upland, "A", "The flood came.", language="en")
    stored(make_source(), "B", "The flood went.", language="de")
    topic = make("flood")
    assert topics.apply(topic) == 2 == topics.apply(topic)
    topic.query = "flood lang:de"
    assert (topics.apply(topic), titles(topic)) == (1, {"B"})
    topic.query = "source:upland -went"
    assert (topics.apply(topic), titles(topic)) == (1, {"A"})


def test_an_article_that_a_further_source_brings_is_marked_by_topics_that_ask_for_that_source() -> None:
    topic = make("source:upland")
    first = draft(make_source("Courier"), "A", "The flood came.")
    store([first])
    assert titles(topic) == set()
    upland = make_source("Upland Review")
    assert look_up(upland.pk, [Entry.of(Item("x", first.url))], "")[0].outcome is Outcome.DUPLICATE
    assert titles(topic) == {"A"}
    other = draft(make_source("Upland Weekly"), "B", "Other words.")
    store([draft(make_source("Gazette"), "B", "Other words."), other])
    assert titles(topic) == {"A", "B"}


def test_a_topic_that_cannot_be_understood_is_refused_and_stops_no_other() -> None:
    with pytest.raises(ValidationError, match="not closed"):
        Topic(name="x", query='"open').full_clean()
    make('"open')
    good = make("flood")
    stored(make_source(), "A", "The flood came.")
    assert titles(good) == {"A"}


def test_marking_takes_the_same_number_of_queries_for_many_topics_and_articles(
    django_assert_max_num_queries: Any,
) -> None:
    for number in range(20):
        make(f"flood word{number}")
    source = make_source()
    articles = [stored(source, f"T{number}", f"The flood word{number}.") for number in range(5)]
    with django_assert_max_num_queries(4):
        topics.mark(articles)


def test_a_topic_is_made_in_the_admin_and_lists_its_articles(admin_client: Client) -> None:
    stored(make_source(), "Under water", "The flood came.")
    stored(make_source(), "Dry", "Nothing came.")
    add = reverse("admin:scrapers_topic_add")
    refused = admin_client.post(add, {"name": "F", "query": "a OR", "enabled": "on"})
    assert "OR must stand between" in refused.content.decode()
    page = admin_client.post(add, {"name": "F", "query": "flood", "enabled": "on"}, follow=True).content.decode()
    assert "1 article matches." in page
    listed = admin_client.get(reverse("admin:scrapers_article_changelist"), {"topic": Topic.objects.get().pk})
    assert "Under water" in listed.content.decode() and "Dry" not in listed.content.decode()


def test_the_page_of_a_topic_shows_its_newest_articles_and_their_exports(admin_client: Client) -> None:
    stored(make_source(), "Under <water>", "The flood came.")
    topic = make("flood")
    topics.apply(topic)
    page = admin_client.get(reverse("admin:scrapers_topic_change", args=[topic.pk])).content.decode()
    assert "Under &lt;water&gt;" in page and f"export/csv/?topic={topic.pk}" in page
    assert "How a query is written" in admin_client.get(reverse("admin:scrapers_topic_add")).content.decode()


def test_a_query_is_shown_before_it_is_kept(admin_client: Client, client: Client) -> None:
    stored(make_source(), "Under water", "The flood came.")
    preview = reverse("admin:scrapers_topic_preview")
    assert f'formaction="{preview}"' in admin_client.get(reverse("admin:scrapers_topic_add")).content.decode()
    shown = admin_client.post(preview, {"query": '"flood came" OR x'}, follow=True).content.decode()
    assert "Under water" in shown and "1 article" in shown
    assert "not closed" in admin_client.post(preview, {"query": '"flood'}, follow=True).content.decode()
    assert not Topic.objects.exists()
    assert admin_client.get(preview).status_code == 405
    client.force_login(factories.user())
    assert client.post(preview, {"query": "flood"}).status_code == 403


def test_the_list_of_topics_takes_no_query_for_each(admin_client: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        make(f"flood word{number}")
    with django_assert_max_num_queries(12):
        admin_client.get(reverse("admin:scrapers_topic_changelist"))
