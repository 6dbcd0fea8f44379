"""What a page says of itself beside its text: title, instant, authors, image, language, canonical address."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

from lxml.html import HtmlElement
from trafilatura import extract_metadata

from scrapers.extract.addresses import canonical, is_fetchable
from scrapers.extract.names import clean_names
from scrapers.extract.times import parse_time

_TIME_FIELDS = (
    '//meta[@property="article:published_time"]/@content',
    '//meta[@itemprop="datePublished"]/@content',
    '//*[@itemprop="datePublished"]/@datetime',
    '//meta[@name="date" or @name="pubdate" or @name="parsely-pub-date" or @name="dc.date.issued"]/@content',
)
_JSON_LD_DEPTH = 8


@dataclass(frozen=True)
class Metadata:
    """What a page says of itself; empty where it does not.

    `url` is its canonical address, normalised. `published` and `modified` are aware; where no zone was written
    (`zone_known`, `modified_zone_known`) they are the page's wall clock, taken as UTC. Neither lies more than a day
    ahead. `language` is a tag of BCP 47 in lower case. `methods` tells for each field that is not empty where it was
    found ("json-ld", "og:title", "rel=canonical" …).
    """

    url: str
    title: str = ""
    summary: str = ""
    published: datetime | None = None
    zone_known: bool = False
    modified: datetime | None = None
    modified_zone_known: bool = False
    authors: tuple[str, ...] = ()
    language: str = ""
    image: str = ""
    section: str = ""
    keywords: tuple[str, ...] = ()
    site_name: str = ""
    methods: dict[str, str] = field(default_factory=dict)


def read_metadata(tree: HtmlElement, url: str, *, complete: bool = True) -> Metadata:
    """Return what a page says of itself; `url` is where it came from.

    Without `complete`, title, instant and authors, which cost most, are left out: the source gave them.
    """
    link = _first(tree, '//link[translate(@rel, "CANONIL", "canonil")="canonical"]/@href')
    image = _first(tree, '//meta[@property="og:image" or @name="og:image"]/@content')
    language = _first(tree, "/html/@lang", "/html/@xml:lang", '//meta[@property="og:locale"]/@content')
    values: dict[str, Any] = {
        "url": canonical(url, link),
        "image": _fetchable(url, image),
        "language": language.replace("_", "-").lower()[:20],
        "summary": _first(tree, '//meta[@property="og:description"]/@content', '//meta[@name="description"]/@content'),
    }
    if complete:
        values |= _described(tree, url)
    return Metadata(**values)


def _described(tree: HtmlElement, url: str) -> dict[str, Any]:
    found = extract_metadata(tree, default_url=url)
    published, zone_known = _published(tree)
    if published is None:
        published, zone_known = parse_time(found.date or "")
    return {
        "title": " ".join((found.title or "").split()),
        "published": published,
        "zone_known": zone_known,
        "authors": clean_names((found.author or "").split(";")),
    }


def _published(tree: HtmlElement) -> tuple[datetime | None, bool]:
    """Return the first stated instant of publication that has a time of day, and whether its zone was written."""
    candidates = [*_json_ld_times(tree), *(str(value) for path in _TIME_FIELDS for value in tree.xpath(path))]
    for text in candidates:
        instant, zone_known = parse_time(text)
        if instant is not None and len(text.strip()) > len("2026-11-24"):
            return instant, zone_known
    return None, False


def _json_ld_times(tree: HtmlElement) -> Iterator[str]:
    for script in tree.xpath('//script[@type="application/ld+json"]/text()'):
        try:
            data = json.loads(str(script), strict=False)
        except (ValueError, RecursionError):
            continue
        yield from _values(data, "datePublished", _JSON_LD_DEPTH)


def _values(data: Any, name: str, depth: int) -> Iterator[str]:
    if depth == 0:
        return
    if isinstance(data, dict):
        if isinstance(data.get(name), str):
            yield data[name]
        for value in data.values():
            yield from _values(value, name, depth - 1)
    elif isinstance(data, list):
        for value in data:
            yield from _values(value, name, depth - 1)


def _first(tree: HtmlElement, *paths: str) -> str:
    for path in paths:
        for value in tree.xpath(path):
            words = " ".join(str(value).split())
            if words:
                return words
    return ""


def _fetchable(base: str, link: str) -> str:
    try:
        address = urljoin(base, link) if link else ""
    except ValueError:
        return ""
    return address if is_fetchable(address) else ""
