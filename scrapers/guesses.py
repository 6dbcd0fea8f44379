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
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import regex
from django.core.exceptions import ValidationError
from lxml.html import HtmlElement

from scrapers import selectors
from scrapers.extract.addresses import is_fetchable, normalise, site_of
from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError
from scrapers.kinds import Item, registry
from scrapers.kinds.feed import FeedKind
from scrapers.kinds.json_api import read_json
from scrapers.kinds.listing import MAX_ITEMS, read_listing, read_tree
from scrapers.kinds.sitemap import read_sitemap
from scrapers.words import NO_SPACES

TITLES_SHOWN = 3
MOST_LINKS = 30
"""Links of one page that may lead to a feed and are looked at."""
LISTING_LEAST = 3
"""Links of one sort that make a page a listing."""
ARTICLES_LEAST = 2
"""The same where each stands in an element `article`."""
STORY_LISTING_LEAST = 10
"""The same on a page that calls itself one article: fewer are what else there is to read."""
TITLE_CHARACTERS = 20
"""A link with fewer is a word of navigation, not the title of a story; a character of Chinese counts as three."""
PAGES = 5
"""Pages that are followed where it is seen how: the first poll wants them, later ones stop at what is known."""
PAGE_BYTES = 2 * 1024 * 1024
"""A larger page is not taken for a listing: a thread of the web process reads it, and none is to be kept busy."""
LINKS_READ, LEVELS_UP, ITEMS_TRIED = 2000, 8, 20
"""Links of a page that are looked at for what stands around them, how far up, and items that are looked into."""
URLS_COMPARED = 30
"""Addresses of a guess that are kept, to tell whether two hold the same."""
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
#: Where APIs say what follows, beside or above the list of items, the most telling first.
_JSON_NEXT = re.compile(
    r"next(?:[_-]?(?:url|link|cursor|token|href|page(?:[_-]?(?:url|token|number))?))?", re.IGNORECASE
)
#: What holds such a name, and no articles.
_JSON_PAGING = re.compile(r"_?links|paging|pagination|page|pages|meta|cursors?|page[_-]?info", re.IGNORECASE)
_CURSOR = re.compile(r"cursor|token", re.IGNORECASE)
#: By what parameters addresses say which page they are.
_PAGE_PARAMETERS = ("page", "p", "page_number", "pageNumber", "pg", "paged", "offset", "cursor", "after", "from")
#: Where pages have the link to the one that follows, the surest first.
_FOLLOWING = (
    *("link[rel=next]", "a[rel=next]", "a.next", ".next > a", "a.next-page", "a.pagination-next", "a.nextpostslink"),
    *(".pagination-next a", ".nav-previous a", ".older-posts a", "a.older-posts"),
)
_HTML = re.compile(rb"[\xef\xbb\xbf\s]*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_WIDE = regex.compile(rf"[{NO_SPACES}]")


@dataclass(frozen=True)
class Guess:
    """What an answer is taken for: the kind with its options, and what it holds.

    `urls` are the addresses of its first items, normalised; `newest` is when the newest of them was published, if it
    says so. `is_news` and `is_index` are said of sitemaps; the items of an index are sitemaps.
    """

    kind: str
    title: str = ""
    count: int = 0
    newest: datetime | None = None
    titles: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    is_news: bool = False
    is_index: bool = False
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


@dataclass(frozen=True)
class PageLinks:
    """What a page says of its site: its name, and links to feeds and sitemaps, each with whether it declares it so."""

    site: str = ""
    links: tuple[tuple[str, bool], ...] = ()


def read_page_links(answer: Answer) -> PageLinks:
    """Return what a page says of its site; nothing for what is no page. What it declares comes first."""
    try:
        tree = read_tree(answer)
    except CollectError:
        return PageLinks()
    base = absolute(answer.url, next(iter(tree.xpath("//base/@href")), "")) or answer.url
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
        url = absolute(base, href)
        if url and not _NOT_A_FEED.search(url) and (declared or _FEED_LINK.search(urlsplit(url).path)):
            found[url] = found.get(url, False) or declared
    # A directory of feeds may link to hundreds.
    links = sorted(found.items(), key=lambda pair: not pair[1])[:MOST_LINKS]
    names = tree.xpath("//meta[@property='og:site_name' or @name='application-name']/@content")
    site = next((words for name in names if (words := " ".join(str(name).split()))), "")
    return PageLinks(site[:200], tuple(links))


def _feed(answer: Answer) -> Guess | None:
    if _HTML.match(answer.body):
        # The reader of feeds would look for one all through it, at more than a second for each megabyte.
        return None
    listing = FeedKind().read(answer.body, url=answer.url, content_type=answer.content_type)
    return _guess("feed", listing.items, title=listing.title)


def _sitemap(answer: Answer) -> Guess | None:
    sitemap = read_sitemap(answer.body, url=answer.url, content_type=answer.content_type)
    if sitemap.is_index:
        changed = [when for _url, when in sitemap.sitemaps if when]
        newest = max(changed, default=None)
        return Guess("sitemap", count=len(sitemap.sitemaps), newest=newest, is_index=True, options=_defaults("sitemap"))
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
        options |= _json_paging(data, path, answer.url)
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
            yield from _lists(value, f"{path}.{_quoted(name)}" if path else _quoted(name), depth + 1)


def _json_options(path: str, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    first = entries[0]
    options = {part: name for part, names in _JSON_NAMES.items() if (name := _first_held(first, names))}
    if "link" not in options or "title" not in options:
        return None
    return registry.get("json_api").clean_options({"items": path, **options})


def _json_paging(data: Any, items: str, url: str) -> dict[str, Any]:
    """Return the options that find the page that follows: by what the answer names, else by the address's parameter."""
    named = [name for name, _value in parse_qsl(urlsplit(url).query, keep_blank_values=True)]
    parameter = next((name for name in _PAGE_PARAMETERS if name in named), "")
    found = next(_followings(data, items), None)
    if found is None:
        # An address that says which page it is of, by a number that counts up.
        counts = parameter in ("page", "p", "page_number", "pageNumber", "pg", "paged")
        return {"parameter": parameter, "pages": PAGES} if counts else {}
    path, name, value = found
    if not parameter:
        parameter = "cursor" if _CURSOR.search(name) or (isinstance(value, str) and not value.isdigit()) else "page"
    is_address = isinstance(value, str) and value.startswith(("http://", "https://", "/", "?"))
    return {"following": path, "parameter": "" if is_address else parameter, "pages": PAGES}


def _followings(data: Any, items: str, path: str = "", depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """Yield (JMESPath, name, value) of what may tell the page that follows: null on the last one."""
    if not isinstance(data, dict):
        return
    for name, value in data.items():
        where = f"{path}.{_quoted(name)}" if path else _quoted(name)
        if _NAME.fullmatch(name) and _JSON_NEXT.fullmatch(name) and not isinstance(value, dict | list | bool):
            yield where, name, value
    for name, value in data.items():
        where = f"{path}.{_quoted(name)}" if path else _quoted(name)
        leads = _JSON_PAGING.fullmatch(name) or _JSON_NEXT.fullmatch(name) or f"{items}.".startswith(f"{where}.")
        if depth < 3 and _NAME.fullmatch(name) and leads:
            yield from _followings(value, items, where, depth + 1)
        if name == "href" and isinstance(value, str) and path.rpartition(".")[2].strip('"').lower() == "next":
            yield where, name, value


def _quoted(name: str) -> str:
    return f'"{name}"' if "-" in name else name


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
    if len(answer.body) > PAGE_BYTES:
        return None
    tree = read_tree(answer)
    least = STORY_LISTING_LEAST if _is_story(tree) else 0
    best: Guess | None = None
    for selector in _selectors(tree, answer.url):
        items = selectors.elements(tree, selector)[:MAX_ITEMS]
        if _are_nested(items):
            continue
        options = registry.get("listing").clean_options({"items": selector, **_parts(tree, items[:ITEMS_TRIED])})
        try:
            listing, _following = read_listing(answer, options)
        except CollectError:
            continue
        count = len(listing.items)
        if count >= max(least, _least(selector)) and (best is None or count > best.count):
            best = _guess("listing", listing.items, title=listing.title, options=options)
    return best


def _are_nested(items: Sequence[HtmlElement]) -> bool:
    """Tell whether one stands within another: then neither is one article."""
    own = set(items)
    return any(parent in own for item in items for parent in item.iterancestors())


def _is_story(tree: HtmlElement) -> bool:
    """Tell whether a page calls itself one article."""
    return any(str(value).strip().lower() == "article" for value in tree.xpath("//meta[@property='og:type']/@content"))


def _least(selector: str) -> int:
    return ARTICLES_LEAST if selector.partition(".")[0] == "article" else LISTING_LEAST


def _selectors(tree: HtmlElement, base: str) -> list[str]:
    """Return selectors of what stands several times on a page around links that read like titles of stories.

    `article` with a headline where the page has it, else the nearest parent of such a link that has a class.
    """
    found: Counter[str] = Counter()
    host = site_of(urlsplit(base).hostname or "")
    for link in islice(tree.iter("a"), LINKS_READ):
        words = " ".join("".join(islice(link.itertext(), 50)).split())
        url = absolute(base, link.get("href") or "")
        if (
            len(words) + 2 * len(_WIDE.findall(words)) < TITLE_CHARACTERS
            or not url
            or site_of(urlsplit(url).hostname or "") != host
        ):
            continue
        for parent in islice(link.iterancestors(), LEVELS_UP):
            if parent.tag in ("body", "html", "nav", "footer", "header") and parent.getparent() is not None:
                break
            name = next((name for name in (parent.get("class") or "").split() if _NAME.fullmatch(name)), "")
            if parent.tag == "article" or name:
                found[f"{parent.tag}.{name}" if name else parent.tag] += 1
                if parent.tag == "article":
                    found["article"] += 1
                    break
    return [selector for selector, count in found.most_common(8) if count >= _least(selector)]


def _parts(tree: HtmlElement, items: Sequence[HtmlElement]) -> dict[str, Any]:
    """Return selectors of the title and time of items and of following pages, where they are there."""

    def most(selector: str) -> bool:
        return sum(bool(selectors.elements(item, selector)) for item in items) * 2 > len(items)

    parts: dict[str, Any] = {}
    for heading in ("h2", "h3", "h4", "h1"):
        if most(f"{heading} a, a {heading}"):
            inside = any(selectors.elements(item, f"{heading} a") for item in items)
            parts = {"title": heading, "link": f"{heading} a" if inside else "a"}
            break
    else:
        parts = {"title": "a", "link": "a"}
    if most("time"):
        parts["date"] = "time"
    following = next((way for way in _FOLLOWING if selectors.first_link(tree, way)), "")
    return {**parts, "following": following, "pages": PAGES} if following else parts


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
        urls=tuple(_normalised(item.url) for item in items[:URLS_COMPARED] if item.url),
        is_news=is_news,
        options=options or {},
    )


def _normalised(url: str) -> str:
    try:
        return normalise(url)
    except ValueError:
        # Of a host that cannot be: nothing else has this address either.
        return url


def _defaults(kind: str) -> dict[str, Any]:
    return registry.get(kind).clean_options({})


def absolute(base: str, href: str) -> str:
    """Return the full address of a link, without its fragment; nothing for what cannot be fetched."""
    try:
        url = urljoin(base, href)
    except ValueError:
        return ""
    return url.partition("#")[0] if is_fetchable(url) else ""
