"""The text of an article: what of a page, or of a feed's piece of HTML, is the story and not what stands around it."""

from __future__ import annotations

import re

import trafilatura
from lxml import etree
from lxml.html import HtmlElement

ENOUGH_CHARACTERS = 400
"""A text that the strict way of extraction finds and that is shorter than this may not be all of it."""


def read_fragment(html: str) -> str:
    """Return the text of a piece of HTML as feeds carry it."""
    if not html.strip():
        return ""
    try:
        tree = trafilatura.load_html(f"<html><body><article>{html}</article></body></html>")
    except (etree.LxmlError, ValueError):
        return ""
    return "" if tree is None else _lines(tree)


def read_text(tree: HtmlElement, url: str) -> tuple[str, str]:
    """Return the text without what stands around it, and which way found it.

    A paragraph a line, empty where there is none. Where the strict way finds little, the usual way decides.
    """
    found, method = "", ""
    for strict in (True, False):
        # Comments of readers are not the article.
        result = trafilatura.extract(tree, url=url, include_comments=False, favor_precision=strict)
        if result and result.strip():
            found, method = result.strip(), "trafilatura, strict" if strict else "trafilatura"
        if len(found) >= ENOUGH_CHARACTERS:
            break
    return found, method


def _lines(tree: HtmlElement) -> str:
    """Return all text of a tree, a block a line."""
    blocks = tree.xpath("//p | //li | //h1 | //h2 | //h3 | //h4 | //blockquote[not(p)] | //pre")
    texts = [block.text_content() for block in blocks] or [tree.text_content()]
    return "\n".join(filter(None, (re.sub(r"\s+", " ", text).strip() for text in texts)))
