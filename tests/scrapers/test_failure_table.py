"""Each class of failure as it really comes about: what a run makes of it, and what that counts against the source."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from django.utils import timezone

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.models import Article, ResultStatus, Source
from scrapers.outage import ALL_LOST_LEAST, forgive
from scrapers.polling import DAY
from tests.scrapers.conftest import Collected, LocalServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

HARD, SOFT, PASSING, NOTHING = 1.0, 0.5, 0.25, 0.0
#: What each class counts. Only `OFFLINE` does not come from a server: `test_politeness` and below.
WEIGHTS = {
    FailureClass.UNAUTHORIZED: HARD,
    FailureClass.FORBIDDEN: HARD,
    FailureClass.GONE: HARD,
    FailureClass.CLIENT_ERROR: HARD,
    FailureClass.TOO_BIG: HARD,
    FailureClass.ROBOTS: HARD,
    FailureClass.SPIDER: HARD,
    FailureClass.NO_BROWSER: HARD,
    FailureClass.NO_MATCH: HARD,
    FailureClass.NO_SECRET: HARD,
    FailureClass.NOT_A_PAGE: HARD,
    FailureClass.NO_ADDRESS: HARD,
    FailureClass.BAD_ADDRESS: HARD,
    FailureClass.ADDRESS_REFUSED: HARD,
    FailureClass.BAD_REDIRECT: HARD,
    FailureClass.NOT_FOUND: SOFT,
    FailureClass.RATE_LIMITED: SOFT,
    FailureClass.SERVER_ERROR: SOFT,
    FailureClass.DNS: SOFT,
    FailureClass.TLS: SOFT,
    FailureClass.TIMEOUT: SOFT,
    FailureClass.NOT_A_FEED: SOFT,
    FailureClass.BAD_ANSWER: SOFT,
    FailureClass.EMPTY: SOFT,
    FailureClass.CHALLENGE: SOFT,
    FailureClass.CONNECTION: PASSING,
    FailureClass.REFUSED: PASSING,
    FailureClass.INTERNAL: PASSING,
    FailureClass.NO_TEXT: PASSING,
    FailureClass.NO_QUERY: NOTHING,
}
STATUSES = {
    FailureClass.UNAUTHORIZED: 401,
    FailureClass.FORBIDDEN: 403,
    FailureClass.NOT_FOUND: 404,
    FailureClass.GONE: 410,
    FailureClass.CLIENT_ERROR: 418,
    FailureClass.RATE_LIMITED: 429,
    FailureClass.SERVER_ERROR: 502,
}


def feed(link: str) -> str:
    return f"<rss version='2.0'><channel><title>F</title><item><title>Story</title>{link}</item></channel></rss>"


def world(serve: Callable[..., LocalServer]) -> dict[FailureClass, dict[str, Any]]:
    """Return a source for each class, on a server of its own, so that no cool-down meets another."""
    numbers = iter(range(1, 200))

    def server() -> LocalServer:
        return serve(f"127.0.7.{next(numbers)}")

    def answering(body: str | bytes = "", status: int = 200, **headers: str) -> dict[str, Any]:
        made = server()
        made.answer("/feed", body, status, **headers)
        return {"url": made.url("/feed")}

    def with_page(body: str | bytes, **headers: str) -> dict[str, Any]:
        made = server()
        made.answer("/feed", feed("<link>/a</link>"))
        made.answer("/a", body, **headers)
        return {"url": made.url("/feed")}

    def handled(handler: Any) -> dict[str, Any]:
        made = server()
        made.routes["/feed"] = handler
        return {"url": made.url("/feed")}

    async def hanging(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "10"})
        await response.prepare(request)
        while request.transport is not None:
            await asyncio.sleep(0.1)
        return response

    async def broken(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    working = server()
    working.answer("/", "x")
    forbidding = server()
    forbidding.answer("/robots.txt", "User-agent: *\nDisallow: /")
    json = {"kind": "json_api", "options": {"items": "items", "link": "url"}}
    spider = {"spider": "not.allowed.Spider", "arguments": "", "begin_here": True, "most": 1, "seconds": 1}
    return {
        **{failure: answering("sorry", status) for failure, status in STATUSES.items()},
        FailureClass.DNS: {"url": "http://nowhere.invalid/feed"},
        FailureClass.REFUSED: {"url": "http://127.0.7.250:1/feed"},
        FailureClass.CONNECTION: handled(broken),
        FailureClass.TIMEOUT: handled(hanging),
        FailureClass.TLS: {"url": server().url("/feed").replace("http:", "https:")},
        FailureClass.CHALLENGE: answering("<html>", 403, cf_mitigated="challenge"),
        FailureClass.BAD_ANSWER: answering("x", Content_Encoding="br"),
        FailureClass.TOO_BIG: answering(b"x" * 300_000),
        FailureClass.ROBOTS: {"url": forbidding.url("/feed")},
        FailureClass.EMPTY: answering(" \n"),
        FailureClass.NOT_A_FEED: answering("<html><body>Welcome</body></html>"),
        FailureClass.SPIDER: {"url": server().url("/"), "kind": "scrapy_spider", "options": spider},
        FailureClass.NO_BROWSER: {**answering(feed("")), "settings": {"javascript": "yes"}},
        FailureClass.NO_MATCH: {**answering('{"news": []}'), **json},
        FailureClass.NO_SECRET: {**answering(feed("")), "settings": {"headers": {"X-Key": "env:NEWSS_SECRET_NONE"}}},
        FailureClass.NO_QUERY: {"url": server().url("/feed?q={query}")},
        FailureClass.NOT_A_PAGE: with_page(b"\x89PNG", Content_Type="image/png"),
        FailureClass.NO_TEXT: with_page("<html><body></body></html>"),
        FailureClass.NO_ADDRESS: answering(feed("")),
        FailureClass.BAD_ADDRESS: {"url": "http://127.0.7.251:99999/"},
        FailureClass.ADDRESS_REFUSED: {"url": "http://10.255.255.1/feed"},
        FailureClass.BAD_REDIRECT: answering(status=302, Location="/feed"),
        FailureClass.INTERNAL: {"url": working.url("/"), "kind": "custom.lines", "options": {"most": 1, "fail": True}},
    }


def test_each_class_comes_about_is_told_in_words_and_counts_as_it_should(
    serve: Callable[..., LocalServer],
    collect_news: Callable[..., Collected],
    settings: Any,
    subtests: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.NEWSS_FETCH_MAX_BYTES = 200_000
    settings.NEWSS_FETCH_SILENCE_SECONDS = 4.0
    original = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return original(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("scrapers.collect.missing", lambda: "JavaScript pages need Chromium.")
    sources = world(serve)
    assert set(sources) == set(WEIGHTS) == set(FailureClass) - {FailureClass.OFFLINE}
    for failure, values in sources.items():
        Source.objects.create(name=str(failure), **values)
    began = timezone.now()
    collected = collect_news()
    for failure in sources:
        with subtests.test(str(failure)):
            result = collected.of(str(failure))
            source = Source.objects.get(name=str(failure))
            assert (result.status, result.failure_class) == (ResultStatus.FAILED, failure)
            assert result.error.strip() and not result.error.startswith("{")
            assert failure.weight == WEIGHTS[failure] or failure is FailureClass.NO_QUERY
            assert source.failure_score == WEIGHTS[failure]
            if WEIGHTS[failure]:
                assert source.next_poll_at is not None and source.failing_since is not None
                wait = (source.next_poll_at - began).total_seconds()
                assert 0.9 * WEIGHTS[failure] * 1800 <= wait < WEIGHTS[failure] * 1800 + 120
                assert source.health == ("paused" if failure is FailureClass.GONE else "failing")
    assert not Article.objects.exists()


def test_a_source_that_fails_for_ever_is_asked_once_a_day_and_never_dropped(
    serve: Callable[..., LocalServer], collect_news: Callable[..., Collected]
) -> None:
    server = serve()
    server.answer("/feed", status=404)
    Source.objects.create(name="Lost", url=server.url("/feed"))
    waits = []
    for _ in range(12):
        began = timezone.now()
        collect_news()
        due = Source.objects.get().next_poll_at
        assert due is not None
        waits.append((due - began).total_seconds())
    assert len(server.paths()) == 12
    growing, daily = waits[:7], waits[8:]
    assert growing == sorted(growing) and growing[-1] < DAY / 2
    assert all(0.89 * DAY < wait < DAY + 120 for wait in daily)
    source = Source.objects.get()
    assert source.enabled and source.paused_at is None and source.is_failing_for_long


@pytest.fixture
def cable_is_cut(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name that ends with `.invalid` can be found, for now."""
    settings.NEWSS_OFFLINE_WAIT_SECONDS = 0.1
    original = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        if str(host).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return original(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.usefixtures("cable_is_cut")
@pytest.mark.parametrize("fewer", [False, True])
def test_without_control_addresses_many_hosts_that_are_all_out_of_reach_tell_of_our_connection(
    fewer: bool, collect_news: Callable[..., Collected]
) -> None:
    for number in range(4 if fewer else 6):
        Source.objects.create(name=f"Paper {number}", url=f"http://paper{number}.invalid/feed")
    collected = collect_news()
    found = {result.failure_class for result in collected.run.source_results.all()}
    if fewer:
        assert found == {FailureClass.DNS}
        assert Source.objects.failing().count() == 4
        return
    assert FailureClass.OFFLINE in found
    # Those that were asked before there were enough of them to tell are not blamed either.
    assert not Source.objects.failing().exists()
    assert {source.health for source in Source.objects.all()} == {"new"}
    # One that is refused was reached: then our connection stands, and each host is to blame itself.
    Source.objects.create(name="Refused", url="http://127.0.7.252:1/feed")
    collected = collect_news()
    assert collected.of("Refused").failure_class == FailureClass.REFUSED


@pytest.mark.usefixtures("cable_is_cut")
def test_runs_of_one_source_each_tell_together_of_our_connection(collect_news: Callable[..., Collected]) -> None:
    for number in range(ALL_LOST_LEAST + 1):
        Source.objects.create(name=f"Paper {number}", url=f"http://paper{number}.invalid/feed")
    found = [
        collect_news(sources=[source.pk]).of(source.name).failure_class for source in Source.objects.order_by("name")
    ]
    assert found == [FailureClass.DNS] * (ALL_LOST_LEAST - 1) + [FailureClass.OFFLINE] * 2
    assert not Source.objects.failing().exists()


def test_what_our_connection_cost_is_taken_back_once_and_nothing_else() -> None:
    now = timezone.now()
    late, refused = (CollectError(failure, "Out of reach.") for failure in (FailureClass.TIMEOUT, FailureClass.REFUSED))
    names = ("Good", "Failing", "Refused", "Long ago", "Not found")
    good, failing, busy, long_ago, missing = (
        Source.objects.create(name=name, url=f"http://{name.replace(' ', '-')}.example/") for name in names
    )
    good.polled(etag="", last_modified="")
    good.failed(late)
    failing.failed(CollectError(FailureClass.SERVER_ERROR, "500."), at=now - timedelta(hours=1))
    failing.failed(late)
    busy.failed(refused)
    long_ago.failed(late, at=now - timedelta(minutes=2))
    missing.failed(CollectError(FailureClass.NOT_FOUND, "404."))
    assert forgive(now) == 3
    assert forgive(now) == 0, "nothing is taken back twice"
    rows = Source.objects.values_list("name", "consecutive_failures", "failure_score", "last_failure_class")
    assert set(rows) == {
        ("Good", 0, 0.0, ""),
        ("Failing", 1, 0.5, FailureClass.OFFLINE),
        ("Refused", 0, 0.0, ""),
        ("Long ago", 1, 0.5, FailureClass.TIMEOUT),
        ("Not found", 1, 0.5, FailureClass.NOT_FOUND),
    }
    failing.refresh_from_db()
    assert failing.failing_since == now - timedelta(hours=1) and failing.next_poll_at is None


def test_403_that_means_busy_leaves_the_rest_for_later_and_passes_nothing_over(
    serve: Callable[..., LocalServer], collect_news: Callable[..., Collected], settings: Any
) -> None:
    settings.NEWSS_COOL_DOWN_HOSTS = False
    server = serve()
    items = "".join(f"<item><title>Story {n}</title><link>/{n}</link></item>" for n in range(20))
    server.answer("/feed", f"<rss version='2.0'><channel><title>F</title>{items}</channel></rss>")
    for number in range(20):
        server.answer(f"/{number}", status=403)
    source = Source.objects.create(name="Busy", url=server.url("/feed"), forbidden_is_busy=True)
    result = collect_news().of("Busy")
    assert (result.failed, result.failure_class) == (20, FailureClass.RATE_LIMITED)
    assert len(server.paths()) <= 1 + 8, "those that were under way, and no more"
    assert not source.passed_items.exists()
    source.refresh_from_db()
    assert source.not_before is not None and source.not_before > timezone.now() + timedelta(seconds=30)
