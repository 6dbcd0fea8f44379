"""From a page's bytes to its article; pure functions without Django, called in processes of their own (`pool.py`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import trafilatura
from lxml import etree
from lxml.html import HtmlElement

from scrapers.extract.encoding import decode
from scrapers.extract.metadata import Metadata, read_metadata

ENOUGH_CHARACTERS = 400
"""A text that the strict way of extraction finds and that is shorter than this may not be all of it."""


@dataclass(frozen=True)
class Page:
    """The article of a page: its text, a paragraph a line, empty where none was found, and its metadata."""

    text: str
    metadata: Metadata


def read_page(body: bytes, content_type: str, url: str, complete: bool = True) -> Page | None:
    """Return the article of a page that came from `url`, or None for a body that is no HTML at all.

    `complete` as in `read_metadata`.
    """
    tree = trafilatura.load_html(decode(body, content_type))
    if tree is None:
        return None
    metadata = read_metadata(tree, url, complete=complete)
    return Page(_text(tree, url), metadata)


def read_fragment(html: str) -> str:
    """Return the text of a piece of HTML as feeds carry it."""
    if not html.strip():
        return ""
    try:
        tree = trafilatura.load_html(f"<html><body><article>{html}</article></body></html>")
    except (etree.LxmlError, ValueError):
        return ""
    return "" if tree is None else _lines(tree)


def _text(tree: HtmlElement, url: str) -> str:
    """Return the text without what stands around it; where the strict way finds little, the usual way decides."""
    found = ""
    for strict in (True, False):
        # Comments of readers are not the article.
        result = trafilatura.extract(tree, url=url, include_comments=False, favor_precision=strict)
        found = result.strip() if result else found
        if len(found) >= ENOUGH_CHARACTERS:
            break
    return found


def _lines(tree: HtmlElement) -> str:
    """Return all text of a tree, a block a line."""
    blocks = tree.xpath("//p | //li | //h1 | //h2 | //h3 | //h4 | //blockquote[not(p)] | //pre")
    texts = [block.text_content() for block in blocks] or [tree.text_content()]
    return "\n".join(filter(None, (re.sub(r"\s+", " ", text).strip() for text in texts)))
