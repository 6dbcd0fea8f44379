"""Settings of sources: where they come from, and what collecting makes of them."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from scheduling.models import Tag
from scrapers.fetch.failures import FailureClass
from scrapers.fetch.identity import Identity
from scrapers.kinds import Item
from scrapers.models import Article, SettingsLevel, Source
from scrapers.source_settings import resolve, resolve_all
from scrapers.source_settings.patterns import first_found
from scrapers.source_settings.plan import Plan
from tests.scrapers.test_collect import feed, item, page


def level(tag: str | None = None, position: int = 0, **values: Any) -> SettingsLevel:
    made = SettingsLevel(tag=tag and Tag.objects.get_or_create(name=tag)[0], position=position, values=values)
    made.full_clean()
    made.save()
    return made


def source(*tags: str, **values: Any) -> Source:
    name = values.pop("name", "Small")
    made = Source(name=name, url=values.pop("url", f"http://a.example/{name}"), settings=values)
    made.full_clean()
    made.save()
    made.tags.set([Tag.objects.get_or_create(name=tag)[0] for tag in tags])
    return made


@pytest.mark.django_db
class TestInheritance:
    def test_the_nearest_level_decides_and_is_named(self) -> None:
        level(max_age_days=90, first_import=10, encoding="cp1251", text_selector="main")
        level("daily", 2, max_age_days=30, first_import=20)
        level("sport", 1, max_age_days=7)
        resolved = resolve(source("daily", "sport", encoding="utf-8"))
        found = {name: (resolved.values[name], resolved.origins[name]) for name in resolved.values}
        assert found["max_age_days"] == (7, "tag sport")
        assert found["first_import"] == (20, "tag daily")
        assert found["text_selector"] == ("main", "all sources")
        assert found["encoding"] == ("utf-8", "this source")
        assert found["proxy"] == ("", "default")
        assert (resolved.inherited["encoding"], resolved.inherited_from["encoding"]) == ("cp1251", "all sources")

    def test_zero_takes_an_inherited_limit_away(self) -> None:
        level(max_age_days=30)
        made = source(max_age_days=0)
        assert Plan.of(made, resolve(made)).max_age is None

    def test_many_sources_take_no_more_queries_than_one(self, django_assert_num_queries: Any) -> None:
        level("daily", max_age_days=30)
        sources = [source("daily", name=f"S{number}") for number in range(9)]
        with django_assert_num_queries(2):
            assert {found.values["max_age_days"] for found in resolve_all(sources)} == {30}

    def test_there_is_one_row_for_all_sources(self) -> None:
        level(max_age_days=30)
        with pytest.raises(ValidationError, match="exist already"):
            level(max_age_days=40)
        with pytest.raises(IntegrityError), transaction.atomic():
            SettingsLevel.objects.create()

    def test_wrong_settings_are_refused_by_name(self) -> None:
        with pytest.raises(ValidationError, match="max_age_days"):
            level(max_age_days="soon")


@pytest.mark.anydb
class TestPatterns:
    def test_a_pattern_that_would_hang_others_takes_no_time(self) -> None:
        began = time.process_time()
        assert first_found([r"^(a+)+$"], "a" * 50_000 + "!") == ""
        assert time.process_time() - began < 5

    def test_case_does_not_count(self) -> None:
        assert first_found(["tennis", "SPORT"], "http://a.example/Sport/1") == "SPORT"


@pytest.mark.anydb
class TestFirstImport:
    def plan(self, first_import: int) -> Plan:
        resolved = resolve_values(first_import=first_import)
        return Plan.of(Source(name="x", url="http://a.example/"), resolved)

    def test_the_newest_are_taken(self) -> None:
        now = timezone.now()
        items = [Item(str(age), "", published=now - timedelta(days=age)) for age in (3, 1, 2)]
        assert self.plan(2).beyond_first_import(items, 0) == {0}
        assert self.plan(2).beyond_first_import(items, 1) == {0, 2}
        assert self.plan(0).beyond_first_import(items, 0) == set()

    def test_without_times_the_order_of_the_source_counts(self) -> None:
        assert self.plan(1).beyond_first_import([Item("a", ""), Item("b", "")], 0) == {1}


def resolve_values(**values: Any) -> Any:
    from scrapers.source_settings.levels import _resolved

    return _resolved(values, [])


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("home", "url", "expected"),
    [
        ("https://news.example/feed", "https://news.example/1", True),
        ("https://www.news.example/feed", "https://news.example/1", True),
        ("https://news.example/feed", "https://cdn.news.example/1", True),
        ("https://news.example/feed", "https://evilnews.example/1", False),
        ("https://news.example/feed", "https://example/1", False),
        ("https://news.example/feed", "http://news.example/1", False),
        ("http://news.example/feed", "https://news.example/1", True),
        ("http://127.0.0.1/feed", "http://1.127.0.0.1/", False),
        ("", "http://news.example/", False),
    ],
)
def test_who_may_see_a_sources_headers(home: str, url: str, expected: bool) -> None:
    assert bool(Identity(home, {"X-Key": "s3cret"}).headers_for(url)) is expected


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
class TestCollecting:
    def test_headers_and_cookies_reach_the_sources_host_and_no_other(self, serve: Any, collect_news: Any) -> None:
        home, other = serve("127.0.0.31"), serve("127.0.0.32")
        for server in (home, other):
            server.answer("/1", page("A story", server.address))
        home.answer(
            "/feed", feed(item(home.url("/1"), guid="1"), item(other.url("/1"), guid="2"), item("/away", guid="3"))
        )
        home.answer("/away", "", 302, Location=other.url("/1"))
        source(url=home.url("/feed"), headers="X-Key: s3cret", cookies="sid=abc")
        collected = collect_news()
        carried = {asked.path: (asked.headers.get("X-Key"), asked.headers.get("Cookie")) for asked in home.asked}
        assert carried["/feed"] == carried["/1"] == carried["/away"] == ("s3cret", "sid=abc")
        assert not any("X-Key" in asked.headers or "Cookie" in asked.headers for asked in other.asked)
        assert "s3cret" not in collected.log

    def test_a_secret_that_is_missing_fails_the_source_by_name(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        source(url=server.url("/feed"), headers="X-Key: env:NEWSS_SECRET_MISSING")
        result = collect_news().of("Small")
        assert (result.failure_class, server.asked) == (FailureClass.NO_SECRET, [])
        assert "NEWSS_SECRET_MISSING" in result.error

    def test_requests_go_through_the_proxy_with_its_password(self, serve: Any, collect_news: Any) -> None:
        proxy, server = serve("127.0.0.33"), serve("127.0.0.34")
        proxy.answer("/feed", feed(item("/1", "By proxy", "1")))
        proxy.answer("/1", page("By proxy", "One."))
        source(url=server.url("/feed"), proxy=proxy.url("").replace("//", "//me:s3cret@"))
        assert collect_news().of("Small").new == 1
        assert server.asked == []
        assert {asked.headers.get("Proxy-Authorization") for asked in proxy.asked} == {"Basic bWU6czNjcmV0"}

    def test_a_proxy_is_not_asked_for_private_addresses(self, serve: Any, collect_news: Any, settings: Any) -> None:
        settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.33/32"]
        proxy = serve("127.0.0.33")
        source(url="http://127.0.0.34/feed", proxy=proxy.url(""))
        assert collect_news().of("Small").failure_class == FailureClass.ADDRESS_REFUSED
        assert proxy.asked == []

    def test_the_encoding_that_a_person_sets_overrides_all_others(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        xml = f"<?xml version='1.0' encoding='utf-8'?>{feed(item('/1', 'Новости дня', '1'))}"
        server.answer("/feed", xml.encode("cp1251"), Content_Type="application/rss+xml; charset=utf-8")
        text = page("Новости", "Прилив пришёл. ").replace("<head>", "<head><meta charset='utf-8'>")
        server.answer("/1", text.encode("cp1251"), Content_Type="text/html; charset=utf-8")
        source(url=server.url("/feed"), encoding="windows-1251")
        assert collect_news().of("Small").new == 1
        article = Article.objects.get()
        assert article.title == "Новости дня" and "Прилив пришёл." in article.text

    def test_patterns_and_age_leave_items_out_and_each_is_counted(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        old = "<pubDate>Tue, 24 Nov 2020 08:00:00 GMT</pubDate>"
        server.answer(
            "/feed",
            feed(
                item("/news/1", "Good", "1"),
                item("/sport/2", "Ball", "2"),
                item("/news/3", "Advertorial: soap", "3"),
                item("/news/4", "Old", "4", old),
                item("/news/5", "", "5"),
            ),
        )
        server.answer("/news/1", page("Good", "One."))
        stamp = '<meta property="article:published_time" content="2020-01-01T10:00:00Z">'
        server.answer("/news/5", page("Old page", "Five.", stamp))
        made = source(url=server.url("/feed"), include="/news/", exclude="^advertorial", max_age_days=365)
        result = collect_news().of("Small")
        assert (result.new, result.excluded_by_pattern, result.too_old) == (1, 2, 2)
        server.answer("/sport/2", page("Ball", "Two."))
        Source.objects.filter(pk=made.pk).update(settings={"max_age_days": 365})
        assert collect_news().of("Small").failed + collect_news().of("Small").known > 0
        assert Article.objects.filter(title="Ball").exists(), "a pattern that is gone hides nothing"

    def test_a_first_import_takes_the_newest_and_the_next_poll_what_is_new(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        stories = [
            item(f"/{n}", f"Story {n}", str(n), f"<pubDate>{n} Nov 2026 08:00:00 GMT</pubDate>") for n in range(1, 7)
        ]
        for number in range(1, 7):
            server.answer(f"/{number}", page(f"Story {number}", f"{number}."))
        server.answer("/feed", feed(*stories[:5]))
        source(url=server.url("/feed"), first_import=2)
        first = collect_news().of("Small")
        assert (first.new, first.too_old) == (2, 3)
        server.answer("/feed", feed(*stories))
        second = collect_news().of("Small")
        assert (second.new, second.known) == (1, 5)
        assert set(Article.objects.values_list("title", flat=True)) == {"Story 4", "Story 5", "Story 6"}

    def test_selectors_find_the_parts_and_cut_what_is_not_wanted(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/feed", feed(item("/1", "From the feed", "1")))
        body = "<h1 class='t'>Right title</h1><i id='d'>2026-11-20T10:00:00+01:00</i><b class='by'>Ann Bo</b>"
        body += "<div id='story'><p>First part.</p><p class='ad'>Buy soap!</p><p>Second part.</p></div>"
        server.answer("/1", f"<html><head><title>Wrong</title></head><body>{body}</body></html>")
        source(
            url=server.url("/feed"),
            title_selector="h1.t",
            text_selector="#story",
            date_selector="//i[@id='d']",
            author_selector=".by",
            cut_selectors=".ad\n.gone",
        )
        collected = collect_news()
        assert collected.of("Small").new == 1
        article = Article.objects.get()
        assert (article.title, article.authors, article.published_offset) == ("Right title", ["Ann Bo"], 60)
        assert article.text == "First part.\nSecond part."
        assert "the selector finds nothing on" in collected.log and "cut: .gone" in collected.log

    def test_a_feed_that_brings_the_text_needs_no_page(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        content = (
            '<content:encoded xmlns:content="http://purl.org/rss/1.0/modules/content/">&lt;p&gt;All of it.&lt;/p&gt;'
        )
        server.answer("/feed", feed(item("/1", "Full", "1", f"{content}</content:encoded>"), item("/2", "Short", "2")))
        server.answer("/2", page("Short", "Two."))
        source(url=server.url("/feed"), text_from="source")
        assert collect_news().of("Small").new == 2
        assert Article.objects.get(title="Full").text == "All of it."
        assert server.paths() == ["/feed", "/2"]

    def test_words_of_the_source_stand_for_a_query_that_a_run_lacks(self, serve: Any, collect_news: Any) -> None:
        server = serve()

        async def search(request: web.Request) -> web.Response:
            return web.Response(text=feed(item(f"/{request.query['q']}", "Found", "1")), content_type="text/xml")

        server.routes["/find"] = search
        server.answer("/tide", page("Found", "Tide."))
        source(url=server.url("/find?q={query}"), search_words="tide")
        assert collect_news().of("Small").new == 1
