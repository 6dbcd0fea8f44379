"""What a page says of itself beside its text: title, instants, authors, image, language, canonical address and more.

It puts together what the modules beside it find, and says where each was found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from lxml.html import HtmlElement

from scrapers.extract.addresses import canonical, is_fetchable, normalise, site_of
from scrapers.extract.authors import find_authors
from scrapers.extract.dates import guessed, modified, published
from scrapers.extract.head import Head
from scrapers.extract.jsonld import Statements, texts
from scrapers.extract.titles import find_title

MAX_KEYWORDS = 50
"""Keywords that are kept of a page; some list hundreds for the sake of search engines."""
MAX_SUMMARY = 2000
"""Characters of a summary that are kept."""


@dataclass(frozen=True)
class Metadata:
    """What a page says of itself; empty where it does not.

    `url` is its canonical address, normalised. `published` and `modified` are aware; where no zone was written and none
    follows from the page (`zone_known`, `modified_zone_known`) they are the page's wall clock, taken as UTC. Neither
    lies more than a day ahead. `language` is a tag of BCP 47 in lower case. `methods` tells for each field that is not
    empty where it was found ("json-ld", "og:title", "canonical" …).
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


def read_metadata(
    tree: HtmlElement,
    url: str,
    *,
    complete: bool = True,
    now: datetime | None = None,
    head: Head | None = None,
    statements: Statements | None = None,
) -> Metadata:
    """Return what a page says of itself; `url` is where it came from, `now` the time that nothing lies far ahead of.

    Without `complete`, title, instant of publication and authors, which cost most, are left out: the source gave them.
    `head` and `statements` are of the same page, if they were read already.
    """
    now = now or datetime.now(UTC)
    head, statements = head or Head(tree), statements or Statements(tree, url)
    found: dict[str, tuple[Any, str]] = {
        "url": _address(head, url),
        "site_name": _site_name(head, statements),
        "summary": _summary(head, statements),
        "language": _language(tree, head, statements),
        "image": _image(head, statements, url),
        "section": _section(head, statements),
        "keywords": _keywords(head, statements),
    }
    first = None
    if complete:
        # A copy of a page says by its canonical address whose it is.
        hosts = _host_names(url, head.link("canonical"), head.first("og:url")[1])
        sites = {found["site_name"][0], *statements.publishers(), *hosts}
        found["title"] = find_title(tree, head, statements, sites)
        found["authors"] = find_authors(tree, head, statements, sites)
        first = published(tree, head, statements, url, now)
        found["published"] = (first.instant, first.method) if first else (None, "")
    last = modified(head, statements, url, now, first)
    found["modified"] = (last.instant, last.method) if last else (None, "")
    return Metadata(
        **{name: value for name, (value, _) in found.items()},
        zone_known=bool(first and first.zone_known),
        modified_zone_known=bool(last and last.zone_known),
        methods={name: method for name, (value, method) in found.items() if value},
    )


def with_guessed_day(found: Metadata, tree: HtmlElement, url: str) -> Metadata:
    """Return metadata with the day that the page as a whole suggests (`dates.guessed`), or as they are."""
    moment = guessed(tree, url)
    if moment is None:
        return found
    methods = found.methods | {"published": moment.method}
    return replace(found, published=moment.instant, zone_known=moment.zone_known, methods=methods)


def _address(head: Head, url: str) -> tuple[str, str]:
    """Return the address that the page gives itself, if it is on the same site: rel=canonical, else og:url."""
    page = normalise(url)
    for method, link in (("canonical", head.link("canonical")), ("og:url", head.first("og:url")[1])):
        chosen = canonical(url, link)
        if link and (chosen != page or _same(url, link)):
            return chosen, method
    return page, "address"


def _same(url: str, link: str) -> bool:
    try:
        return normalise(urljoin(url, link)) == normalise(url)
    except ValueError:
        return False


def _site_name(head: Head, statements: Statements) -> tuple[str, str]:
    method, name = head.first("og:site_name", "application-name")
    if name:
        return name, method
    return next(((name, "json-ld") for name in sorted(statements.publishers())), ("", ""))


def _host_names(*urls: str) -> Iterator[str]:
    """Yield the names of the site that follow from addresses: "www.example.co.uk", "example.co.uk", "example"."""
    for url in urls:
        try:
            host = (urlsplit(url).hostname or "").removeprefix("www.")
        except ValueError:
            continue
        if host and not host.replace(".", "").isdigit():
            yield from (host, site_of(host), site_of(host).partition(".")[0])


def _summary(head: Head, statements: Statements) -> tuple[str, str]:
    method, text = head.first("og:description", "description", "twitter:description", "dc.description")
    if not text:
        method, text = "json-ld", statements.article_text("description")
    return text[:MAX_SUMMARY], method


def _language(tree: HtmlElement, head: Head, statements: Statements) -> tuple[str, str]:
    root = tree.getroottree().getroot()
    stated = (
        ("html lang", root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or ""),
        ("json-ld", statements.article_text("inLanguage")),
        head.first("og:locale", "content-language", "dc.language", "language", "itemprop=inlanguage"),
    )
    for method, value in stated:
        tag = value.split(",")[0].strip().replace("_", "-").lower()
        if 2 <= len(tag) <= 20 and tag.replace("-", "").isalnum() and tag.partition("-")[0].isalpha():
            return tag, method
    return "", ""


def _image(head: Head, statements: Statements, url: str) -> tuple[str, str]:
    stated = [
        *head.all("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src"),
        *(("json-ld", link) for node in statements.articles for link in _links(statements.resolve(node.get("image")))),
        ("image_src", head.link("image_src")),
    ]
    for method, link in stated:
        address = _fetchable(url, link)
        if address:
            return address, method
    return "", ""


def _links(values: list[Any]) -> Iterator[str]:
    for value in values:
        link = value.get("url") or value.get("contentUrl") if isinstance(value, dict) else value
        if isinstance(link, str):
            yield link


def _section(head: Head, statements: Statements) -> tuple[str, str]:
    method, name = head.first("article:section", "parsely-section", "section", "itemprop=articlesection", "category")
    if name:
        return name[:200], method
    return statements.article_text("articleSection")[:200], "json-ld"


def _keywords(head: Head, statements: Statements) -> tuple[tuple[str, ...], str]:
    stated = (
        ("article:tag", [value for _, value in head.all("article:tag")]),
        ("json-ld", [text for node in statements.articles[:1] for text in texts(node.get("keywords"))]),
        ("news_keywords", [value for _, value in head.all("news_keywords")]),
        ("keywords", [value for _, value in head.all("keywords", "parsely-tags", "sailthru.tags")]),
    )
    for method, values in stated:
        found = {word.casefold(): word for value in values for word in map(str.strip, value.split(",")) if word}
        if found:
            return tuple(found.values())[:MAX_KEYWORDS], method
    return (), ""


def _fetchable(base: str, link: str) -> str:
    try:
        address = urljoin(base, link) if link else ""
    except ValueError:
        return ""
    return address if is_fetchable(address) else ""
