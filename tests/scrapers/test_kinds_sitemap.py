"""Sitemaps: what their files hold, and how a source of this kind is polled."""

from __future__ import annotations

import gzip
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds.sitemap import Sitemap, in_order, newest, read_sitemap
from scrapers.models import Article, ResultStatus, Source
from tests.scrapers.test_collect import page

BASE = "http://courier.example/sitemap.xml"
NEWS = """<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
 xmlns:news="http://www.google.com/schemas/sitemap-news/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"
 xmlns:video="http://www.google.com/schemas/sitemap-video/1.1">
<url><video:video><video:title>A film</video:title><video:publication_date>2001-01-01</video:publication_date>
</video:video><loc> http://courier.example/a </loc><lastmod>2026-11-21T00:00:00Z</lastmod><image:image>
<image:loc>/a.jpg</image:loc></image:image><news:news><news:publication><news:name>C</news:name><news:language>de
</news:language></news:publication><news:publication_date>2026-11-20T10:00:00+01:00</news:publication_date>
<news:title>Tide &amp; time</news:title><news:keywords>sea, tide</news:keywords></news:news></url>
<url><loc>javascript:alert(1)</loc></url><url><lastmod>2026-11-21</lastmod></url></urlset>"""


def read(body: bytes | str, content_type: str = "application/xml") -> Sitemap:
    return read_sitemap(body.encode() if isinstance(body, str) else body, url=BASE, content_type=content_type)


def plain(*paths: str, lastmod: str = "") -> str:
    changed = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    entries = "".join(f"<url><loc>{path}</loc>{changed}</url>" for path in paths)
    return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'


def index(*sitemaps: tuple[str, str]) -> str:
    entries = "".join(f"<sitemap><loc>{url}</loc><lastmod>{when}</lastmod></sitemap>" for url, when in sitemaps)
    return f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</sitemapindex>'


@pytest.mark.anydb
class TestReading:
    @pytest.mark.parametrize("packed", [False, True])
    def test_a_news_sitemap_brings_title_time_language_keywords_and_picture(self, packed: bool) -> None:
        (item,) = read(gzip.compress(NEWS.encode()) if packed else NEWS).items
        assert (item.url, item.title, item.language) == ("http://courier.example/a", "Tide & time", "de")
        assert item.published == datetime(2026, 11, 20, 9, tzinfo=UTC) and item.zone_known
        assert item.updated == datetime(2026, 11, 21, tzinfo=UTC)
        assert (item.tags, item.image) == (("sea", "tide"), "http://courier.example/a.jpg")

    def test_a_plain_sitemap_brings_addresses_and_never_takes_a_change_for_the_publication(self) -> None:
        items = read(plain("/a", "/b", lastmod="2026-11-20")).items
        assert [item.url for item in items] == ["http://courier.example/a", "http://courier.example/b"]
        assert {item.published for item in items} == {None}

    def test_a_text_file_and_a_feed_are_sitemaps_too(self) -> None:
        text = read("http://courier.example/a\r\nhttp://courier.example/b\nnot an address\n", "text/plain")
        assert [item.url for item in text.items] == ["http://courier.example/a", "http://courier.example/b"]
        feed = "<rss version='2.0'><channel><item><title>T</title><link>/x</link></item></channel></rss>"
        assert read(feed).items[0].title == "T"

    def test_an_index_brings_its_sitemaps_what_changed_last_first(self) -> None:
        found = read(index(("/old.xml", "2026-01-01"), ("/none.xml", ""), ("/new.xml", "2026-11-01")))
        assert found.is_index
        assert [url.rpartition("/")[2] for url in in_order(found.sitemaps)] == ["new.xml", "old.xml", "none.xml"]

    def test_one_time_of_change_for_most_entries_says_nothing(self) -> None:
        assert {item.updated for item in read(plain(*"abcdefghij", lastmod="2026-11-20T10:00:00Z")).items} == {None}
        assert None not in {item.updated for item in read(plain(*"abc", lastmod="2026-11-20T10:00:00Z")).items}

    def test_entities_are_not_expanded(self) -> None:
        evil = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + plain("http://courier.example/&f;")
        assert "root" not in repr(read(evil))

    @pytest.mark.parametrize(
        ("body", "failure"),
        [
            (b"", FailureClass.EMPTY),
            (b"<html><body>We moved</body></html>", FailureClass.NOT_A_FEED),
            (b"\0\1\2\3", FailureClass.NOT_A_FEED),
            (gzip.compress(b"\0" * 40_000_000, mtime=0), FailureClass.TOO_BIG),
            (gzip.compress(NEWS.encode(), mtime=0)[:10] + b"\xff" * 30, FailureClass.BAD_ANSWER),
        ],
    )
    def test_what_is_no_sitemap_is_called_by_its_name(self, body: bytes, failure: FailureClass) -> None:
        with pytest.raises(CollectError) as caught:
            read(body)
        assert caught.value.failure == failure

    def test_only_the_newest_of_many_are_taken(self) -> None:
        body = "".join(plain(f"/{day}", lastmod=f"2026-11-{day:02}")[60:-9] for day in range(1, 29))
        items = read(f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{body}</urlset>').items
        assert [item.url.rpartition("/")[2] for item in newest(items, 3)] == ["28", "27", "26"]

    @given(st.data())
    def test_a_mutated_sitemap_is_read_or_refused_by_name(self, data: st.DataObject) -> None:
        body = bytearray(NEWS.encode())
        for _change in range(data.draw(st.integers(1, 8))):
            place = data.draw(st.integers(0, len(body) - 1))
            body[place : place + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
        with suppress(CollectError):
            read(bytes(body))


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
class TestPolling:
    def add(self, server: Any, **options: Any) -> Source:
        source = Source(name="Map", kind="sitemap", url=server.url("/sitemap.xml"), options=options)
        source.full_clean()
        source.save()
        return source

    def serve_pages(self, server: Any, *names: str) -> None:
        for name in names:
            server.answer(f"/{name}", page(f"Story {name}", f"{name}."))

    def test_each_sitemap_of_an_index_is_read_once_and_later_only_if_it_changed(
        self, serve: Any, collect_news: Any
    ) -> None:
        server = serve()
        server.answer("/sitemap.xml", index(("/1.xml", ""), ("/2.xml.gz", ""), ("/1.xml", "")), ETag='"i"')
        server.answer("/1.xml", plain("/a"), ETag='"1"')
        server.answer("/2.xml.gz", gzip.compress(plain("/b").encode()), ETag='"2"')
        self.serve_pages(server, "a", "b", "c")
        self.add(server)
        first = collect_news().of("Map")
        assert (first.status, first.new) == (ResultStatus.OK, 2)
        server.conditional = True
        server.asked.clear()
        assert collect_news().of("Map").status == ResultStatus.NOT_MODIFIED
        assert server.paths() == ["/sitemap.xml", "/1.xml", "/2.xml.gz"]
        server.answer("/2.xml.gz", gzip.compress(plain("/b", "/c").encode()), ETag='"3"')
        again = collect_news().of("Map")
        assert (again.status, again.new, again.known) == (ResultStatus.OK, 1, 1)
        assert Article.objects.count() == 3

    def test_an_index_that_tells_what_changed_may_itself_be_not_modified(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/sitemap.xml", index(("/1.xml", "2026-11-01T10:00:00Z")), ETag='"i"')
        server.answer("/1.xml", plain("/a"))
        self.serve_pages(server, "a")
        self.add(server)
        collect_news()
        server.conditional = True
        server.asked.clear()
        assert collect_news().of("Map").status == ResultStatus.NOT_MODIFIED
        assert server.paths() == ["/sitemap.xml"]

    def test_files_and_entries_are_bounded(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/sitemap.xml", index(*((f"/{number}.xml", "") for number in range(9))))
        for number in range(9):
            server.answer(f"/{number}.xml", plain(f"/a{number}", f"/b{number}"))
            self.serve_pages(server, f"a{number}", f"b{number}")
        self.add(server, sitemaps=2)
        assert collect_news().of("Map").seen == 4
        Source.objects.update(options={"sitemaps": 9, "most": 5})
        assert collect_news().of("Map").seen == 5

    def test_indexes_in_a_circle_end(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/sitemap.xml", index(("/other.xml", "")))
        server.answer("/other.xml", index(("/sitemap.xml", ""), ("/other.xml", "")))
        self.add(server)
        assert collect_news().of("Map").status == ResultStatus.OK
        assert server.paths() == ["/sitemap.xml", "/other.xml"]

    def test_after_a_sitemap_that_failed_everything_is_looked_at_again(self, serve: Any, collect_news: Any) -> None:
        server = serve()
        server.answer("/sitemap.xml", index(("/1.xml", "2026-11-02"), ("/2.xml", "2026-11-01")), ETag='"i"')
        server.answer("/1.xml", plain("/a"), ETag='"1"')
        server.answer("/2.xml", "", 500)
        self.serve_pages(server, "a", "b")
        self.add(server)
        assert collect_news().of("Map").failure_class == FailureClass.SERVER_ERROR
        server.conditional = True
        server.answer("/2.xml", plain("/b"))
        again = collect_news().of("Map")
        assert (again.status, again.new, again.known) == (ResultStatus.OK, 1, 1)
