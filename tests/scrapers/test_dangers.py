"""What hostile servers try, over real connections: inward redirects and names, bombs, drips, entities, odd schemes."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scrapers import conf
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds.sitemap import read_sitemap
from scrapers.models import Article, ArticleSource, ResultStatus, Source
from scrapers.opml import OpmlError, read
from tests.scrapers.conftest import Collected, LocalServer

#: One address of each range that is nobody's public web server.
INWARD = {
    "private 10": "10.0.0.1",
    "private 172": "172.16.0.1",
    "private 192": "192.168.0.1",
    "loopback": "127.0.0.9",
    "this network": "0.0.0.0",
    "link-local": "169.254.7.7",
    "metadata": "169.254.169.254",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Azure": "168.63.129.16",
    "CGNAT": "100.64.0.1",
    "multicast": "224.0.0.1",
    "broadcast": "255.255.255.255",
    "benchmarks": "198.18.0.1",
    "documentation": "192.0.2.1",
    "IPv6 loopback": "::1",
    "IPv6 ULA": "fd00:ec2::254",
    "IPv6 link-local": "fe80::1",
    "IPv6 multicast": "ff02::1",
    "IPv4-mapped": "::ffff:169.254.169.254",
    "IPv4-compatible": "::127.0.0.1",
    "NAT64": "64:ff9b::a9fe:a9fe",
    "local NAT64": "64:ff9b:1::a00:1",
    "6to4": "2002:a9fe:a9fe::",
    "Teredo": "2001:0:4136:e378:8000:63bf:5601:5656",
}
ranges = pytest.mark.parametrize("address", INWARD.values(), ids=INWARD)


def refused(fetch: Any, url: str) -> CollectError:
    with pytest.raises(CollectError) as error:
        fetch(url)
    return error.value


@pytest.fixture
def outside(serve: Any, settings: Any) -> LocalServer:
    """A server that may be asked; nothing else may."""
    server: LocalServer = serve("127.0.0.2")
    settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.2/32"]
    return server


@pytest.mark.django_db(transaction=True)
class TestInward:
    @pytest.mark.anydb
    @ranges
    def test_no_redirect_leads_there(self, address: str, outside: LocalServer, fetch: Any) -> None:
        shown = f"[{address}]" if ":" in address else address
        outside.answer("/", status=302, Location=f"http://{shown}/latest/meta-data/")
        assert refused(fetch, outside.url("/")).failure is FailureClass.ADDRESS_REFUSED

    @pytest.mark.anydb
    @ranges
    def test_no_name_leads_there(
        self, address: str, outside: LocalServer, fetch: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        original = socket.getaddrinfo

        def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            if host != "inward.example":
                return original(host, port, *args, **options)
            place = (address, port, 0, 0) if ":" in address else (address, port)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        error = refused(fetch, "http://inward.example/")
        assert error.failure is FailureClass.ADDRESS_REFUSED and "inward.example" in error.sentence

    @pytest.mark.parametrize("hop", [1, 2, 5, 10])
    def test_each_hop_is_checked(self, hop: int, outside: LocalServer, serve: Any, fetch: Any) -> None:
        inside = serve("127.0.0.3")
        for number in range(hop):
            target = inside.url("/secret") if number == hop - 1 else f"/{number + 1}"
            outside.answer(f"/{number}", status=(301, 302, 303, 307, 308)[number % 5], Location=target)
        assert refused(fetch, outside.url("/0")).failure is FailureClass.ADDRESS_REFUSED
        assert len(outside.paths()) == hop and inside.asked == []

    def test_robots_txt_leads_nowhere_inward_either(self, outside: LocalServer, serve: Any, fetch: Any) -> None:
        inside = serve("127.0.0.3")
        outside.answer("/robots.txt", status=302, Location=inside.url("/robots.txt"))
        refused(fetch, outside.url("/"))
        assert inside.asked == [] and outside.paths() == []


@cache
def bomb(pack: str) -> bytes:
    """Return 64 MiB of nothing, packed."""
    if pack == "deflate":
        packer = zlib.compressobj(9)
    elif pack == "raw deflate":
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    else:
        packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
class TestBombs:
    @pytest.mark.parametrize("pack", ["gzip", "deflate", "raw deflate"])
    def test_one_is_stopped_at_the_limit_in_little_memory(self, pack: str, serve: Any, fetch: Any) -> None:
        server = serve()
        body = bomb(pack)
        assert len(body) < 200_000 and conf.max_bytes() == 15 * 2**20
        server.answer("/", body, Content_Encoding=pack.removeprefix("raw "))
        tracemalloc.start()
        try:
            error = refused(fetch, server.url("/"))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert error.failure is FailureClass.TOO_BIG and "15.0 MiB" in error.sentence
        assert peak < 3 * conf.max_bytes()

    @pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "compress"])
    def test_what_was_not_asked_for_is_not_even_unpacked(self, packing: str, serve: Any, fetch: Any) -> None:
        server = serve()
        server.answer("/", bomb("gzip"), Content_Encoding=packing)
        error = refused(fetch, server.url("/"))
        assert error.failure is FailureClass.BAD_ANSWER and packing in error.sentence
        assert server.asked[-1].headers["Accept-Encoding"] == "gzip, deflate"

    def test_a_packed_sitemap_is_none_either(self) -> None:
        with pytest.raises(CollectError) as error:
            read_sitemap(bomb("gzip"), url="http://a.example/sitemap.xml.gz", content_type="application/gzip")
        assert error.value.failure is FailureClass.TOO_BIG


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/", "/robots.txt"])
def test_headers_that_drip_end_with_the_time_for_the_whole(path: str, fetch: Any, settings: Any) -> None:
    settings.NEWSS_FETCH_TOTAL_SECONDS = 0.4

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readline()).split()[1].decode()
        try:
            if asked != path:
                writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                writer.write(b"HTTP/1.1 200 OK\r\n")
                for number in range(1000):
                    writer.write(b"X-%d: a\r\n" % number)
                    await writer.drain()
                    await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def main() -> CollectError:
        server = await asyncio.start_server(drip, "127.0.0.2", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await asyncio.to_thread(refused, fetch, f"http://127.0.0.2:{port}/")

    assert asyncio.run(main()).failure is FailureClass.TIMEOUT


LAUGHS = "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))
DOCUMENTS = {
    "feed": "<rss version='2.0'><channel><item><title>Story {0}</title><link>/a</link></item></channel></rss>",
    "sitemap": "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>/a?x={0}</loc></url></urlset>",
}


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("danger", ["laughs", "file", "address", "parameter", "dtd"])
def test_no_entity_is_expanded_or_fetched(
    kind: str, danger: str, serve: Any, collect_news: Callable[..., Collected], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("the-secret-of-this-machine")
    server: LocalServer = serve()
    inside: LocalServer = serve("127.0.0.3")
    for path in ("/e", "/p", "/dtd"):
        inside.answer(path, '<!ENTITY x "the-secret-of-this-machine">')
    doctype = {
        "laughs": f'<!DOCTYPE r [<!ENTITY a "lol">{LAUGHS}<!ENTITY x "&j;">]>',
        "file": f'<!DOCTYPE r [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>',
        "address": f'<!DOCTYPE r [<!ENTITY x SYSTEM "{inside.url("/e")}">]>',
        "parameter": f'<!DOCTYPE r [<!ENTITY % p SYSTEM "{inside.url("/p")}"> %p;]>',
        "dtd": f'<!DOCTYPE r SYSTEM "{inside.url("/dtd")}">',
    }[danger]
    server.answer("/feed", f"<?xml version='1.0'?>{doctype}{DOCUMENTS[kind].format('&x;')}", Content_Type="text/xml")
    text = "<p>The ferry went back before noon, with nobody on board and no word of why it had sailed.</p>" * 8
    server.answer("/a", f"<html><body><article><h1>Ferry</h1>{text}</article></body></html>")
    source = Source(name="Evil", url=server.url("/feed"), kind=kind)
    source.full_clean()
    source.save()
    collected = collect_news()
    result = collected.of("Evil")
    assert result.status in (ResultStatus.OK, ResultStatus.FAILED) and result.failure_class != FailureClass.INTERNAL
    assert inside.asked == []
    everything = repr(list(Article.objects.values())) + repr(list(ArticleSource.objects.values())) + collected.log
    assert "the-secret" not in everything and "lollol" not in everything
    assert "the-secret" not in repr(server.asked) and "lol" not in repr(server.asked)


@pytest.mark.anydb
@pytest.mark.parametrize(
    "doctype",
    [
        f'<!DOCTYPE o [<!ENTITY a "lol">{LAUGHS}<!ENTITY x "&j;">]>',
        '<!DOCTYPE o [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE o [<!ENTITY % p SYSTEM "http://127.0.0.1:1/p"> %p;]>',
    ],
)
def test_an_opml_file_with_entities_is_refused(doctype: str) -> None:
    body = (
        f'<?xml version="1.0"?>{doctype}<opml><body><outline text="&x;" xmlUrl="http://a.example/&x;"/></body></opml>'
    )
    with pytest.raises(OpmlError):
        read(body.encode())


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/", "javascript:1", "//x"]
)
def test_only_http_and_https_are_asked(url: str, fetch: Any) -> None:
    assert refused(fetch, url).failure is FailureClass.BAD_ADDRESS


@pytest.mark.django_db(transaction=True)
def test_no_link_of_another_scheme_is_stored(serve: Any, collect_news: Callable[..., Collected]) -> None:
    server: LocalServer = serve()
    schemes = ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "ftp://a.example/x", " JaVaScRiPt:x"]
    items = "".join(
        f"<item><title>Bad {number}</title><link>{link}</link><guid>g{number}</guid></item>"
        for number, link in enumerate(schemes)
    )
    good = "<item><title>Good</title><link>/good</link><enclosure url='javascript:1' type='image/png'/></item>"
    server.answer("/feed", f"<rss version='2.0'><channel><title>F</title>{items}{good}</channel></rss>")
    head = (
        "<link rel='canonical' href='javascript:alert(1)'><meta property='og:url' content='javascript:alert(2)'>"
        "<meta property='og:image' content='javascript:alert(3)'>"
        '<script type="application/ld+json">{"@type": "NewsArticle", "headline": "Good", "url": "javascript:alert(4)",'
        ' "image": "javascript:alert(5)", "author": {"name": "A. Writer", "url": "javascript:alert(6)"}}</script>'
    )
    text = "<p>The ferry went back before noon, with nobody on board and no word of why it had sailed.</p>" * 8
    server.answer("/good", f"<html><head>{head}</head><body><article><h1>Good</h1>{text}</article></body></html>")
    Source.objects.create(name="Evil", url=server.url("/feed"))
    result = collect_news().of("Evil")
    assert (result.new, result.failed) == (1, len(schemes))
    assert Article.objects.get().url == server.url("/good")
    columns = repr(list(Article.objects.values())) + repr(list(ArticleSource.objects.values()))
    assert "javascript:" not in columns.lower() and "file:" not in columns
