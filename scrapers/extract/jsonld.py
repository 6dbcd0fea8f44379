"""What a page states of its article as JSON-LD with the words of schema.org.

Pages state it in many ways: one object or a list, an `@graph` whose nodes refer to each other by `@id`, several
articles beside each other, JSON with small faults. Called by the modules for dates, titles, authors and the rest.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from lxml.html import HtmlElement

Node = dict[str, Any]

MAX_NODES = 20_000
"""Objects of one page that are looked at; real pages have some dozens."""
MAX_CHARACTERS = 4_000_000
"""Longest script that is read."""

_ARTICLE_TYPES = ("Article", "Posting", "Report", "Review", "Recipe")
#: What an article links to, shows or is part of: articles in there are other articles.
_ELSEWHERE = frozenset(
    {"itemListElement", "hasPart", "isPartOf", "citation", "comment", "mentions", "about", "review", "relatedLink"}
)
_WRAPPING = re.compile(r"^\s*(?://)?\s*(?:<!\[CDATA\[|<!--)|(?://)?\s*(?:\]\]>|-->)\s*;?\s*$|;\s*$")
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_TAG = re.compile(r"<[a-zA-Z/][^<>]*>")


class Statements:
    """The JSON-LD of a page; `url` tells which of several articles is the page's own."""

    def __init__(self, tree: HtmlElement, url: str) -> None:
        self._by_id: dict[str, list[Node]] = {}
        self._nodes: list[tuple[Node, bool]] = []
        for data in _documents(tree):
            self._collect(data)
        path = _path(url)
        own = [node for node, elsewhere in self._nodes if not elsewhere and is_article(node)]
        #: The page's articles: those that bear its address, else all, since many bear none or an older one.
        self.articles = [node for node in own if path and path in _paths(node)] or own

    def article_text(self, name: str) -> str:
        """Return the first text that an article states under a name, as plain text; empty where there is none."""
        return next((text for node in self.articles for text in texts(node.get(name))), "")

    def article_times(self, name: str) -> Iterator[str]:
        """Yield the times that the articles, then any other node of the page's own, state under a name."""
        others = [node for node, elsewhere in self._nodes if not elsewhere and not is_article(node)]
        for node in [*self.articles, *others]:
            value = node.get(name)
            for single in value if isinstance(value, list) else [value]:
                if isinstance(single, str | int) and not isinstance(single, bool):
                    yield str(single)

    def resolve(self, value: Any) -> list[Any]:
        """Return the values that one stands for: a list's members, and the nodes that an `@id` refers to."""
        found: list[Any] = []
        for single in value if isinstance(value, list) else [value]:
            if isinstance(single, dict) and isinstance(single.get("@id"), str):
                # A node may be spread: the name stands in one place, the address in another.
                merged: Node = {}
                for node in [single, *self._by_id.get(single["@id"], [])]:
                    merged = {**node, **merged}
                found.append(merged)
            elif single is not None:
                found.append(single)
        return found

    def names_of(self, *types: str) -> set[str]:
        """Return the names of all nodes of some types."""
        return {name for node, _ in self._nodes if types_of(node) & set(types) for name in texts(node.get("name"))}

    def publishers(self) -> set[str]:
        """Return the names of publishers and sites that the page states."""
        names = self.names_of("WebSite", "NewsMediaOrganization")
        for node in self.articles:
            for publisher in self.resolve(node.get("publisher")):
                names.update(texts(publisher.get("name") if isinstance(publisher, dict) else publisher))
        return names

    def _collect(self, document: Any) -> None:
        waiting: list[tuple[Any, bool]] = [(document, False)]
        while waiting and len(self._nodes) < MAX_NODES:
            value, elsewhere = waiting.pop()
            if isinstance(value, list):
                waiting.extend((member, elsewhere) for member in reversed(value))
            elif isinstance(value, dict):
                self._nodes.append((value, elsewhere))
                if isinstance(value.get("@id"), str) and len(value) > 1:
                    self._by_id.setdefault(value["@id"], []).append(value)
                for name, member in reversed(list(value.items())):
                    if isinstance(member, dict | list):
                        waiting.append((member, elsewhere or name in _ELSEWHERE))


def types_of(node: Node) -> set[str]:
    """Return the types of a node without the vocabulary's address."""
    stated = node.get("@type")
    names = stated if isinstance(stated, list) else [stated]
    return {name.rsplit("/", 1)[-1].rsplit("#", 1)[-1] for name in names if isinstance(name, str)}


def is_article(node: Node) -> bool:
    """Tell whether a node is some kind of article."""
    # A ClaimReview is about what others said.
    return any(name.endswith(_ARTICLE_TYPES) and name != "ClaimReview" for name in types_of(node))


def texts(value: Any) -> list[str]:
    """Return the texts of a value: itself, or the members of a list; entities and tags resolved, not empty."""
    members = value if isinstance(value, list) else [value]
    return [text for text in (plain(member) for member in members if isinstance(member, str)) if text]


def plain(text: str) -> str:
    """Return a text as a reader sees it: entities (often escaped twice) resolved, without tags and spaces too many."""
    if "&" in text:
        text = html.unescape(html.unescape(text))
    if "<" in text:
        text = _TAG.sub("", text)
    return " ".join(text.split())


def _documents(tree: HtmlElement) -> Iterator[Any]:
    for script in tree.iter("script"):
        kind = (script.get("type") or "").lower()
        text = script.text or ""
        if "ld+json" in kind and 0 < len(text) <= MAX_CHARACTERS:
            yield from _parsed(text)


def _parsed(text: str) -> Iterator[Any]:
    """Yield what a script holds; one with faults as far as it can be understood."""
    for attempt in (text, _TRAILING_COMMA.sub(r"\1", _WRAPPING.sub("", text)), html.unescape(text)):
        try:
            # Not strict: line breaks inside strings are the most frequent fault.
            yield json.loads(attempt, strict=False)
        except (ValueError, RecursionError):
            continue
        return
    # Several objects one after another.
    decoder, position = json.JSONDecoder(strict=False), text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        yield value
        position = text.find("{", end)


def _paths(node: Node) -> set[str]:
    found = set()
    for name in ("url", "mainEntityOfPage", "@id"):
        value = node.get(name)
        for single in value if isinstance(value, list) else [value]:
            link = single.get("@id") or single.get("url") if isinstance(single, dict) else single
            if isinstance(link, str):
                found.add(_path(link))
    return found - {""}


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""
