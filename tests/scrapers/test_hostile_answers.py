"""Answers that no library writes, from a server that sends bytes: whatever one source sends, the others are read."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scrapers import pool
from scrapers.models import Article, ResultStatus, Source
from tests.scrapers.conftest import Collected, LocalServer

pytestmark = pytest.mark.django_db(transaction=True)

STORY = (
    "The ferry came back to the harbour after a long winter, and all of the town stood on the quay to welcome it. "
    "The captain said that the engine had never run as smoothly, and that he would sail again on Monday morning, "
    "whatever the weather."
)


def feed(*links: str) -> str:
    items = "".join(f"<item><title>Story at {link}</title><link>{link}</link></item>" for link in links)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>F</title>{items}</channel></rss>'


def page(title: str, text: str = STORY, head: str = "") -> str:
    return (
        f"<html><head><title>{title}</title>{head}</head><body><article><h1>{title}</h1><p>{text}</p></article></body>"
    )


@pytest.fixture
def raw() -> Iterator[Callable[[bytes], str]]:
    """Return a function that starts a server which answers always the same bytes, and returns its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers: list[asyncio.Server] = []

    def make(answer: bytes) -> str:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                asked = await reader.readuntil(b"\r\n\r\n")
                missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                writer.write(missing if b"/robots.txt" in asked else answer)
                await writer.drain()
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(handle, "127.0.0.3", 0), loop).result(5)
        servers.append(server)
        return f"http://127.0.0.3:{server.sockets[0].getsockname()[1]}/feed"

    yield make
    for server in servers:
        loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def good(serve: Any) -> LocalServer:
    """A source like others, which is read whatever its neighbours do."""
    server: LocalServer = serve()
    server.answer("/feed", feed(server.url("/1")), Content_Type="application/rss+xml")
    server.answer("/1", page("Ferry is back in the harbour"))
    Source.objects.create(name="Good", url=server.url("/feed"))
    return server


ANSWERS = {
    "redirect in bytes": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.3:1\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
    "redirect to a scheme in bytes": b"HTTP/1.1 302 Found\r\nLocation: gopher\xff://x\r\nContent-Length: 0\r\n\r\n",
    "type in bytes": b"HTTP/1.1 200 OK\r\nContent-Type: te\xffxt\r\nContent-Length: 2\r\n\r\nhi",
    "packing in bytes": b"HTTP/1.1 200 OK\r\nContent-Encoding: g\xffp\r\nContent-Length: 2\r\n\r\nhi",
    "status line in bytes": b"HTTP/1.1 200 \xff\xff\r\nContent-Length: x\xff\r\n\r\nhi",
    "no HTTP": b"\xff\xfe\xfd" * 100,
    "header name in bytes": b"HTTP/1.1 200 OK\r\nX\xff: 1\r\nContent-Length: 0\r\n\r\n",
    "retry after in bytes": b"HTTP/1.1 503 No\r\nRetry-After: 1\xff2\r\nContent-Length: 0\r\n\r\n",
    "age of digits": b"HTTP/1.1 200 OK\r\nCache-Control: max-age=%b\r\nContent-Length: 0\r\n\r\n" % (b"9" * 5000),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_no_answer_of_one_source_costs_another_its_articles(
    answer: bytes, raw: Any, good: LocalServer, collect_news: Callable[..., Collected]
) -> None:
    Source.objects.create(name="Bad", url=raw(answer))
    collected = collect_news()
    assert collected.error is None
    assert collected.of("Bad").status == ResultStatus.FAILED
    assert collected.of("Bad").failure_class != "internal"
    assert collected.of("Good").new == 1


@pytest.mark.parametrize("header", [b'ETag: "\xff\xfe"', b"Last-Modified: \xff", b'ETag: "' + b"a" * 600 + b'"'])
def test_validators_in_bytes_do_not_keep_a_source_from_being_read(
    header: bytes, raw: Any, collect_news: Callable[..., Collected]
) -> None:
    body = feed().encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n%b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    source = Source.objects.create(name="Bad", url=raw(head % (header, len(body)) + body))
    for _poll in range(2):
        collected = collect_news()
        assert collected.of("Bad").status in (ResultStatus.OK, ResultStatus.NOT_MODIFIED), collected.of("Bad").error
    source.refresh_from_db()
    assert source.last_error == ""


def test_pages_that_all_name_one_canonical_address_are_not_one_article(
    serve: Any, collect_news: Callable[..., Collected]
) -> None:
    server: LocalServer = serve()
    link = f'<link rel="canonical" href="{server.url("/news")}">'
    texts = {
        "/1": ("Ferry is back in the harbour", STORY),
        "/2": (
            "Council votes for the new bridge",
            "The council voted for a bridge over the river on Tuesday evening, after eleven years of debate. Work is "
            "to begin in spring, and it will cost forty million, of which the canton pays a half, said the mayor. "
            "Nobody from the harbour spoke against it.",
        ),
    }
    for path, (title, text) in texts.items():
        server.answer(path, page(title, text, link))
    items = "".join(
        f"<item><title>{title}</title><link>{server.url(path)}</link></item>" for path, (title, _) in texts.items()
    )
    body = f'<?xml version="1.0"?><rss version="2.0"><channel><title>F</title>{items}</channel></rss>'
    server.answer("/feed", body, Content_Type="text/xml")
    Source.objects.create(name="Small", url=server.url("/feed"))
    assert collect_news().of("Small").new == 2
    assert set(Article.objects.values_list("title", flat=True)) == {title for title, _text in texts.values()}
    collect_news()
    assert (server.paths().count("/1"), server.paths().count("/2")) == (1, 1)


ENDLESS = {
    "lines before the feed": b"<?xml version='1.0'?>" + b"\n" * 300_000 + b"<rss version='2.0'><channel/></rss>",
    "an address of mail": b"<rss version='2.0'><channel><item><author>" + b"a." * 150_000 + b"</author></item>",
    "elements in elements": b"<rss version='2.0'><channel>" + b"<a><b><c>" * 30_000,
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_a_feed_whose_reading_takes_for_ever_ends_as_a_failure_of_its_own(
    body: bytes, good: LocalServer, collect_news: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LISTING_LIMITS", 0.1)
    good.answer("/endless", body, Content_Type="text/xml")
    Source.objects.create(name="Bad", url=good.url("/endless"))
    collected = collect_news()
    assert collected.of("Bad").failure_class == "bad_answer"
    assert collected.of("Good").new == 1


def test_large_answers_of_each_kind_are_read(good: LocalServer, collect_news: Callable[..., Collected]) -> None:
    numbers, title = range(40), "A title of a length that makes of all of them more than a little " * 8
    links = [good.url(f"/large/{number}") for number in numbers]
    good.answer("/feed.xml", feed(*(f"{link}?{title.replace(' ', '-')}" for link in links)))
    good.answer("/api", json.dumps({"items": [{"url": link, "title": title + link} for link in links]}))
    good.answer("/list", "".join(f"<h2 title='{title}'><a href='{link}'>{title}</a></h2>" for link in links))
    locations = "".join(f"<url><loc>{link}?{title.replace(' ', '-')}</loc></url>" for link in links)
    good.answer("/map", f"<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>{locations}</urlset>")
    good.answer("/page", page("No feed", STORY * 200))
    kinds = {"/feed.xml": "feed", "/api": "json_api", "/list": "listing", "/map": "sitemap", "/page": "feed"}
    for path, kind in kinds.items():
        options = {"items": "h2"} if kind == "listing" else {}
        Source.objects.create(name=path, url=good.url(path), kind=kind, options=options)
    collected = collect_news(limit=1)
    for path in set(kinds) - {"/page"}:
        assert collected.of(path).seen == len(numbers), path
    assert collected.of("/page").failure_class == "not_a_feed"
