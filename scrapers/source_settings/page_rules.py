"""What people say of a source's article pages: where parts are, what to cut out; for the extraction processes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree, html
from lxml.html import HtmlElement

from scrapers import selectors
from scrapers.extract.encoding import decode
from scrapers.extract.names import clean_names
from scrapers.extract.page import Page, Wanted, read_page
from scrapers.extract.times import parse_time

METHOD = "selector"
_TAGS = ("p", "li", "h2", "h3", "h4", "pre", "blockquote")
_BLOCKS = f"descendant-or-self::*[{' or '.join(f'self::{tag}' for tag in _TAGS)}]"


@dataclass(frozen=True)
class PageRules:
    """Selectors for the parts of an article's page, and for what is taken out before anything is looked for."""

    title: str = ""
    text: str = ""
    date: str = ""
    author: str = ""
    cut: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.title or self.text or self.date or self.author or self.cut)

    def chosen(self, page: Page) -> dict[str, Any]:
        """Return what the selectors found of what an item may bring along too (title, authors, time)."""
        metadata = page.metadata
        found: dict[str, Any] = {}
        if metadata.methods.get("title") == METHOD:
            found["title"] = metadata.title
        if metadata.methods.get("authors") == METHOD:
            found["authors"] = metadata.authors
        if metadata.methods.get("published") == METHOD:
            found |= {"published": metadata.published, "zone_known": metadata.zone_known}
        return found


NO_RULES = PageRules()


def read_page_by(
    body: bytes, content_type: str, url: str, wanted: Wanted = Wanted.ALL, rules: PageRules = NO_RULES
) -> Page | None:
    """Return the article of a page, as `read_page` does, with the selectors that found nothing in `unmatched`.

    What a selector finds comes before what was found without; one that finds nothing changes nothing.
    """
    if not rules:
        return read_page(body, content_type, url, wanted)
    try:
        text = decode(body, content_type)
        tree = html.document_fromstring(text.encode("utf-8", "replace"), parser=html.HTMLParser(encoding="utf-8"))
    except (etree.LxmlError, ValueError):
        return read_page(body, content_type, url, wanted)
    uncut = [f"cut: {expression}" for expression in rules.cut if not _cut(tree, expression)]
    found, unmatched = _parts(rules, tree)
    if rules.cut:
        body, content_type = html.tostring(tree, encoding="utf-8"), "text/html; charset=utf-8"
    page = read_page(body, content_type, url, wanted)
    return None if page is None else replace(_with(page, found), unmatched=(*unmatched, *uncut))


def _parts(rules: PageRules, tree: HtmlElement) -> tuple[dict[str, str], list[str]]:
    found, unmatched = {}, []
    for name in ("title", "text", "date", "author"):
        expression = getattr(rules, name)
        if not expression:
            continue
        if name == "text":
            value = "\n".join(filter(None, (_paragraphs(element) for element in selectors.elements(tree, expression))))
        elif name == "author":
            value = "\n".join(selectors.texts(tree, expression))
        else:
            value = selectors.first_text(tree, expression)
        if name == "date" and value and parse_time(value)[0] is None:
            value = ""
        if value:
            found[name] = value
        else:
            unmatched.append(f"{name}: {expression}")
    return found, unmatched


def _paragraphs(element: HtmlElement) -> str:
    blocks = [block for block in element.xpath(_BLOCKS) if not block.xpath("ancestor::blockquote | ancestor::li")]
    texts = [block.text_content() for block in blocks] or [element.text_content()]
    return "\n".join(filter(None, (re.sub(r"\s+", " ", text).strip() for text in texts)))


def _cut(tree: HtmlElement, expression: str) -> bool:
    cut = False
    for element in selectors.elements(tree, expression):
        if element.getparent() is not None:
            element.drop_tree()
            cut = True
    return cut


def _with(page: Page, found: dict[str, str]) -> Page:
    metadata, methods = page.metadata, {name: METHOD for name in found if name == "title"}
    if "title" in found:
        metadata = replace(metadata, title=found["title"])
    if "author" in found:
        metadata = replace(metadata, authors=clean_names(found["author"].split("\n")))
        methods["authors"] = METHOD
    if "date" in found:
        published, zoned = parse_time(found["date"])
        metadata = replace(metadata, published=published, zone_known=zoned)
        methods["published"] = METHOD
    metadata = replace(metadata, methods=metadata.methods | methods)
    page = replace(page, metadata=metadata)
    return replace(page, text=found["text"], method=METHOD) if "text" in found else page
