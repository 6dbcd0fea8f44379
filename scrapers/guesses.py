"""What an answer is: a feed, a sitemap, an API or a page that lists articles, with the options that read it.

Pure functions on answers that discovery fetched; the kinds themselves judge whether they can read them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from django.core.exceptions import ValidationError
from lxml.html import HtmlElement

from scrapers.extract.addresses import is_fetchable, site_of
from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError
from scrapers.kinds import Item, registry
from scrapers.kinds.feed import FeedKind
from scrapers.kinds.json_api import read_json
from scrapers.kinds.listing import read_listing, read_tree
from scrapers.kinds.sitemap import read_sitemap

TITLES_SHOWN = 3
MOST_LINKS = 30
"""Links of one page that may lead to a feed and are looked at."""
LISTING_LEAST = 4
"""Links of one sort that make a page a listing."""
TITLE_CHARACTERS = 20
"""A link with fewer is a word of navigation, not the title of a story."""
_FEED_TYPES = re.compile(r"application/(rss|atom|rdf|feed)\+(xml|json)|application/json|text/xml", re.IGNORECASE)
_FEED_LINK = re.compile(r"(?:^|[/._?=&-])(?:rss|atom|feeds?|rdf)(?:$|[/._?=&0-9-])|\.(?:rss|atom|rdf)$", re.IGNORECASE)
_NOT_A_FEED = re.compile(
    r"feedback|/wp-json/|oembed|feedly\.com|\.(?:png|jpe?g|svg|gif|css|js|pdf)(?:$|\?)", re.IGNORECASE
)
_NAME = re.compile(r"-?[A-Za-z_][A-Za-z0-9_-]*")
#: By what names APIs call the parts of an article, the most telling first.
_JSON_NAMES = {
    "link": ("url", "link", "web_url", "webUrl", "permalink", "href", "canonical_url", "uri"),
    "title": ("title", "headline", "name", "webTitle", "title.rendered", "headline.main"),
    "date": (
        *("published_at", "publishedAt", "published", "date_published", "pub_date", "webPublicationDate", "date_gmt"),
        *("date", "created_at", "createdAt", "timestamp", "time"),
    ),
    "updated": ("updated_at", "updatedAt", "modified", "modified_gmt", "last_modified"),
    "summary": ("summary", "description", "abstract", "excerpt.rendered", "excerpt", "teaser"),
    "content": ("content_html", "content.rendered", "body_html", "body", "content"),
    "author": ("authors[].name", "authors", "author.name", "author", "byline"),
    "identifier": ("id", "guid", "uuid"),
}


@dataclass(frozen=True)
class Guess:
    """What an answer is taken for: the kind with its options, and what it holds.

    `urls` are the addresses of its first items; `newest` is when the newest of them was published, if it says so.
    """

    kind: str
    title: str = ""
    count: int = 0
    newest: datetime | None = None
    titles: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    is_news: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def read_answer(answer: Answer, *, listings: bool = True) -> Guess | None:
    """Return what an answer is, or None for nothing that can be collected from; `listings` lets it be a page."""
    readers: list[Callable[[Answer], Guess | None]] = [_feed, _sitemap, _json, *([_page] if listings else [])]
    for read in readers:
        try:
            guess = read(answer)
        except (CollectError, ValidationError):
            continue
        if guess is not None:
            return guess
    return None


def links_of_page(answer: Answer) -> list[tuple[str, bool]]:
    """Return the links of a page that may lead to feeds or sitemaps, each with whether the page declares it as such."""
    try:
        tree = read_tree(answer)
    except CollectError:
        return []
    base = urljoin(answer.url, next(iter(tree.xpath("//base/@href")), ""))
    found: dict[str, bool] = {}
    for element in tree.iter("link", "a"):
        rel = (element.get("rel") or "").lower().split()
        declared = element.tag == "link" and (
            ("alternate" in rel and bool(_FEED_TYPES.match(element.get("type") or "")))
            or bool({"feed", "sitemap"} & set(rel))
        )
        href = (element.get("href") or "").strip()
        if not href or (element.tag == "link" and not declared):
            continue
        url = _absolute(base, href)
        if url and not _NOT_A_FEED.search(url) and (declared or _FEED_LINK.search(urlsplit(url).path)):
            found[url] = found.get(url, False) or declared
    # What the page declares first; a directory of feeds may link to hundreds.
    return sorted(found.items(), key=lambda pair: not pair[1])[:MOST_LINKS]


def _feed(answer: Answer) -> Guess | None:
    listing = FeedKind().read(answer.body, url=answer.url, content_type=answer.content_type)
    return _guess("feed", listing.items, title=listing.title)


def _sitemap(answer: Answer) -> Guess | None:
    sitemap = read_sitemap(answer.body, url=answer.url, content_type=answer.content_type)
    if sitemap.is_index:
        changed = [when for _url, when in sitemap.sitemaps if when]
        return Guess(
            "sitemap", count=len(sitemap.sitemaps), newest=max(changed, default=None), options=_defaults("sitemap")
        )
    news = any(item.title and item.published for item in sitemap.items)
    return _guess("sitemap", sitemap.items, is_news=news, options=_defaults("sitemap"))


def _json(answer: Answer) -> Guess | None:
    if answer.body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return None
    try:
        data = json.loads(answer.body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None
    for path, entries in _lists(data):
        options = _json_options(path, entries)
        if options is None:
            continue
        listing, _following = read_json(answer, options, 1)
        if listing.items:
            return _guess("json_api", listing.items, options=options)
    return None


def _lists(data: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, list[Any]]]:
    """Yield the lists of objects in JSON, each with the JMESPath to it, the outer ones first."""
    if isinstance(data, list):
        if data and all(isinstance(entry, dict) for entry in data):
            yield path or "@", data
        return
    if not isinstance(data, dict) or depth > 3:
        return
    for name, value in data.items():
        if _NAME.fullmatch(name):
            word = name if "-" not in name else f'"{name}"'
            yield from _lists(value, f"{path}.{word}" if path else word, depth + 1)


def _json_options(path: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    first = entries[0]
    options = {part: name for part, names in _JSON_NAMES.items() if (name := _first_held(first, names))}
    if "link" not in options or "title" not in options:
        return None
    return registry.get("json_api").clean_options({"items": path, **options})


def _first_held(entry: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        outer, _dot, inner = name.removesuffix("[].name").partition(".")
        value = entry.get(outer)
        if name.endswith("[].name"):
            if isinstance(value, list) and value and isinstance(value[0], dict) and value[0].get("name"):
                return name
        elif inner:
            if isinstance(value, dict) and value.get(inner):
                return name
        elif (isinstance(value, str | int) and value) or (
            isinstance(value, list) and value and isinstance(value[0], str)
        ):
            return name
    return ""


def _page(answer: Answer) -> Guess | None:
    tree = read_tree(answer)
    best: Guess | None = None
    for selector in _selectors(tree, answer.url):
        options = registry.get("listing").clean_options({"items": selector, **_parts(tree, selector)})
        try:
            listing, _following = read_listing(answer, options)
        except CollectError:
            continue
        if len(listing.items) >= LISTING_LEAST and (best is None or len(listing.items) > best.count):
            best = _guess("listing", listing.items, title=listing.title, options=options)
    return best


def _selectors(tree: HtmlElement, base: str) -> list[str]:
    """Return selectors of what stands several times on a page around links that read like titles of stories.

    `article` with a headline where the page has it, else the nearest parent of such a link that has a class.
    """
    found: Counter[str] = Counter()
    host = site_of(urlsplit(base).hostname or "")
    for link in tree.iter("a"):
        words = " ".join(link.text_content().split())
        url = _absolute(base, link.get("href") or "")
        if len(words) < TITLE_CHARACTERS or not url or site_of(urlsplit(url).hostname or "") != host:
            continue
        for parent in link.iterancestors():
            if parent.tag in ("body", "html", "nav", "footer", "header") and parent.getparent() is not None:
                break
            name = next((name for name in (parent.get("class") or "").split() if _NAME.fullmatch(name)), "")
            if parent.tag == "article" or name:
                found[f"{parent.tag}.{name}" if name else parent.tag] += 1
                if parent.tag == "article":
                    found["article"] += 1
                    break
    return [selector for selector, count in found.most_common(8) if count >= LISTING_LEAST]


def _parts(tree: HtmlElement, selector: str) -> dict[str, str]:
    """Return selectors of an item's title, time and following pages, where they are there."""
    items = tree.cssselect(selector)
    parts = {}
    for heading in ("h2", "h3", "h4", "h1"):
        if sum(bool(item.cssselect(f"{heading} a, a {heading}")) for item in items) * 2 > len(items):
            inside = any(item.cssselect(f"{heading} a") for item in items)
            parts = {"title": heading, "link": f"{heading} a" if inside else "a"}
            break
    else:
        parts = {"title": "a", "link": "a"}
    if sum(bool(item.cssselect("time")) for item in items) * 2 > len(items):
        parts["date"] = "time"
    if tree.cssselect("a[rel=next]"):
        parts["following"] = "a[rel=next]"
    return parts


def _guess(
    kind: str, items: Sequence[Item], *, title: str = "", is_news: bool = False, options: dict[str, Any] | None = None
) -> Guess:
    times = [when for item in items if (when := item.published or item.updated)]
    return Guess(
        kind=kind,
        title=title[:200],
        count=len(items),
        newest=max(times, default=None),
        titles=tuple(item.title for item in items if item.title)[:TITLES_SHOWN],
        urls=tuple(item.url for item in items[:10]),
        is_news=is_news,
        options=options or {},
    )


def _defaults(kind: str) -> dict[str, Any]:
    return registry.get(kind).clean_options({})


def _absolute(base: str, href: str) -> str:
    try:
        url = urljoin(base, href)
    except ValueError:
        return ""
    return url.partition("#")[0] if is_fetchable(url) else ""
