"""Listing pages by selectors, and following pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from django.core.exceptions import ValidationError

from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds import registry
from scrapers.kinds.listing import read_listing
from scrapers.models import Article, ResultStatus, Source
from tests.scrapers.test_collect import page

BASE = "http://courier.example/list/"
OPTIONS = {
    "items": "article.teaser",
    "title": "h2",
    "date": "time",
    "summary": "//p",
    "author": ".by",
    "image": "img",
    "following": "a[rel=next]",
    "pages": 5,
}


def teaser(number: int) -> str:
    return (
        f'<article class="teaser"><img src="/{number}.png"><h2><a href="/{number}">Story {number}</a></h2>'
        f'<time datetime="2026-11-{number:02}T10:00:00+01:00">then</time><p>About {number}.</p>'
        '<i class="by">Ann Bo</i></article>'
    )


def listing(*numbers: int, following: str = "") -> str:
    more = f'<a rel="next" href="{following}">older</a>' if following else ""
    return f"<html lang='de'><body>{''.join(teaser(number) for number in numbers)}{more}</body></html>"


def read(body: str, **options: Any) -> Any:
    cleaned = registry.get("listing").clean_options({**OPTIONS, **options})
    return read_listing(Answer(BASE, 200, body.encode(), "text/html"), cleaned)


@pytest.mark.anydb
class TestReading:
    def test_each_part_of_an_item_is_found(self) -> None:
        found, following = read(listing(20, following="?page=2"), summary="./p")
        (item,) = found.items
        assert (item.url, item.title, item.summary) == ("http://courier.example/20", "Story 20", "About 20.")
        assert item.published == datetime(2026, 11, 20, 9, tzinfo=UTC)
        assert (item.authors, item.image) == (("Ann Bo",), "http://courier.example/20.png")
        assert (following, found.language, found.unmatched) == (f"{BASE}?page=2", "de", ())

    def test_items_may_be_the_links_themselves(self) -> None:
        found, _following = read("<a href='/x'>X</a><a href='/y'>Y</a><a href='mailto:z'>Z</a>", items="a", title="a")
        assert [(item.url, item.title) for item in found.items] == [
            ("http://courier.example/x", "X"),
            ("http://courier.example/y", "Y"),
        ]

    def test_a_selector_that_finds_nothing_is_named(self) -> None:
        found, _following = read(listing(1), summary="b.lead", author="cite")
        assert found.unmatched == ("summary: b.lead", "author: cite")
        with pytest.raises(CollectError, match=r"“article\.gone”") as caught:
            read(listing(1), items="article.gone")
        assert caught.value.failure == FailureClass.NO_MATCH

    def test_wrong_selectors_are_refused_at_their_field(self) -> None:
        with pytest.raises(ValidationError) as caught:
            registry.get("listing").clean_options({"items": "a[", "title": "//b[", "colour": "red", "pages": 0})
        assert set(caught.value.message_dict) == {"items", "title", "colour", "pages"}


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
class TestPolling:
    def add(self, server: Any, path: str = "/list", **options: Any) -> Source:
        source = Source(name="List", kind="listing", url=server.url(path), options={**OPTIONS, **options})
        source.full_clean()
        source.save()
        for number in range(1, 12):
            server.answer(f"/{number}", page(f"Page {number}", f"{number}."))
        return source

    def test_following_pages_are_asked_for_until_one_holds_nothing_new(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/list", listing(5, 6, following="/list2"))
        server.answer("/list2", listing(3, 4, following="/list3"))
        server.answer("/list3", listing(1, 2))
        self.add(server)
        first = collect_news().of("List")
        assert (first.status, first.new) == (ResultStatus.OK, 6)
        server.asked.clear()
        # It knows no validators, but the first page is the same, byte for byte.
        assert collect_news().of("List").status == ResultStatus.NOT_MODIFIED
        assert server.paths() == ["/list"]
        server.answer("/list", listing(7, 8, following="/list2"))
        server.asked.clear()
        assert collect_news().of("List").new == 2
        assert server.paths()[:1] == ["/list"] and server.paths()[-1] == "/list2"

    def test_a_first_poll_that_broke_off_is_finished_by_the_next(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/list", listing(5, 6, following="/list2"), ETag='"1"')
        server.answer("/list2", "", 500)
        self.add(server)
        assert collect_news().of("List").failure_class == FailureClass.SERVER_ERROR
        assert Article.objects.count() == 2
        server.conditional = True
        server.answer("/list2", listing(3, 4))
        again = collect_news().of("List")
        assert (again.status, again.new, again.known) == (ResultStatus.OK, 2, 2)
        assert collect_news().of("List").status == ResultStatus.NOT_MODIFIED

    def test_pages_are_bounded_and_a_circle_ends(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/list", listing(1, following="/list2"))
        server.answer("/list2", listing(2, following="/list"))
        source = self.add(server)
        assert collect_news().of("List").new == 2
        assert [path for path in server.paths() if "list" in path] == ["/list", "/list2"]
        source.articles.all().delete()
        server.asked.clear()
        Source.objects.update(options={**source.options, "pages": 1})
        assert collect_news().of("List").seen == 1

    def test_a_limit_ends_the_paging_and_the_next_run_goes_on(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/list", listing(5, 6, following="/list2"), ETag='"1"')
        server.answer("/list2", listing(3, 4))
        self.add(server)
        server.conditional = True
        assert collect_news(limit=2).of("List").new == 2
        assert "/list2" not in server.paths()
        assert collect_news().of("List").new == 2

    def test_the_query_of_a_run_goes_into_the_address(self, serve: Any, collect_news: Any) -> None:
        server = serve()

        async def search(request: web.Request) -> web.Response:
            assert request.query["q"] == "high tide+äö"
            return web.Response(text=listing(3), content_type="text/html")

        server.routes["/find"] = search
        source = self.add(server, "/find?q={query}&sort=new")
        server.answer("/3", page("High tide+äö", "Tide."))
        assert collect_news(query="high tide+äö").of("List").seen == 1
        without = collect_news().of("List")
        assert (without.status, without.failure_class) == (ResultStatus.FAILED, FailureClass.NO_QUERY)
        source.refresh_from_db()
        assert source.consecutive_failures == 0, "it is the run that lacks something, not the source"

    def test_a_kind_that_takes_no_query_refuses_it_in_the_address(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Source(name="x", kind="sitemap", url="http://courier.example/{query}").full_clean()
        assert set(caught.value.message_dict) == {"url"}
