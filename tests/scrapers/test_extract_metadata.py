"""What a page says of itself: each rule on a page of our own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trafilatura

from scrapers.extract.metadata import Metadata, read_metadata

pytestmark = pytest.mark.anydb

URL = "https://www.courier.example/town/ferry-returns-17.html"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def page(head: str = "", body: str = "<p>The ferry is back.</p>", ld: Any = None, url: str = URL) -> Metadata:
    script = (
        ""
        if ld is None
        else f'<script type="application/ld+json">{ld if isinstance(ld, str) else json.dumps(ld)}</script>'
    )
    tree = trafilatura.load_html(f"<html><head>{head}{script}</head><body>{body}</body></html>")
    return read_metadata(tree, url, now=NOW)


def meta(**values: str) -> str:
    return "".join(f'<meta property="{name.replace("__", ":")}" content="{value}">' for name, value in values.items())


def article(**values: Any) -> dict[str, Any]:
    return {"@context": "https://schema.org", "@type": "NewsArticle", "headline": "Ferry returns"} | values


# Titles


@pytest.mark.parametrize(
    ("head", "body", "ld", "title", "method"),
    [
        ("<title>Ferry | Courier</title>", "", article(publisher={"name": "Courier"}), "Ferry returns", "json-ld"),
        (meta(og__title="Ferry returns – Courier", og__site_name="Courier"), "", None, "Ferry returns", "og:title"),
        (meta(og__title="Courier: it returns", og__site_name="Harbour"), "", None, "Courier: it returns", "og:title"),
        ("<title>Ferry returns - courier.example</title>", "", None, "Ferry returns", "title"),
        ("<title>Ferry returns - at last</title>", "", None, "Ferry returns - at last", "title"),
        ("", "<h1>Town<br>Ferry <i>re</i>turns</h1>", None, "Town Ferry returns", "h1"),
        (meta(og__title="Courier", og__site_name="Courier"), "<h1>Ferry returns</h1>", None, "Ferry returns", "h1"),
        (meta(og__title="Ferry is back"), "<h1>Ferry is back</h1>", article(), "Ferry is back", "og:title"),
        ("", "<h1>Ferry returns after a long winter</h1>", article(headline="Ferry returns after …"),
         "Ferry returns after a long winter", "json-ld"),
        ("", "", article(headline="Tea &amp;amp; <b>biscuits</b>"), "Tea & biscuits", "json-ld"),
        ("", "", None, "", None),
    ],
)  # fmt: skip
def test_the_title_is_the_storys_own(head: str, body: str, ld: Any, title: str, method: str | None) -> None:
    found = page(head, body, ld)
    assert (found.title, found.methods.get("title")) == (title, method)


# Authors


@pytest.mark.parametrize(
    ("head", "body", "ld", "authors"),
    [
        ("", "", article(author={"@type": "Person", "name": "Ann Lee"}), ("Ann Lee",)),
        ("", "", article(author=[{"name": "Ann Lee"}, "Bo Ek"]), ("Ann Lee", "Bo Ek")),
        ("", "", article(author={"@type": "Person", "givenName": "Ann", "familyName": "Lee"}), ("Ann Lee",)),
        ("", "", article(author={"name": "Ann Lee, Bo Ek and Cy Orr"}), ("Ann Lee", "Bo Ek", "Cy Orr")),
        ("", "", {"@graph": [article(author={"@id": "#ann"}), {"@type": "Person", "@id": "#ann", "name": "Ann Lee"}]},
         ("Ann Lee",)),
        (meta(author="By Ann Lee (Courier)"), "", None, ("Ann Lee",)),
        (meta(article__author="https://social.example/ann"), "", None, ()),
        (meta(author="Ann Lee"), "", article(author={"name": "Courier"}, publisher={"name": "Courier"}), ("Ann Lee",)),
        ("", "", article(author={"name": "Courier"}, publisher={"name": "Courier"}), ("Courier",)),
        ("", '<p class="byline">Von Ann Lee und Bo Ek</p>', article(author={"name": "alee"}), ("Ann Lee", "Bo Ek")),
        ("", '<p class="byline">Source: agencies</p>', article(author={"name": "alee"}), ("alee",)),
        ("", '<div id="author-box-1"><a href="/x">Ann Lee</a></div>', None, ()),
        ("", '<span class="articleAuthor">Ann Lee</span>', None, ("Ann Lee",)),
        ("", '<p>By <a rel="author" href="/ann">Ann Lee</a></p><aside><a rel="author">Bo Ek</a></aside>', None,
         ("Ann Lee",)),
        ("", '<p><a href="/authors/ann">Ann Lee</a>, <a href="/authors/bo">Bo Ek</a></p>'
             '<div><p><a href="/authors/cy">Cy Orr</a></p></div>', None, ("Ann Lee", "Bo Ek")),
        ('<meta name="twitter:label1" content="Written by"><meta name="twitter:data1" content="Ann Lee">', "", None,
         ("Ann Lee",)),
        ("", "", article(author={"@type": "Organization", "name": "dpa"}), ("dpa",)),
        ("", "", article(author={"name": "courier.example developer"}), ("courier.example developer",)),
        ("", '<div class="comment"><span itemprop="author">Troll Face</span></div>', None, ()),
    ],
)  # fmt: skip
def test_authors_are_persons_before_they_are_the_site(head: str, body: str, ld: Any, authors: tuple[str, ...]) -> None:
    assert page(head, body, ld).authors == authors


# Instants


@pytest.mark.parametrize(
    ("head", "body", "ld", "published", "method"),
    [
        ("", "", article(datePublished="2026-05-03T15:47:00+02:00"), "2026-05-03T15:47:00+02:00", "json-ld"),
        ("", "", article(datePublished=1777815000), "2026-05-03T13:30:00+00:00", "json-ld"),
        (meta(article__published_time="2026-05-03T15:47:00Z"), "", article(datePublished="2026-05-03"),
         "2026-05-03T15:47:00+00:00", "article:published_time"),
        ("", '<span itemprop="datePublished" content="2026-05-03T15:47:00Z">3 May</span>', None,
         "2026-05-03T15:47:00+00:00", "microdata"),
        ("", '<nav><time datetime="2026-05-09T01:00Z"></time></nav><article><time datetime="2026-05-03T15:47Z">3 May'
             "</time></article>", None, "2026-05-03T15:47:00+00:00", "time element"),
        ("", '<time class="updated" datetime="2026-05-09T01:00Z"></time><time datetime="2026-05-03T15:47Z"></time>',
         None, "2026-05-03T15:47:00+00:00", "time element"),
        ("", '<script>var state = {"publishedAt":"2026-05-03T15:47:00Z"}</script>', None,
         "2026-05-03T15:47:00+00:00", "script"),
        ("", "", article(datePublished="2026-05-03"), "2026-05-03T00:00:00+00:00", "json-ld"),
        (meta(article__published_time="2026-12-24T00:00:00Z"), "", None, None, None),
        (meta(article__published_time="1970-01-01T00:00:00Z"), "", None, None, None),
        ("", "", article(datePublished="soon"), None, None),
    ],
)  # fmt: skip
def test_the_first_stated_instant_with_a_time_of_day_counts(
    head: str, body: str, ld: Any, published: str | None, method: str | None
) -> None:
    found = page(head, body, ld)
    assert (found.published.isoformat() if found.published else None) == published
    assert found.methods.get("published") == method


@pytest.mark.parametrize(
    ("ld", "url", "instant", "known"),
    [
        # Another field with the same wall clock tells the zone.
        (article(datePublished="2026-04-23T09:56:00", dateModified="2026-04-23T09:56:00+02:00"), URL,
         "2026-04-23T09:56:00+02:00", True),
        # The country of the address tells it, in winter and in summer.
        (article(datePublished="2026-01-23T09:56:00"), "https://bote.de/a", "2026-01-23T09:56:00+01:00", True),
        (article(datePublished="2026-07-23T09:56:00"), "https://bote.co.uk/a", "2026-07-23T09:56:00+01:00", True),
        (article(datePublished="2026-07-23T09:56:00"), "https://correo.es/a", "2026-07-23T09:56:00+02:00", True),
        # Russia's and the world's clocks show different times.
        (article(datePublished="2026-07-23T09:56:00"), "https://vesti.ru/a", "2026-07-23T09:56:00+00:00", False),
        (article(datePublished="2026-07-23T09:56:00"), URL, "2026-07-23T09:56:00+00:00", False),
        # A day alone is a day everywhere.
        (article(datePublished="2026-07-23"), "https://bote.de/a", "2026-07-23T00:00:00+00:00", False),
    ],
)  # fmt: skip
def test_a_time_without_zone_takes_it_from_where_it_can_be_known(ld: Any, url: str, instant: str, known: bool) -> None:
    found = page(ld=ld, url=url)
    assert found.published is not None
    assert (found.published.isoformat(), found.zone_known) == (instant, known)


def test_an_instant_may_lie_a_day_ahead_and_no_more() -> None:
    for ahead, believed in ((timedelta(hours=23), True), (timedelta(hours=25), False)):
        instant = NOW + ahead
        assert (page(ld=article(datePublished=instant.isoformat())).published == instant) is believed


def test_a_change_is_never_before_the_publication() -> None:
    late = article(datePublished="2026-05-03T10:00:00Z", dateModified="2026-05-03T11:00:00Z")
    early = article(datePublished="2026-05-03T10:00:00Z", dateModified="2026-05-03T09:00:00Z")
    assert page(ld=late).modified == datetime(2026, 5, 3, 11, tzinfo=UTC)
    assert page(ld=late).modified_zone_known
    assert page(ld=early).modified is None


# JSON-LD in the wild


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"@type": "WebPage"}, article()]),
        json.dumps({"@graph": [{"@type": "WebSite", "name": "Courier"}, article()]}),
        json.dumps({"@type": "WebPage", "mainEntity": article()}),
        json.dumps(article() | {"@type": ["Thing", "http://schema.org/ReportageNewsArticle"]}),
        "<!-- " + json.dumps(article()) + " -->",
        "//<![CDATA[\n" + json.dumps(article()) + "\n//]]>",
        json.dumps(article()) + ";",
        json.dumps(article())[:-1] + ",}",
        json.dumps(article()).replace("Ferry returns", "Ferry\n returns"),
        json.dumps(article()).replace('"', "&quot;"),
        json.dumps({"@type": "WebSite"}) + "\n" + json.dumps(article()),
    ],
)
def test_json_ld_is_read_in_all_its_forms(text: str) -> None:
    assert page(ld=text).title == "Ferry returns"


@pytest.mark.parametrize("text", ["", "{", "null", "[" * 50_000, '{"a":' * 50_000, '"text"', "[1, 2]", '{"@graph": 7}'])
def test_json_ld_that_is_none_is_passed_over(text: str) -> None:
    assert page("<title>Ferry returns</title>", ld=text).title == "Ferry returns"


def test_of_several_articles_the_one_of_the_page_counts() -> None:
    teasers = {"@type": "ItemList", "itemListElement": [{"item": article(headline="Night market moves")}]}
    others = article(headline="Night market moves", url="https://www.courier.example/town/market-18.html")
    assert page(ld=[teasers, others, article(mainEntityOfPage={"@id": URL})]).title == "Ferry returns"
    assert page(ld=[teasers, article()]).title == "Ferry returns"


# The rest


def test_the_address_is_the_pages_own_where_it_is_on_the_same_site() -> None:
    for head, url, method in [
        ('<link rel="canonical" href="/ferry?utm_source=x">', "https://www.courier.example/ferry", "canonical"),
        (meta(og__url="https://www.courier.example/ferry"), "https://www.courier.example/ferry", "og:url"),
        ('<link rel="canonical" href="https://other.example/x">', URL, "address"),
        ('<link rel="canonical" href="https://other.example/x">' + meta(og__url="https://www.courier.example/ferry"),
         "https://www.courier.example/ferry", "og:url"),
        (f'<link rel="canonical" href="{URL}">', URL, "canonical"),
        ('<link rel="canonical" href="http://[">', URL, "address"),
        ("", URL, "address"),
    ]:  # fmt: skip
        found = page(head)
        assert (found.url, found.methods["url"]) == (url, method)


def test_all_that_is_stated_is_found_with_its_method() -> None:
    ld = article(
        description="It is back.", image=[{"url": "/ferry.jpg"}], articleSection=["Town"],
        keywords=["ferry", "sea, Ferry"], inLanguage="en-GB",
        publisher={"@type": "NewsMediaOrganization", "name": "Courier"},
    )  # fmt: skip
    found = page(ld=ld)
    assert found.summary == "It is back."
    assert found.image == "https://www.courier.example/ferry.jpg"
    assert found.section == "Town"
    assert [word.lower() for word in found.keywords] == ["ferry", "sea"]
    assert found.language == "en-gb"
    assert found.site_name == "Courier"
    stated = ("summary", "image", "section", "keywords", "language", "site_name", "title")
    assert {found.methods[name] for name in stated} == {"json-ld"}
    assert "authors" not in found.methods and "published" not in found.methods


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:image/png;base64,AAAA", "http://[", "ftp://a.example/i.png"]
)
def test_an_image_that_cannot_be_fetched_is_none(link: str) -> None:
    assert page(meta(og__image=link)).image == ""


def test_what_the_source_gave_is_not_looked_for() -> None:
    tree = trafilatura.load_html("<html><head><title>Ferry returns</title></head><body><p>x</p></body></html>")
    found = read_metadata(tree, URL, complete=False, now=NOW)
    assert (found.title, found.published, found.authors) == ("", None, ())
