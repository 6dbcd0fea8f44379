"""The fetcher against real servers: redirects, limits, encodings, cool-downs, who we say we are."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from django.utils import timezone

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.validators import retry_after
from scrapers.models import Host, HostLane

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.anydb]


def failure_of(fetch: Any, url: str) -> CollectError:
    with pytest.raises(CollectError) as error:
        fetch(url)
    return error.value


def test_we_say_who_we_are_and_how_to_reach_us(serve: Any, fetch: Any, settings: Any) -> None:
    settings.NEWSS_CONTACT = "https://news.example/bot"
    server = serve()
    server.answer("/a", "a")
    fetch(server.url("/a"))
    agents = {asked.headers["User-Agent"] for asked in server.asked}
    assert len(agents) == 1
    agent = agents.pop()
    assert agent.startswith("NEWSS/") and agent.endswith("(+https://news.example/bot)")


def test_redirects_are_followed_and_the_last_address_is_told(serve: Any, fetch: Any) -> None:
    first, second = serve("127.0.0.2"), serve("127.0.0.3")
    first.answer("/a", status=301, Location="/b")
    first.answer("/b", status=307, Location=second.url("/c?x=1"))
    second.answer("/c", "here")
    answer = fetch(first.url("/a"))
    assert (answer.body, answer.url) == (b"here", second.url("/c?x=1"))


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "javascript:alert(1)", "", "http://", "http://[::"]
)
def test_a_redirect_to_something_else_than_http_is_refused(target: str, serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/a", status=302, Location=target)
    assert failure_of(fetch, server.url("/a")).failure is FailureClass.BAD_REDIRECT
    assert server.paths() == ["/a"]


def test_redirects_come_to_an_end(serve: Any, fetch: Any) -> None:
    server = serve()
    for number in range(30):
        server.answer(f"/{number}", status=302, Location=f"/{number + 1}")
    server.answer("/circle", status=302, Location="/circle")
    assert failure_of(fetch, server.url("/0")).failure is FailureClass.BAD_REDIRECT
    assert len(server.paths()) == 11
    assert failure_of(fetch, server.url("/circle")).failure is FailureClass.BAD_REDIRECT


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("identity", bytes),
    ],
)
def test_packed_answers_are_unpacked(encoding: str, pack: Any, serve: Any, fetch: Any) -> None:
    server, body = serve(), b"words " * 100_000
    server.answer("/a", pack(body), Content_Encoding=encoding)
    assert fetch(server.url("/a")).body == body


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"this is no gzip"), ("br", b"brotli")])
def test_an_answer_that_cannot_be_unpacked_says_so(encoding: str, body: bytes, serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/a", body, Content_Encoding=encoding)
    assert failure_of(fetch, server.url("/a")).failure is FailureClass.BAD_ANSWER


def test_an_answer_beyond_the_limit_is_stopped(serve: Any, fetch: Any, settings: Any) -> None:
    settings.NEWSS_FETCH_MAX_BYTES = 1_000_000
    server = serve()
    server.answer("/fits", b"x" * 1_000_000)
    server.answer("/big", b"x" * 1_000_001)
    server.answer("/bomb", gzip.compress(b"\0" * 100_000_000), Content_Encoding="gzip")

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        while True:
            try:
                await response.write(b"x" * 50_000)
            except ConnectionResetError:
                return response

    server.routes["/endless"] = endless
    assert len(fetch(server.url("/fits")).body) == 1_000_000
    for path in ("/big", "/bomb", "/endless"):
        assert failure_of(fetch, server.url(path)).failure is FailureClass.TOO_BIG, path


def test_a_server_that_is_silent_or_drips_is_given_up(serve: Any, fetch: Any, settings: Any) -> None:
    server = serve()

    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(300):
            try:
                await response.write(b"x")
            except ConnectionResetError:
                break
            await asyncio.sleep(0.1)
        return response

    server.routes |= {"/silent": silent, "/drip": drip}
    settings.NEWSS_FETCH_SILENCE_SECONDS = 0.3
    assert failure_of(fetch, server.url("/silent")).failure is FailureClass.TIMEOUT
    settings.NEWSS_FETCH_TOTAL_SECONDS = 0.5
    assert failure_of(fetch, server.url("/drip")).failure is FailureClass.TIMEOUT


def test_validators_are_sent_and_a_304_is_an_answer(serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/a", "a", ETag='"1"', Last_Modified="Mon, 23 Nov 2026 10:00:00 GMT")
    first = fetch(server.url("/a"))
    assert (first.etag, first.last_modified) == ('"1"', "Mon, 23 Nov 2026 10:00:00 GMT")
    server.answer("/a", status=304)
    assert fetch(server.url("/a"), etag=first.etag, last_modified=first.last_modified).not_modified
    sent = server.asked[-1].headers
    assert (sent["If-None-Match"], sent["If-Modified-Since"]) == (first.etag, first.last_modified)
    assert failure_of(fetch, server.url("/a")).failure is FailureClass.BAD_ANSWER, "a 304 that nobody asked for"


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_asks_for_it_is_left_alone(status: int, serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/a", status=status, Retry_After="120")
    server.answer("/b", "b")
    assert failure_of(fetch, server.url("/a")).retry_after == timedelta(seconds=120)
    error = failure_of(fetch, server.url("/b"))
    assert (error.failure, server.paths()) == (FailureClass.RATE_LIMITED, ["/a"])
    assert "left alone until" in error.sentence
    HostLane.objects.update(next_slot_at=0)
    Host.objects.update(cool_down_until=timezone.now())
    assert fetch(server.url("/b")).body == b"b"


def test_a_429_without_a_time_is_left_alone_for_a_minute(serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/a", status=429)
    failure_of(fetch, server.url("/a"))
    pause = Host.objects.get().cool_down_until - timezone.now()
    assert timedelta(seconds=50) < pause <= timedelta(seconds=60)


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("0", 0), ("Tue, 24 Nov 2026 12:01:00 GMT", 60), ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
     ("99999999999999", 86400), ("-5", None), ("soon", None), ("", None), ("١٢", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    found = retry_after({"Retry-After": value}, now)
    assert (found.total_seconds() if found is not None else None) == seconds


def test_a_certificate_that_does_not_fit_is_refused(fetch: Any, tmp_path: Any) -> None:
    import ssl
    import subprocess
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"],
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    error = failure_of(fetch, f"https://127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()
    thread.join()
    assert error.failure is FailureClass.TLS
