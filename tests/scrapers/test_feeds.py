"""Feeds of every format, encoding and degree of brokenness."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrapers.extract.names import clean_names
from scrapers.extract.times import parse_time
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds import Item, Listing, registry

pytestmark = pytest.mark.anydb

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "feeds"
BASE = "http://courier.example/feeds/news.xml"


def read(body: bytes | str, content_type: str = "application/xml") -> Listing:
    data = body.encode() if isinstance(body, str) else body
    return registry.get("feed").read(data, url=BASE, content_type=content_type)


def rss(items: str, channel: str = "", version: str = "2.0") -> str:
    return (
        f'<?xml version="1.0"?><rss version="{version}"><channel><title>Courier</title>{channel}{items}</channel></rss>'
    )


def only(listing: Listing) -> Item:
    assert len(listing.items) == 1
    return listing.items[0]


def without_declaration(items: str) -> str:
    return rss(items).partition("?>")[2]


FULL_RSS = rss(
    "<item><title>High &amp;amp; dry</title><link>/story/1?a=1&amp;b=2</link><guid isPermaLink='false'>g1</guid>"
    "<pubDate>Tue, 24 Nov 2026 08:30:00 +0530</pubDate><author>desk@courier.example (Ann Lee)</author>"
    "<category>Harbour</category><description>&lt;p&gt;In &lt;b&gt;short&lt;/b&gt;&lt;/p&gt;</description></item>",
    "<language>en-GB</language>",
)
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Upland</title><id>x</id>
<entry><id>urn:1</id><title type="html">Schnee &amp;amp; Eis</title><link rel="alternate" href="/story/1"/>
<link rel="enclosure" href="/sound.mp3"/><updated>2026-11-24T09:00:00+01:00</updated>
<published>2026-11-24T08:00:00+01:00</published><author><name>Bea</name></author><author><name>Cem</name></author>
<summary>Kurz</summary><content type="html">&lt;p&gt;Lang&lt;/p&gt;</content></entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>R</title></channel>
<item rdf:about="http://courier.example/1"><title>One</title><link>http://courier.example/1</link>
<dc:date>2026-11-24T08:00:00Z</dc:date><dc:creator>Ann Lee</dc:creator></item></rdf:RDF>"""
RSS_091 = rss("<item><title>Old</title><link>http://courier.example/old</link></item>", version="0.91")
JSON = {
    "version": "https://jsonfeed.org/version/1.1",
    "title": "Signal",
    "language": "fr",
    "authors": [{"name": "The Desk"}],
    "items": [
        {"id": 7, "url": "http://s.example/7", "title": "Sept", "date_published": "2026-11-24T08:00:00-05:00",
         "date_modified": "2026-11-24T09:00:00-05:00", "content_html": "<p>Texte</p>", "tags": ["a", ""]},
        {"id": "http://s.example/8", "author": {"name": "Dia"}},
        "rubbish",
    ],
}  # fmt: skip


def test_rss_is_read_in_full() -> None:
    listing = read(FULL_RSS)
    item = only(listing)
    assert (listing.title, listing.language) == ("Courier", "en-GB")
    assert (item.title, item.summary) == ("High & dry", "In short")
    assert (item.guid, item.url) == ("g1", "http://courier.example/story/1?a=1&b=2")
    assert item.published == datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    assert item.published is not None and item.published.utcoffset() == timedelta(hours=5, minutes=30)
    assert (item.authors, item.tags, item.updated) == (("Ann Lee",), ("Harbour",), None)


def test_atom_is_read_in_full() -> None:
    item = only(read(ATOM))
    assert (item.title, item.url, item.guid) == ("Schnee & Eis", "http://courier.example/story/1", "urn:1")
    assert (item.authors, item.language, item.content) == (("Bea", "Cem"), "de", "<p>Lang</p>")
    assert item.published is not None and item.updated is not None
    assert item.updated - item.published == timedelta(hours=1)


def test_rdf_and_old_rss_are_read() -> None:
    item = only(read(RDF))
    assert (item.title, item.url, item.authors) == ("One", "http://courier.example/1", ("Ann Lee",))
    assert item.published == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert only(read(RSS_091)).url == "http://courier.example/old"


def test_json_feed_is_read_in_full() -> None:
    listing = read(json.dumps(JSON), "application/feed+json")
    first, second = listing.items
    assert (first.guid, first.url, first.authors, first.tags) == ("7", "http://s.example/7", ("The Desk",), ("a",))
    assert first.published == datetime(2026, 11, 24, 13, tzinfo=UTC)
    assert (second.url, second.authors, second.language) == ("http://s.example/8", ("Dia",), "fr")


def test_an_update_is_known_only_where_the_feed_says_so() -> None:
    item = only(read(rss("<item><guid>1</guid><pubDate>Tue, 24 Nov 2026 08:30:00 GMT</pubDate></item>")))
    assert item.updated is None
    stamp = "<updated xmlns='http://www.w3.org/2005/Atom'>2026-11-24T09:00:00Z</updated>"
    item = only(read(rss(f"<item><guid>1</guid><pubDate>Tue, 24 Nov 2026 08:30:00 GMT</pubDate>{stamp}</item>")))
    assert item.updated == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert item.published == datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "mailto:a@b.c", "http://", ""]
)
def test_a_link_that_is_none_is_not_kept(link: str) -> None:
    assert (
        only(read(rss(f"<item><title>x</title><link>{link}</link><guid isPermaLink='false'>1</guid></item>"))).url == ""
    )
    entry = {"version": "https://jsonfeed.org/version/1", "items": [{"id": "1", "url": link}]}
    assert only(read(json.dumps(entry))).url == ""


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "koi8-r", "utf-16"])
@pytest.mark.parametrize("declared", [True, False])
def test_encodings_are_understood_from_the_declaration_or_the_header(encoding: str, declared: bool) -> None:
    stated = f' encoding="{encoding}"' if declared else ""
    text = f"<?xml version='1.0'{stated}?>" + without_declaration("<item><title>Новости дня</title></item>")
    header = "application/rss+xml" if declared else f"application/rss+xml; charset={encoding}"
    assert only(read(text.encode(encoding), header)).title == "Новости дня"


@pytest.mark.parametrize(
    ("encoding", "title"), [("gbk", "今日新闻"), ("shift_jis", "今日のニュース"), ("euc-kr", "오늘의 뉴스")]
)
def test_encodings_of_asia_are_understood(encoding: str, title: str) -> None:
    text = (
        f"<?xml version='1.0' encoding='{encoding}'?>" + rss(f"<item><title>{title}</title></item>").partition("?>")[2]
    )
    assert only(read(text.encode(encoding))).title == title


def test_broken_xml_gives_what_can_be_read() -> None:
    whole = "".join(f"<item><title>T{n}</title><link>http://a.example/{n}</link></item>" for n in range(5))
    listing = read(rss(whole)[:-60])
    assert [item.title for item in listing.items][:4] == ["T0", "T1", "T2", "T3"]
    assert only(read(rss("<item><title>Fish & chips &nbsp; <b>now</title><guid>1</guid></item>"))).title.startswith(
        "Fish & chips"
    )


def test_what_breaks_the_library_is_refused_in_words_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CollectError, match="too broken") as error:
        read(rss("<item><title>T</title></width></item>", "<image><title>x</itle></image>"))
    assert error.value.failure is FailureClass.NOT_A_FEED and caplog.records[0].exc_info


@pytest.mark.parametrize("body", [b"", b"  \n", b"\xef\xbb\xbf", b"\0\0"])
def test_nothing_is_an_empty_answer(body: bytes) -> None:
    with pytest.raises(CollectError) as error:
        read(body)
    assert error.value.failure is FailureClass.EMPTY


@pytest.mark.parametrize(
    "body",
    [
        "<html><body>We moved!</body></html>", "abc", "<?xml version='1.0'?><note>hi</note>", "{", "{}",
        '{"items": []}', '{"version": "https://jsonfeed.org/version/1", "items": 3}', "{" * 100_000, "[" * 100_000,
        "\x89PNG\r\n", "%PDF-1.7",
    ],
)  # fmt: skip
def test_what_is_no_feed_is_told_so(body: str) -> None:
    with pytest.raises(CollectError) as error:
        read(body, "text/html")
    assert error.value.failure is FailureClass.NOT_A_FEED


LAUGHS = "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))
BOMB = f'<!DOCTYPE l [<!ENTITY a "lol">{LAUGHS}]>'


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    bomb = f'<?xml version="1.0"?>{BOMB}' + without_declaration("<item><title>&j;</title></item>")
    assert len(only(read(bomb)).title) < 100
    outside = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file://{secret}">]>' + without_declaration(
        "<item><title>&x;</title></item>"
    )
    assert "the secret" not in repr(read(outside))
    hidden = " " * 10_000 + bomb
    assert len(repr(read(hidden))) < 10_000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_entities_hidden_by_an_encoding_are_not_expanded(encoding: str) -> None:
    bomb = f'<?xml version="1.0" encoding="{encoding}"?>{BOMB}' + without_declaration("<item><title>&j;</title></item>")
    try:
        assert len(repr(read(bomb.encode(encoding)))) < 10_000
    except CollectError as error:
        assert error.failure is FailureClass.NOT_A_FEED


@pytest.mark.parametrize(
    ("text", "instant", "zoned"),
    [
        ("2026-11-24T08:00:00Z", datetime(2026, 11, 24, 8, tzinfo=UTC), True),
        ("2026-11-24T08:00:00+02:00", datetime(2026, 11, 24, 6, tzinfo=UTC), True),
        ("2026-11-24 08:00", datetime(2026, 11, 24, 8, tzinfo=UTC), False),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC), False),
        ("Tue, 24 Nov 2026 08:00:00 EST", datetime(2026, 11, 24, 13, tzinfo=UTC), True),
        ("24 Nov 26 08:00 GMT", datetime(2026, 11, 24, 8, tzinfo=UTC), True),
        ("0001-01-01T00:00:00+14:00", None, False),
        ("yesterday", None, False),
        ("", None, False),
    ],
)
def test_times_keep_their_zone(text: str, instant: datetime | None, zoned: bool) -> None:
    assert parse_time(text) == (instant, zoned)


@given(st.text())
def test_no_text_breaks_the_reading_of_times(text: str) -> None:
    instant, _zoned = parse_time(text)
    assert instant is None or instant.tzinfo is not None


@pytest.mark.parametrize(
    ("names", "clean"),
    [
        (["desk@a.example (Ann Lee)"], ("Ann Lee",)),
        (["Ann Lee <ann@a.example>"], ("Ann Lee",)),
        (["ann@a.example"], ()),
        (["  Ann   Lee ", "ann lee", "Bo"], ("Ann Lee", "Bo")),
        (["http://a.example/ann", "", "x" * 500], ()),
    ],
)
def test_names_are_clean(names: list[str], clean: tuple[str, ...]) -> None:
    assert clean_names(names) == clean


@pytest.mark.skipif(not REAL.is_dir(), reason="the real feeds are not here")
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("large_rss.xml", 10),
        ("small_atom.xml", 1),
        ("rdf_UTF8.xml", 5),
        ("encoding_WINDOWS-1251.xml", 5),
        ("real-cnn.rss", 10),
    ],
)
def test_real_feeds_are_read(name: str, least: int) -> None:
    listing = read((REAL / name).read_bytes())
    assert len(listing.items) >= least
    assert all(item.url and item.title for item in listing.items[:5])
    if "1251" in name:
        assert any("а" <= letter <= "я" for letter in listing.items[0].title.lower())


@given(st.binary(max_size=2000))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    try:
        read(body)
    except CollectError as error:
        assert error.failure in (FailureClass.EMPTY, FailureClass.NOT_A_FEED)


SCALAR: Any = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUE: Any = SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(st.sampled_from(["name", "x"]), SCALAR)
FIELDS = [
    "id",
    "url",
    "title",
    "summary",
    "authors",
    "author",
    "tags",
    "date_published",
    "date_modified",
    "language",
    "image",
    "content_html",
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUE, max_size=6), max_size=3))
def test_no_values_break_the_reader_of_json_feeds(items: list[dict[str, Any]]) -> None:
    listing = read(json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items}))
    assert len(listing.items) == len(items)


@pytest.mark.parametrize(
    "element",
    [
        "<authors>Ann Lee</authors>",
        "<links>https://courier.example/other</links>",
        "<enclosures>none</enclosures>",
        "<published_parsed day='1'/>",
        "<content>So</content>",
    ],
)
def test_an_element_named_as_a_part_of_the_librarys_own_costs_no_other_item(element: str) -> None:
    items = f"<item><title>One</title><link>/1</link>{element}</item><item><title>Two</title><link>/2</link></item>"
    assert "Two" in [item.title for item in read(rss(items)).items]
    if "links" not in element:
        assert [item.title for item in read(rss(items)).items] == ["One", "Two"]


@pytest.mark.parametrize("element", ["<ttl unit='m'>60</ttl>", "<sy_updatefrequency a='b'>2</sy_updatefrequency>"])
def test_a_pause_written_with_attributes_costs_no_feed(element: str) -> None:
    listing = read(rss("<item><title>One</title><link>/1</link></item>", element))
    assert len(listing.items) == 1
    assert listing.ttl == 0.0


LONG = 1_000_000


@pytest.mark.parametrize(
    "entry",
    [{"title": "<" * LONG}, {"summary": "<" * LONG}, {"authors": [{"name": "(" * LONG}, {"name": "a@" * LONG}]}],
    ids=["title", "summary", "author"],
)
def test_endless_characters_take_no_endless_time(entry: dict[str, Any]) -> None:
    whole = {"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "url": f"{BASE}/1", **entry}]}
    assert len(read(json.dumps(whole)).items) == 1


def test_a_document_type_begun_over_and_over_takes_no_endless_time() -> None:
    with pytest.raises(CollectError):
        read(b"<!DOCTYPE[" * (LONG // 10))
