"""Collecting end to end, from the sample site and from small servers, into the database."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from scheduling.models import Tag
from scrapers.fetch.failures import FailureClass
from scrapers.models import Article, ArticleSource, HostLane, ResultStatus, Source, SourceResult
from tests.scrapers.conftest import Collected, execute, running_context
from tests.site import HEALTHY, OUTLETS, SiteServer

pytestmark = pytest.mark.django_db(transaction=True)

PARAGRAPH = "The tide came over the quay in the small hours and left again before anybody had found their boots. "


@pytest.fixture
def sources(site: SiteServer) -> dict[str, Source]:
    return {key: Source.objects.create(name=outlet.name, url=site.feed_url(key)) for key, outlet in OUTLETS.items()}


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_every_story_of_the_healthy_outlets_is_stored_as_it_is(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    collected = collect_news()
    for outlet in HEALTHY:
        for story in site.stories(outlet.key):
            article = Article.objects.get(url=story.url)
            assert article.title == story.title
            assert article.published_at == story.published
            assert article.authors == list(story.authors)
            assert article.summary == story.summary
            assert article.language == story.language
            assert article.first_run == collected.run
            assert article.sources.get() == sources[outlet.key]
            truth, found = words(story.text), words(article.text)
            assert len(set(truth) & set(found)) / len(set(truth)) > 0.95, story.url
            assert len(found) < len(truth) * 1.15, "no navigation, adverts and related links"


def test_one_source_that_fails_fails_no_other_and_the_run_says_which_and_why(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    collected = collect_news()
    assert collected.result is not None and collected.result.partial
    assert collected.result.outcome.startswith("2 of 6 sources failed: Broken Press: ")
    assert collected.result.error_class in (FailureClass.SERVER_ERROR, FailureClass.ROBOTS)
    assert "answered 500" in collected.result.outcome and "robots.txt" in collected.result.outcome
    assert "new articles from 4 sources" in collected.result.outcome
    assert collected.of("Broken Press").failure_class == FailureClass.SERVER_ERROR
    assert collected.of("Broken Press").http_status == 500
    assert collected.of("The Private Ledger").failure_class == FailureClass.ROBOTS
    assert site.requests("ledger") == ["/robots.txt"]
    for key in ("courier", "upland", "signal"):
        result = collected.of(OUTLETS[key].name)
        assert (result.status, result.http_status, result.seen, result.new) == (ResultStatus.OK, 200, 8, 8)
        assert (result.requests, result.bytes_received > 5000) == (10, True)
    assert sources["broken"].__class__.objects.get(pk=sources["broken"].pk).health == "failing"
    assert collected.result.summary["new"] == Article.objects.count()
    assert collected.run.progress_done == collected.run.progress_total == 6
    assert "Broken Press: 127.0.0.14 answered 500" in collected.log


def test_a_second_run_gets_304s_and_fetches_no_article_again(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    chosen = [sources[outlet.key].pk for outlet in HEALTHY]
    collect_news(sources=chosen)
    before = Article.objects.count()
    site.reset()
    again = collect_news(sources=chosen)
    assert {result.status for result in SourceResult.objects.filter(run=again.run)} == {ResultStatus.NOT_MODIFIED}
    assert again.result is not None and again.result.outcome == "Nothing new from 3 sources."
    for outlet in HEALTHY:
        assert site.requests(outlet.key) == [outlet.feed_path]
    assert Article.objects.count() == before


def test_a_feed_without_validators_is_read_again_but_no_article_is(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    collect_news(sources=[sources["courier"].pk])
    Source.objects.update(validators_key="")
    site.reset()
    result = collect_news(sources=[sources["courier"].pk]).of("The Harbour Courier")
    assert (result.status, result.seen, result.known) == (ResultStatus.OK, 8, 8)
    assert site.requests("courier") == ["/feed.rss"]


@pytest.mark.parametrize("key", ["courier", "upland", "signal"])
def test_an_updated_story_is_fetched_again_and_updated_not_doubled(
    key: str, site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    collect_news(sources=[sources[key].pk])
    story = site.stories(key)[2]
    before = Article.objects.get(url=story.url)
    extra = "Late in the evening the harbour master added that nothing of the sort had been seen since the great storm."
    site.update_story(key, story.slug, extra)
    site.reset()
    result = collect_news(sources=[sources[key].pk]).of(OUTLETS[key].name)
    assert (result.updated, result.known, result.new) == (1, 7, 0)
    assert len(site.requests(key)) == 2, "the feed and the one page"
    after = Article.objects.get(url=story.url)
    assert "the great storm" in after.text and "the great storm" not in before.text
    assert (after.pk, after.published_at, after.created_at) == (before.pk, before.published_at, before.created_at)
    assert after.updated_at > before.updated_at
    assert Article.objects.count() == 8
    Source.objects.update(validators_key="")
    assert collect_news(sources=[sources[key].pk]).of(OUTLETS[key].name).known == 8


def test_tags_choose_sources_and_names_do_as_well_as_keys(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    tag = Tag.objects.create(name="harbour")
    sources["courier"].tags.add(tag)
    collected = collect_news(tags=["harbour"], sources=["Upland Review"], limit=1)
    assert set(collected.run.source_results.values_list("source_name", flat=True)) == {
        "The Harbour Courier",
        "Upland Review",
    }


def test_a_source_that_is_off_is_not_polled(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    Source.objects.update(enabled=False)
    collected = collect_news(sources=[sources["courier"].pk])
    assert collected.result is not None and "no enabled source" in collected.result.outcome
    assert site.requests("courier") == []


def test_a_limit_leaves_the_rest_for_the_next_run(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    chosen = [sources["courier"].pk]
    first = collect_news(sources=chosen, limit=3).of("The Harbour Courier")
    assert (first.seen, first.new, first.over_limit) == (8, 3, 5)
    second = collect_news(sources=chosen, limit=3).of("The Harbour Courier")
    assert (second.new, second.known, second.over_limit) == (3, 3, 2)
    assert collect_news(sources=chosen).of("The Harbour Courier").new == 2
    assert Article.objects.count() == 8


def test_a_query_keeps_what_it_asks_for_and_hides_nothing_from_others(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    chosen, story = [sources["courier"].pk], site.stories("courier")[0]
    query = f'"{" ".join(story.title.split()[:3])}"'
    first = collect_news(sources=chosen, query=query).of("The Harbour Courier")
    assert first.new >= 1 and first.new + first.excluded == 8
    site.reset()
    again = collect_news(sources=chosen, query=query).of("The Harbour Courier")
    assert again.status == ResultStatus.NOT_MODIFIED
    everything = collect_news(sources=chosen).of("The Harbour Courier")
    assert everything.new == 8 - first.new
    assert Article.objects.count() == 8


def test_pages_that_a_query_excluded_are_not_fetched_again_for_it(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    chosen = [sources["courier"].pk]
    collect_news(sources=chosen, query="xylophonist")
    Source.objects.update(validators_key="")
    site.reset()
    result = collect_news(sources=chosen, query="xylophonist").of("The Harbour Courier")
    assert (result.known, site.requests("courier")) == (8, ["/feed.rss"])


def test_an_excluding_word_in_the_title_saves_the_page(
    site: SiteServer, sources: dict[str, Source], collect_news: Callable[..., Collected]
) -> None:
    story = site.stories("courier")[0]
    collect_news(sources=[sources["courier"].pk], query=f'-"{story.title}"')
    assert Article.objects.count() == 7
    assert not any(story.slug in path for path in site.requests("courier"))


def test_a_run_that_is_cancelled_stops_soon_and_keeps_what_it_has(site: SiteServer, sources: dict[str, Source]) -> None:
    Source.objects.exclude(pk=sources["courier"].pk).delete()
    context = running_context()

    def cancel_after_the_first_article() -> None:
        from django.db import connection

        deadline = time.monotonic() + 20
        while not Article.objects.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        context.request_cancel()
        cancelled.append(time.monotonic())
        connection.close()

    cancelled: list[float] = []
    thread = threading.Thread(target=cancel_after_the_first_article)
    thread.start()
    site._service.slow = 0.0
    from django.conf import settings

    settings.NEWSS_HOST_DELAY_SECONDS = 0.5
    collected = execute(context)
    thread.join()
    assert time.monotonic() - cancelled[0] < 3
    result = collected.of("The Harbour Courier")
    assert result.status == ResultStatus.CANCELLED
    assert 0 < Article.objects.count() < 8
    assert not HostLane.objects.exclude(holder="").exists()


def test_a_run_that_starts_again_replaces_its_results(site: SiteServer, sources: dict[str, Source]) -> None:
    context = running_context(sources=["The Harbour Courier"])
    execute(context)
    again = execute(type(context)(context_run(context)))
    assert again.of("The Harbour Courier").status == ResultStatus.NOT_MODIFIED


def context_run(context: Any) -> Any:
    from scheduling.models import Run

    return Run.objects.get(pk=context.run_id)


def page(title: str, text: str, head: str = "") -> str:
    body = "".join(f"<p>{text} {PARAGRAPH * 3}</p>" for _ in range(3))
    main = f"<body><article><h1>{title}</h1>{body}</article></body>"
    return f"<html lang='en'><head><title>{title}</title>{head}</head>{main}</html>"


def feed(*items: str) -> str:
    return f"<rss version='2.0'><channel><title>F</title>{''.join(items)}</channel></rss>"


def item(path: str, title: str = "A story", guid: str = "", extra: str = "") -> str:
    identity = f"<guid isPermaLink='false'>{guid}</guid>" if guid else ""
    return f"<item><title>{title}</title><link>{path}</link>{identity}{extra}</item>"


def add(server: Any, name: str = "Small", path: str = "/feed") -> Source:
    return Source.objects.create(name=name, url=server.url(path))


def test_a_story_under_two_addresses_of_one_site_is_stored_once(serve: Any, collect_news: Any) -> None:
    server = serve()
    link = f"<link rel='canonical' href='{server.url('/story')}'>"
    server.answer("/feed", feed(item("/amp/story", guid="1"), item("/print/story?utm_source=x", guid="2")))
    for path in ("/amp/story", "/print/story"):
        server.answer(path, page("A story", "One.", link))
    add(server)
    result = collect_news().of("Small")
    assert (result.seen, result.new, result.duplicate) == (2, 1, 1)
    assert Article.objects.get().url == server.url("/story")
    before = len(server.asked)
    Source.objects.update(validators_key="")
    assert collect_news().of("Small").known == 2
    assert len(server.asked) == before + 1, "neither page is fetched again"


def test_the_same_story_in_two_sources_is_one_article_seen_in_both(serve: Any, collect_news: Any) -> None:
    server, other = serve("127.0.0.2"), serve("127.0.0.3")
    server.answer("/feed", feed(item(server.url("/story"))))
    server.answer("/top", feed(item(server.url("/story"), guid="x")))
    other.answer("/feed", feed(item(other.url("/copy"))))
    server.answer("/story", page("A story", "Same words."))
    other.answer("/copy", page("A story", "Same words."))
    for name, source in {"One": (server, "/feed"), "Two": (server, "/top"), "Three": (other, "/feed")}.items():
        add(source[0], name, source[1])
        collected = collect_news(sources=[name])
        assert collected.of(name).new == (name == "One")
        assert collected.of(name).duplicate == (name != "One")
    assert set(Article.objects.get().sources.values_list("name", flat=True)) == {"One", "Two", "Three"}
    assert ArticleSource.objects.count() == 3


def test_a_page_that_fails_is_counted_and_tried_again_only_if_that_can_help(serve: Any, collect_news: Any) -> None:
    server = serve()
    items = [item(f"/{name}", title=name, guid=name) for name in ("good", "gone", "later", "pdf", "private", "blank")]
    server.answer("/robots.txt", "User-agent: *\nDisallow: /private\n")
    server.answer("/feed", feed(*items, item("javascript:alert(1)", guid="js")), ETag='"1"')
    server.answer("/good", page("good", "Good."))
    server.answer("/gone", status=410)
    server.answer("/later", status=502)
    server.answer("/pdf", b"%PDF", Content_Type="application/pdf")
    server.answer("/blank", "<html><body></body></html>")
    add(server)
    collected = collect_news()
    result = collected.of("Small")
    assert (result.status, result.seen, result.new, result.failed, result.forbidden) == ("ok", 7, 1, 5, 1)
    assert collected.result.outcome == "1 new article from 1 source. 5 articles could not be fetched."
    assert "“gone”: 127.0.0.1 answered 410" in collected.log
    server.asked.clear()
    server.answer("/later", page("later", "Later."))
    result = collect_news().of("Small")
    assert (result.new, result.known) == (1, 6)
    assert server.paths() == ["/feed", "/later"]
    assert "If-None-Match" not in server.asked[0].headers, "what was left must come again"
    server.asked.clear()
    collect_news()
    assert server.asked[0].headers["If-None-Match"] == '"1"'


def test_a_source_none_of_whose_articles_can_be_had_has_failed(serve: Any, collect_news: Any) -> None:
    server = serve()
    server.answer("/feed", feed(item("/1", guid="1"), item("/2", guid="2")))
    source = add(server)
    collected = collect_news()
    assert collected.error is not None and "None of its 2 articles" in str(collected.error)
    assert collected.of("Small").failure_class == FailureClass.NOT_FOUND
    source.refresh_from_db()
    assert source.health == "failing"


def test_all_sources_failing_fails_the_run_in_a_sentence(serve: Any, collect_news: Any) -> None:
    server = serve()
    server.answer("/html", "<html>We moved</html>")
    for number in range(5):
        add(server, f"S{number}", f"/{number}")
    add(server, "S5", "/html")
    collected = collect_news()
    assert str(collected.error).startswith("All 6 sources failed: S0: 127.0.0.1 answered 404")
    assert str(collected.error).endswith("And 3 more.")


def test_a_fault_of_ours_in_one_source_is_its_failure_alone(
    serve: Any, collect_news: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    server.answer("/feed", feed(item("/1", guid="1")))
    server.answer("/bad", feed(item("/1", guid="1")))
    server.answer("/1", page("A story", "One."))
    add(server, "Good"), add(server, "Bad", "/bad")
    from scrapers.kinds.feed import FeedKind

    original = FeedKind.read

    def read(self: Any, body: bytes, *, url: str, content_type: str) -> Any:
        if url.endswith("/bad"):
            raise ZeroDivisionError("a bug")
        return original(self, body, url=url, content_type=content_type)

    monkeypatch.setattr(FeedKind, "read", read)
    collected = collect_news()
    assert collected.of("Bad").failure_class == FailureClass.INTERNAL
    assert collected.of("Good").new == 1
    assert "ZeroDivisionError: a bug" in caplog.text


def test_rubbish_that_a_database_cannot_hold_is_stored_without_it(serve: Any, collect_news: Any) -> None:
    server = serve()
    server.answer(
        "/feed",
        '{"version": "https://jsonfeed.org/version/1", "items": [{"id": "a\\u0000b\\ud800", "url": "/x",'
        ' "title": "Ti\\u0000tle \\ud83d", "authors": [{"name": "A\\u0000nn"}]}]}'.replace(
            '"/x"', f'"{server.url("/x")}"'
        ),
        Content_Type="application/json",
    )
    server.answer("/x", page("Nul\0l", "Te\0xt."))
    add(server)
    assert collect_news().of("Small").new == 1
    article = Article.objects.get()
    assert (article.title.strip(), article.authors) == ("Title", ["Ann"])


def test_the_entry_comes_before_the_page_and_the_page_fills_what_is_missing(serve: Any, collect_news: Any) -> None:
    server = serve()
    head = (
        '<script type="application/ld+json">{"@context": "https://schema.org", "@type": "NewsArticle", '
        '"datePublished": "2026-11-20T10:00:00+02:00",'
        '"author": {"@type": "Person", "name": "Bo Page"}}</script><meta property="og:image" content="/i.jpg">'
    )
    date = "<pubDate>Tue, 24 Nov 2026 08:00:00 +0530</pubDate>"
    server.answer("/feed", feed(item("/given", "From the feed", "1", date), item("/bare", "", "2")))
    server.answer("/given", page("From the page", "Given.", head))
    server.answer("/bare", page("From the page", "Bare.", head))
    add(server)
    collect_news()
    given = Article.objects.get(url__endswith="/given")
    assert (given.title, given.published_offset) == ("From the feed", 330)
    assert given.published_at == datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
    bare = Article.objects.get(url__endswith="/bare")
    assert (bare.title, bare.authors, bare.image_url) == ("From the page", ["Bo Page"], server.url("/i.jpg"))
    assert (bare.published_at, bare.published_offset) == (datetime(2026, 11, 20, 8, tzinfo=UTC), 120)


def test_a_time_in_the_far_future_is_not_believed(serve: Any, collect_news: Any) -> None:
    server = serve()
    later = (timezone.now() + timedelta(days=3650)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    server.answer("/feed", feed(item("/a", "A", "1", f"<pubDate>{later}</pubDate>")))
    server.answer("/a", page("A", "A."))
    add(server)
    collect_news()
    assert Article.objects.get().published_at is None


@pytest.mark.parametrize("items", [(), ("/1", "/2"), ("/1", "/missing"), ("/missing",)])
def test_a_source_that_is_deleted_while_it_is_polled_harms_nobody(
    items: tuple[str, ...], serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    server.answer("/feed", feed(*(item(path, guid=path) for path in items)))
    for path in ("/1", "/2"):
        server.answer(path, page("A story", f"About {path}."))
    source = add(server)
    context = running_context()
    from scrapers import collect as module
    from scrapers.query import Query

    Source.objects.all().delete()
    result = module.collect(context, [source], Query())[0]
    assert (result.source, result.source_name) == (None, "Small")
    # What could not be linked to it was not stored; that it is gone is no fault of ours.
    assert result.status == (ResultStatus.CANCELLED if items else ResultStatus.OK), result.error
    assert "Traceback" not in caplog.text and not Article.objects.exists()
