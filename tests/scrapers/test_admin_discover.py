"""Discover, Try it and the starter list in the admin: from one field to a source, nothing stored before it is asked."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from scrapers import starter
from scrapers.admin import discover
from scrapers.models import Article, Source, SourceResult
from scrapers.models.source import validate_source_url
from tests import factories
from tests.site import SiteServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.anydb]
AT = "/admin/scrapers/source/"


@pytest.fixture
def editor(client: Client) -> Client:
    rights = ("view_source", "add_source", "change_source")
    client.force_login(factories.user(*(f"scrapers.{right}" for right in rights)))
    return client


def test_adding_begins_with_an_address_and_ends_with_a_source(editor: Client, site: SiteServer) -> None:
    begin = editor.get(AT + "add/", follow=True)
    assert begin.redirect_chain[-1][0] == AT + "discover/"
    home = site.feed_url("courier").rpartition("/")[0] + "/"
    page = editor.post(AT + "discover/", {"url": home}).content.decode()
    assert site.feed_url("courier") in page and "Feed (RSS, Atom, JSON Feed)" in page and "8 entries" in page
    assert not Source.objects.exists()
    proposal = {"url": site.feed_url("courier"), "kind": "feed", "title": "Courier", "options": "{}"}
    tried = editor.post(AT + "try-found/", proposal).content.decode()
    assert all(escape(story.title) in tried for story in site.stories("courier")[:2]) and "Nothing was stored" in tried
    assert not (Source.objects.exists() or Article.objects.exists() or SourceResult.objects.exists())
    added = editor.post(AT + "add-found/", proposal)
    source = Source.objects.get()
    assert added["Location"] == f"{AT}{source.pk}/change/" and (source.name, source.enabled) == ("Courier", True)
    again = editor.post(AT + "discover/", {"url": home}).content.decode()
    assert "There already" in again


def test_the_form_by_hand_can_be_tried_before_it_is_saved(editor: Client, site: SiteServer) -> None:
    form = editor.get(AT + "add/?by_hand=1").content.decode()
    assert f'formaction="{AT}try/"' in form
    data = {"name": "New", "url": site.feed_url("courier"), "kind": "feed", "kind_shown": "feed", "enabled": "on"}
    assert escape(site.stories("courier")[0].title) in editor.post(AT + "try/", data).content.decode()
    wrong = editor.post(AT + "try/", {**data, "url": "nonsense"}).content.decode()
    assert "not right yet" in wrong and "http://" in wrong
    assert not Source.objects.exists()


def test_a_source_is_tried_as_its_form_stands(editor: Client, site: SiteServer) -> None:
    source = Source.objects.create(name="Broken", url=site.feed_url("broken"))
    assert f'formaction="{AT}{source.pk}/try/"' in editor.get(f"{AT}{source.pk}/change/").content.decode()
    data = {"name": "Broken", "url": source.url, "kind": "feed", "kind_shown": "feed", "enabled": "on"}
    assert "answered 500" in editor.post(f"{AT}{source.pk}/try/", data).content.decode()
    mended = editor.post(f"{AT}{source.pk}/try/", {**data, "url": site.feed_url("upland")}).content.decode()
    assert escape(site.stories("upland")[0].title) in mended
    source.refresh_from_db()
    assert (source.url, source.consecutive_failures) == (site.feed_url("broken"), 0)


@pytest.mark.parametrize(
    ("url", "why"), [("", "required"), ("ftp://x.example", "http"), ("http://127.0.0.1:1/", "refused")]
)
def test_a_wrong_address_is_told_at_its_field(editor: Client, url: str, why: str) -> None:
    assert why in editor.post(AT + "discover/", {"url": url}).content.decode()


def test_looks_at_the_outside_never_take_all_threads(editor: Client, site: SiteServer) -> None:
    proposal = {"url": site.feed_url("courier"), "kind": "feed", "title": "Courier", "options": "{}"}
    with ExitStack() as taken:
        for _place in range(discover.LOOKS_AT_ONCE):
            taken.enter_context(discover.looking())
        assert "under way" in editor.post(AT + "discover/", {"url": site.feed_url("courier")}).content.decode()
        tried = editor.post(AT + "try-found/", proposal)
        assert tried.status_code == 503 and "under way" in tried.content.decode()
        selector = editor.post(AT + "try-selector/", {"page": site.feed_url("courier"), "selector": "a"})
        assert "under way" in selector.content.decode()
    assert "Nothing was stored" in editor.post(AT + "try-found/", proposal).content.decode()


def test_text_from_outside_is_escaped(editor: Client, serve: Any) -> None:
    server = serve()
    evil = "&lt;script&gt;alert(1)&lt;/script&gt;"
    server.answer(
        "/",
        f"<rss version='2.0'><channel><title>{evil}x</title><item><title>{evil}</title>"
        "<link>http://a.example/</link></item></channel></rss>",
    )
    page = editor.post(AT + "discover/", {"url": server.url()}).content.decode()
    assert "1 entry" in page and "<script>alert" not in page


def test_a_proposal_is_judged_before_it_is_stored(editor: Client) -> None:
    for data in (
        {"kind": "feed"},
        {"url": "http://x.example/", "kind": "no"},
        {"url": "http://x.example/", "kind": "listing"},
    ):
        assert editor.post(AT + "add-found/", data).status_code == 302
    assert not Source.objects.exists()
    options = json.dumps({"items": "article"})
    editor.post(AT + "add-found/", {"url": "http://x.example/", "kind": "listing", "options": options})
    assert Source.objects.get().options["items"] == "article"


def test_a_selector_shows_what_it_finds(editor: Client, serve: Any) -> None:
    server = serve()
    server.answer("/", "<h2>First story</h2><h2>Second story</h2>")
    page = editor.post(AT + "try-selector/", {"page": server.url(), "selector": "h2"}).content.decode()
    assert "Found 2 times" in page and "Second story" in page
    assert (
        "no CSS selector"
        in editor.post(AT + "try-selector/", {"page": server.url(), "selector": "a["}).content.decode()
    )


def test_the_starter_list_is_offered_where_there_is_no_source(editor: Client) -> None:
    assert AT + "starter/" in editor.get(AT).content.decode()
    feeds = starter.feeds()
    page = editor.get(AT + "starter/").content.decode()
    assert all(feed.about for feed in feeds) and feeds[0].url in page and "were not tried from here" in page
    editor.post(AT + "starter/", {"url": [feeds[0].url, feeds[-1].url, "http://not-in-the-list.example/"]})
    assert set(Source.objects.values_list("url", flat=True)) == {feeds[0].url, feeds[-1].url}
    assert "there already" in editor.get(AT + "starter/").content.decode()


@pytest.mark.anydb
def test_the_starter_list_holds_dozens_of_feeds_in_many_languages() -> None:
    feeds = starter.feeds()
    assert len(feeds) >= 36 and len({feed.language for feed in feeds}) >= 10
    assert len({feed.url for feed in feeds}) == len({feed.name for feed in feeds}) == len(feeds)
    for feed in feeds:
        validate_source_url(feed.url)
        assert feed.language_name.lower() != feed.language


@pytest.mark.parametrize("where", ["discover/", "add-found/", "try-found/", "try-selector/", "starter/", "try/"])
def test_who_may_not_add_sources_asks_nobody(client: Client, where: str, serve: Any) -> None:
    server = serve()
    client.force_login(factories.user("scrapers.view_source"))
    data = {"url": server.url(), "page": server.url(), "selector": "a", "kind": "feed", "name": "x"}
    assert client.post(AT + where, data).status_code == 403
    assert server.asked == []
