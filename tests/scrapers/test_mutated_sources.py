"""Whatever a source answers: its kind reads it or refuses it by name, and so do Discover and the import of OPML."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping

import pytest

from scrapers import opml
from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.guesses import read_answer, read_page_links
from scrapers.kinds import Item
from scrapers.kinds.feed import FeedKind
from scrapers.kinds.json_api import read_json
from scrapers.kinds.listing import read_listing
from scrapers.kinds.sitemap import read_sitemap
from tests.scrapers.mutations import mutated
from tests.shared import shared

pytestmark = pytest.mark.anydb

URL = "https://www.courier.example/news"
DATE = "2026-03-10T09:00:00+02:00"
HEAD = b'<?xml version="1.0" encoding="utf-8"?>'
RSS = HEAD + (
    b'<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/">'
    b"<channel><title>Courier</title><ttl>30</ttl><item><title>Fish &amp; chips</title><link>https://c.example/1</link>"
    b"<guid isPermaLink='false'>1</guid><pubDate>Tue, 10 Mar 2026 09:00:00 +0200</pubDate><dc:creator>Ann</dc:creator>"
    b"<description><![CDATA[<p>More</p>]]></description><media:content url='/a.jpg' medium='image'/></item>"
    b"<item><title>\xc3\x9cbersee</title><link>/2?a=1&amp;b=2</link></item></channel></rss>"
)
ATOM = HEAD + (
    b'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Courier</title><entry><id>urn:1</id>'
    b'<title type="html">A &lt;b&gt;title</title><link rel="alternate" href="/1"/><published>2026-03-10T09:00:00+02:00'
    b"</published><updated>2026-03-11T09:00:00Z</updated><author><name>Ann</name></author>"
    b'<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">So</div></content></entry></feed>'
)
RDF = HEAD + (
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">'
    b'<channel rdf:about="x"><title>C</title></channel>'
    b'<item rdf:about="/1"><title>T</title><link>/1</link></item></rdf:RDF>'
)
ITEMS = [{"id": n, "url": f"/{n}", "title": f"T{n}", "date_published": DATE, "authors": [{"name": "A"}]} for n in "12"]
JSON_FEED = json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "C", "items": ITEMS}).encode()
API = json.dumps({"data": {"items": ITEMS, "next": 2}}).encode()
SITEMAP = HEAD + (
    b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
    b'xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"><url><loc>https://www.courier.example/1</loc>'
    b"<lastmod>2026-03-10</lastmod><news:news><news:title>T</news:title><news:publication_date>2026-03-10T09:00Z"
    b"</news:publication_date></news:news></url></urlset>"
)
INDEX = SITEMAP.replace(b"urlset", b"sitemapindex").replace(b"<url>", b"<sitemap>").replace(b"</url>", b"</sitemap>")
TEASERS = [
    f"<article class='teaser'><h2><a href='/{n}'>A headline of some length</a></h2><time datetime='2026-03-10'>x</time>"
    "</article>"
    for n in range(4)
]
LISTING = (
    "<html><head><title>News</title><link rel=alternate type='application/rss+xml' href=/f></head><body>"
    f"{''.join(TEASERS)}<a rel=next href='?page=2'>older</a></body></html>"
).encode()
OPML = (
    b'<opml version="2.0" xmlns:n="urn:newss:opml"><body><outline text="News"><outline text="A" xmlUrl="https://a.example/'
    b'?a=1&amp;b=2" n:kind="listing" n:options=\'{"items": "article"}\' n:polling=\'{"pace": "interval"}\'/></outline>'
    b'<outline title="B" xmlUrl="https://b.example/" category="/X/Y,Z"/></body></opml>'
)


def _feed(answer: Answer) -> tuple[Item, ...]:
    return FeedKind().read(answer.body, url=answer.url, content_type=answer.content_type).items


def _sitemap(answer: Answer) -> tuple[Item, ...]:
    return tuple(read_sitemap(answer.body, url=answer.url, content_type=answer.content_type).items)


def _api(answer: Answer) -> tuple[Item, ...]:
    parts = {
        "items": "data.items",
        "link": "url",
        "title": "title",
        "author": "authors[].name",
        "following": "data.next",
    }
    return read_json(answer, {**parts, "date": "date_published", "parameter": "page"})[0].items


def _listing(answer: Answer) -> tuple[Item, ...]:
    parts = {"items": "article", "link": "h2 a", "title": "h2", "date": "time", "following": "a[rel=next]"}
    return read_listing(answer, parts)[0].items


def _discovery(answer: Answer) -> tuple[Item, ...]:
    guess, page = read_answer(answer), read_page_links(answer)
    assert guess is None or guess.count >= 0
    assert all(url.startswith(("http://", "https://")) for url, _declared in page.links)
    return ()


def _opml(answer: Answer) -> tuple[Item, ...]:
    try:
        found = opml.read(answer.body)
    except opml.OpmlError as error:
        raise CollectError(FailureClass.NOT_A_FEED, str(error)) from error
    assert all(outline.url and outline.name and isinstance(outline.options, dict) for outline in found)
    return ()


Reader = Callable[[Answer], tuple[Item, ...]]
REAL = [path.read_bytes() for path in sorted((shared("data") / "feeds").glob("*"))]
CASES: Mapping[str, tuple[Reader, list[bytes]]] = {
    "feed": (_feed, [RSS, ATOM, RDF, JSON_FEED]),
    "sitemap": (_sitemap, [SITEMAP, INDEX]),
    "API": (_api, [API]),
    "listing": (_listing, [LISTING]),
    "discovery": (_discovery, [RSS, ATOM, JSON_FEED, API, SITEMAP, INDEX, LISTING]),
    "OPML": (_opml, [OPML]),
}
TYPES = ["", "text/html", "application/xml; charset=utf-8", "application/json", "text/xml; charset=klingon"]


def survives(read: Reader, body: bytes, chance: random.Random) -> None:
    """Read what is damaged: items of a right shape come of it, or an error that has words for people."""
    answer = Answer(URL, 200, mutated(body, chance), chance.choice(TYPES))
    try:
        items = read(answer)
    except CollectError as error:
        assert error.sentence
        return
    for item in items:
        assert not item.url or item.url.startswith(("http://", "https://"))
        assert item.published is None or item.published.tzinfo is not None


@pytest.mark.parametrize("name", CASES)
def test_what_is_whole_is_read(name: str) -> None:
    read, bodies = CASES[name]
    for body in bodies:
        items = read(Answer(URL, 200, body, ""))
        assert items or name in ("discovery", "OPML") or body is INDEX


@pytest.mark.parametrize("name", CASES)
def test_no_mutation_of_an_answer_defeats_its_reader(name: str) -> None:
    read, bodies = CASES[name]
    chance = random.Random(name)
    for number in range(60):
        survives(read, bodies[number % len(bodies)], chance)


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("name", CASES)
def test_ten_thousand_mutations_of_answers_do_not_either(name: str, part: int) -> None:
    read, bodies = CASES[name]
    chance = random.Random(f"{name} {part}")
    for number in range(425):
        # Real feeds are large: one in twenty.
        own = name in ("feed", "discovery") and REAL and number % 20 == 0
        survives(read, chance.choice(REAL if own else bodies), chance)
