"""The title of an article, without what its site adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lxml import etree
from lxml.html import HtmlElement

from scrapers.extract.head import Head
from scrapers.extract.jsonld import Statements, plain

_SEPARATORS = re.compile(r"\s+[|•·—–»«:\-~/]+\s+|\s*[|｜]\s*|(?<=\S)\s[-–—]\s?(?=\S)")
_BREAKS = frozenset({"br", "div", "p", "h1", "h2", "h3", "li"})
_CUT = ("…", "...")
MAX_LENGTH = 500
"""What is longer is no title."""


def find_title(tree: HtmlElement, head: Head, statements: Statements, sites: Iterable[str]) -> tuple[str, str]:
    """Return (title, where it was found), two empty texts where there is none; `sites` are names of the site.

    The heading where it is the same as what the page gives to those that share it, else the headline that it states for
    machines, else what is shared, the heading, the title of the window; a site's name at either end is taken off.
    """
    names = {_folded(name) for name in sites} - {""}
    headings = [text for text in map(_shown, tree.iter("h1")) if text and _folded(text) not in names]
    shared = [(name, without_site(text, names)) for name, text in head.all("og:title", "twitter:title")]
    window = without_site(" ".join(map(_shown, tree.xpath("/html/head/title[1] | /html/title[1]"))), names)
    stated = without_site(statements.article_text("headline") or statements.article_text("name"), names)
    for method, text in shared:
        # What readers see and what is shared are the same: then that is what the story is called.
        if headings and _folded(text) == _folded(headings[0]):
            return text, method
    for method, text in (("json-ld", stated), *shared, *(("h1", text) for text in headings), ("title", window)):
        if text and len(text) <= MAX_LENGTH and _folded(text) not in names:
            return _uncut(text, [*(text for _, text in shared), *headings, window]), method
    return "", ""


def written_titles(tree: HtmlElement, head: Head, statements: Statements) -> list[str]:
    """Return all ways in which a page writes its title, as they stand."""
    headings = [_shown(heading) for heading in tree.iter("h1")]
    return [
        statements.article_text("headline"),
        *headings,
        *(text for _, text in head.all("og:title", "twitter:title")),
    ]


def without_site(title: str, names: set[str]) -> str:
    """Return a title without a name of the site at its end or its beginning, set off by a dash, a bar or the like."""
    for match in reversed(list(_SEPARATORS.finditer(title))):
        if _folded(title[match.end() :]) in names and title[: match.start()].strip():
            return without_site(title[: match.start()].strip(), names)
    for match in _SEPARATORS.finditer(title):
        if _folded(title[: match.start()]) in names and title[match.end() :].strip():
            return title[match.end() :].strip()
    return title


def _shown(element: HtmlElement) -> str:
    """Return the text of a heading, words of different blocks apart."""
    parts: list[str] = []
    for event, node in etree.iterwalk(element, events=("start", "end")):
        if node.tag in _BREAKS:
            parts.append(" ")
        parts.append((node.text if event == "start" else node.tail if node is not element else "") or "")
    return plain("".join(parts))


def _uncut(title: str, others: list[str]) -> str:
    """Return the whole of a title that was cut short, where the page has it in another place."""
    if not title.endswith(_CUT):
        return title
    stem = title.rstrip("….\N{NO-BREAK SPACE} ")
    longer = (other for other in others if other.startswith(stem) and not other.endswith(_CUT))
    return next(longer, title)


def _folded(name: str) -> str:
    return re.sub(r"^www\.|[\W_]+", "", name.casefold())
