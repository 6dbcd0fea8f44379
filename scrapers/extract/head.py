"""The `<meta>` and `<link>` elements of a page, read once and asked by name."""

from __future__ import annotations

from collections.abc import Iterator

from lxml.html import HtmlElement

from scrapers.extract.jsonld import plain


class Head:
    """What a page says in its `<meta>` and `<link>` elements; names in lower case, values as plain text."""

    def __init__(self, tree: HtmlElement) -> None:
        self._meta: dict[str, list[str]] = {}
        self._links: dict[str, list[str]] = {}
        for element in tree.iter("meta"):
            value = plain(element.get("content") or "")
            for kind in ("property", "name", "itemprop", "http-equiv"):
                name = (element.get(kind) or "").strip().lower()
                if name and value:
                    prefix = "itemprop=" if kind == "itemprop" else ""
                    self._meta.setdefault(prefix + name, []).append(value)
        for element in tree.iter("link"):
            for relation in (element.get("rel") or "").lower().split():
                self._links.setdefault(relation, []).append((element.get("href") or "").strip())

    def all(self, *names: str) -> Iterator[tuple[str, str]]:
        """Yield (name, value) of each named meta element, in the order of the names."""
        for name in names:
            for value in self._meta.get(name, ()):
                yield name, value

    def first(self, *names: str) -> tuple[str, str]:
        """Return (name, value) of the first that is there, else two empty texts."""
        return next(self.all(*names), ("", ""))

    def link(self, relation: str) -> str:
        """Return the address of the first link of a relation as it is written, or an empty text."""
        return next(filter(None, self._links.get(relation, ())), "")
