"""Discover: from an address to feeds, sitemaps, APIs and listings, ranked; polite, bounded, and nothing stored."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from scrapers.discovery import Candidate, discover, with_scheme
from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.guesses import PAGES, read_answer
from scrapers.models import Article, Source, SourceResult
from tests.site import SiteServer

URL = "http://courier.example/"


def rss(title: str, *paths: str, base: str = URL) -> str:
    items = "".join(
        f"<item><title>Story {path}</title><link>{base}{path}</link>"
        "<pubDate>Tue, 10 Mar 2026 09:00:00 GMT</pubDate></item>"
        for path in paths
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title>{items}</channel></rss>'


def guess(body: str | bytes, content_type: str = "text/html") -> Any:
    return read_answer(Answer(URL, 200, body.encode() if isinstance(body, str) else body, content_type))


@pytest.mark.anydb
class TestGuessing:
    def test_a_feed_is_a_feed_whatever_it_is_called(self) -> None:
        found = guess(rss("Courier", "1", "2"))
        assert (found.kind, found.title, found.count) == ("feed", "Courier", 2)
        assert found.titles == ("Story 1", "Story 2") and found.newest.isoformat() == "2026-03-10T09:00:00+00:00"

    def test_a_json_api_is_recognised_with_the_paths_of_its_parts(self) -> None:
        posts = [
            {
                "id": number,
                "link": f"{URL}{number}",
                "title": {"rendered": f"Story {number}"},
                "date_gmt": "2026-03-10T09:00:00",
                "authors": [{"name": "Ann"}],
            }
            for number in range(3)
        ]
        found = guess(json.dumps({"meta": {"total": 3}, "data": {"posts": posts}}), "application/json")
        assert (found.kind, found.count) == ("json_api", 3)
        options = found.options
        assert (options["items"], options["link"], options["title"]) == ("data.posts", "link", "title.rendered")
        assert (options["date"], options["author"]) == ("date_gmt", "authors[].name")

    def test_a_page_of_teasers_is_a_listing_with_selectors_that_read_it(self) -> None:
        teasers = "".join(
            f'<article class="card big"><h3><a href="/story/{number}">A headline of some length, {number}</a></h3>'
            f'<time datetime="2026-03-1{number}T08:00Z">then</time></article>'
            for number in range(6)
        )
        menu = "".join(f'<li class="menu"><a href="/section/{number}">Section</a></li>' for number in range(20))
        found = guess(f"<html><body><nav>{menu}</nav>{teasers}<a rel=next href=?p=2>older</a></body></html>")
        assert (found.kind, found.count) == ("listing", 6)
        assert found.titles[0] == "A headline of some length, 0"
        assert found.newest is not None and found.options["following"] == "a[rel=next]"
        Source(name="x", url=URL, kind=found.kind, options=found.options).clean()

    @pytest.mark.parametrize(
        ("extra", "path", "following", "parameter"),
        [
            ({"next": 2}, "", "next", "page"),
            ({"next": None}, "?p=3", "next", "p"),
            ({"paging": {"next_url": "https://courier.example/?from=9"}}, "", "paging.next_url", ""),
            ({"links": {"next": {"href": "/api?page=2"}}}, "", "links.next.href", ""),
            ({"nextPageToken": "CAoQAA"}, "", "nextPageToken", "cursor"),
            ({"meta": {"next-page": 2}}, "", 'meta."next-page"', "page"),
            ({}, "?page=1", "", "page"),
        ],
        ids=["number", "last page", "address", "HAL", "token", "hyphen", "address that counts"],
    )
    def test_an_api_is_followed_as_it_says(self, extra: Any, path: str, following: str, parameter: str) -> None:
        posts = [{"url": f"{URL}{number}", "title": f"Story {number}"} for number in range(3)]
        answer = Answer(URL + path, 200, json.dumps({"items": posts, **extra}).encode(), "application/json")
        found = read_answer(answer)
        assert found is not None
        options = found.options
        assert (options["following"], options["parameter"], options["pages"]) == (following, parameter, PAGES)
        Source(name="x", url=URL, kind=found.kind, options=options).clean()

    def test_an_api_that_says_nothing_of_pages_is_one_page(self) -> None:
        posts = [{"url": f"{URL}{number}", "title": f"Story {number}", "next": "x"} for number in range(3)]
        assert guess(json.dumps(posts), "application/json").options["pages"] == 1

    @pytest.mark.parametrize(
        ("teaser", "count", "is_one"),
        [
            ('<article><h2><a href="/{}">{}. Two teasers are a list</a></h2></article>', 2, True),
            ('<article><h2><a href="/{}">{}. Two teasers are a list</a></h2></article>', 1, False),
            ('<li class="story"><a href="/{}">{}. Three of a class are a list</a></li>', 3, True),
            ('<li class="story"><a href="/{}">{}. Three of a class are a list</a></li>', 2, False),
            ('<li class="story"><a href="/{}">{}. 洪水で町が水に沈む</a></li>', 3, True),
        ],
    )
    def test_how_many_teasers_make_a_listing(self, teaser: str, count: int, is_one: bool) -> None:
        page = "".join(teaser.format(number, number) for number in range(count))
        found = guess(f"<html><body>{page}</body></html>")
        assert (found is not None and found.kind == "listing" and found.count == count) is is_one
        story = f'<html><head><meta property="og:type" content="article"></head><body>{page}</body></html>'
        assert guess(story) is None, "what else there is to read makes a story no listing"

    @pytest.mark.parametrize(
        "body", ["", "<html><body><p>Hello</p></body></html>", "{}", "[1]", '{"a": [{"b": 1}]}', "\0\1"]
    )
    def test_what_is_none_of_these_is_nothing(self, body: str) -> None:
        assert guess(body) is None

    def test_an_address_may_come_without_its_scheme(self) -> None:
        assert with_scheme(" example.org/news ") == "https://example.org/news"
        assert with_scheme("http://example.org") == "http://example.org"


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
class TestDiscovering:
    def find(self, server: Any, path: str = "/") -> list[Candidate]:
        return list(discover(server.url(path)).candidates)

    def test_a_home_page_leads_to_its_feed_its_sitemaps_and_itself(self, site: SiteServer) -> None:
        home = site.feed_url("courier").rpartition("/")[0] + "/"
        found = discover(home).candidates
        assert found[0].url == site.feed_url("courier") and found[0].guess.kind == "feed"
        assert found[0].guess.count == 8
        kinds = [candidate.guess.kind for candidate in found]
        assert {"feed", "sitemap"} <= set(kinds)
        assert kinds[1] == "sitemap" and found[1].guess.is_news, "the news sitemap before the plain one"
        assert not (Article.objects.exists() or Source.objects.exists() or SourceResult.objects.exists())

    def test_feeds_that_the_page_declares_come_first_and_comments_last(self, serve: Any) -> None:
        server = serve()
        server.answer(
            "/",
            '<link rel="alternate" type="application/rss+xml" href="/comments/feed/">'
            '<link rel="alternate" type="application/atom+xml" href="/main.xml"><a href="/sport/rss">Sport</a>'
            '<link rel="alternate" type="application/rss+xml" href="/gone.xml"><a href="/feedback">Write to us</a>',
        )
        server.answer("/comments/feed/", rss("Comments", "c1"))
        server.answer("/main.xml", rss("Main", "1", "2"))
        server.answer("/sport/rss", rss("Sport", "3"))
        result = discover(server.url())
        assert [candidate.guess.title for candidate in result.candidates] == ["Main", "Sport", "Comments"]
        assert any("/gone.xml" in note and "404" in note for note in result.notes)
        assert "/feedback" not in server.paths() and "/feed/" not in server.paths(), "nothing is asked for by chance"

    def test_usual_places_are_tried_where_nothing_is_declared(self, serve: Any) -> None:
        server = serve()
        server.answer("/", "<p>Hello</p>")
        server.answer("/feed.xml", rss("Hidden", "1"))
        server.answer("/atom.xml", rss("Hidden", "1"))
        (found,) = self.find(server)
        assert found.guess.title == "Hidden"
        assert "/atom.xml" not in server.paths(), "the first that is found is enough"

    def test_the_front_page_is_asked_before_anything_is_tried_by_chance(self, serve: Any) -> None:
        server = serve()
        teasers = "".join(
            f"<article><h2><a href='/{n}'>A story of the sport pages, {n}</a></h2></article>" for n in "123"
        )
        server.answer("/sport", teasers)
        server.answer(
            "/",
            '<meta property="og:site_name" content="The Courier">'
            '<link rel="alternate" type="application/rss+xml" href="/all.xml">',
        )
        server.answer("/all.xml", rss("", "8", "9", base=server.url()))
        first, second = self.find(server, "/sport")
        assert first.guess.kind == "listing", "the feed of the site does not stand for the section"
        assert (second.guess.kind, second.found_by) == ("feed", "the front page declares it")
        assert second.title == "The Courier", "a feed without a title is called as its site"
        server.answer("/all.xml", rss("All", "3", "9", base=server.url()))
        assert self.find(server, "/sport")[0].guess.kind == "feed", "but where it holds the section's articles"
        assert "/feed/" not in server.paths()

    def test_robots_txt_is_obeyed_and_its_sitemaps_are_read(self, serve: Any) -> None:
        server = serve()
        server.answer("/robots.txt", f"User-agent: *\nDisallow: /private\nSitemap: {server.url('/map.xml')}\n")
        server.answer("/", '<link rel="alternate" type="application/rss+xml" href="/private/feed.xml">')
        server.answer("/private/feed.xml", rss("Private", "1"))
        server.answer("/map.xml", f"<urlset><url><loc>{server.url('/1')}</loc></url></urlset>")
        (found,) = self.find(server)
        assert (found.guess.kind, found.found_by) == ("sitemap", "robots.txt")
        assert "/private/feed.xml" not in server.paths()

    def test_a_page_that_cannot_be_had_is_no_end_where_the_site_has_a_feed(self, serve: Any) -> None:
        server = serve()
        server.answer("/", "", 500)
        server.answer("/feed/", rss("Feed", "1"))
        result = discover(server.url())
        assert [candidate.guess.kind for candidate in result.candidates] == ["feed"]
        assert "500" in result.notes[0]

    def test_nothing_there_is_told_in_words(self, serve: Any) -> None:
        server = serve()
        with pytest.raises(CollectError) as caught:
            discover(server.url("/no"))
        assert caught.value.failure == FailureClass.NOT_FOUND
        server.answer("/", "<p>Hello</p>")
        assert discover(server.url()).candidates == ()
        with pytest.raises(CollectError):
            discover("ftp://courier.example/")
        with pytest.raises(CollectError):
            discover("https://")

    def test_addresses_that_cannot_be_are_passed_over_and_end_nothing(self, serve: Any) -> None:
        for rubbish in ("http://[", "http://a b/", "://x", "http://127.0.0.1:99999/"):
            with pytest.raises(CollectError, match="cannot be used"):
                discover(rubbish)
        server = serve()
        server.answer("/robots.txt", "User-agent: *\nSitemap: http://[\n")
        server.answer(
            "/", '<base href="http://["><link rel=alternate type="application/rss+xml" href="/f"><a href="//[">'
        )
        server.answer("/f", rss("Feed", "1"))
        (found,) = self.find(server)
        assert found.guess.title == "Feed"

    def test_private_addresses_are_not_asked(self, serve: Any, settings: Any) -> None:
        server = serve()
        settings.NEWSS_ALLOW_NETWORKS = []
        with pytest.raises(CollectError) as caught:
            discover(server.url())
        assert caught.value.failure == FailureClass.ADDRESS_REFUSED
        assert server.asked == []

    def test_a_page_with_hundreds_of_feeds_is_bounded(self, serve: Any) -> None:
        server = serve()
        links = "".join(f'<a href="/feeds/{number}.rss">x</a>' for number in range(300))
        server.answer("/", links)
        for number in range(300):
            server.answer(f"/feeds/{number}.rss", rss(f"Feed {number}", str(number)))
        result = discover(server.url())
        assert 10 <= len(result.candidates) <= 20 and len(server.asked) <= 20
        assert any("too many" in note for note in result.notes)

    def test_a_slow_site_ends_with_what_there_is(self, serve: Any) -> None:
        server = serve()

        async def never(request: web.Request) -> web.Response:
            await asyncio.sleep(60)
            return web.Response()

        server.answer("/", '<link rel=alternate type="application/rss+xml" href="/slow">')
        server.answer("/feed.xml", rss("Feed", "1"))
        server.routes["/slow"] = never
        result = discover(server.url(), seconds=2)
        assert any("time was up" in note for note in result.notes)
        assert any(note.startswith("Not looked at") and "/slow" in note for note in result.notes)

    def test_a_candidate_becomes_a_source_with_a_free_name(self, serve: Any) -> None:
        server = serve()
        server.answer("/feed", rss("Courier", "1"))
        Source.objects.create(name="Courier", url="http://other.example/")
        (found,) = self.find(server, "/feed")
        source = found.source()
        source.full_clean()
        source.save()
        assert source.name == "Courier (127.0.0.1)" and source.kind == "feed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.anydb
def test_where_no_scheme_is_typed_and_there_is_no_https_http_is_tried(serve: Any) -> None:
    server = serve("127.0.0.41")
    server.answer("/", rss("Courier", "1", base=server.url()), Content_Type="application/rss+xml")
    typed = f"127.0.0.41:{server.port}"
    found = discover(typed)
    assert [candidate.url for candidate in found.candidates] == [server.url()]
    assert found.url == f"http://{typed}" and "since https cannot be had" in found.notes[0]
    with pytest.raises(CollectError) as error:
        discover(f"https://{typed}")
    assert error.value.failure is FailureClass.TLS


@pytest.mark.django_db(transaction=True)
@pytest.mark.anydb
def test_where_neither_can_be_had_what_https_said_is_told() -> None:
    with pytest.raises(CollectError, match="refused") as error:
        discover("127.0.0.41:9")
    assert error.value.failure is FailureClass.REFUSED
