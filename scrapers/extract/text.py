"""The text of an article: what of a page, or of a feed's piece of HTML, is the story and not what stands around it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from itertools import pairwise

import trafilatura
from lxml import etree
from lxml.html import HtmlElement
from readability import Document as Readability
from resiliparse.extract.html2text import extract_plain_text
from trafilatura.readability_lxml import Document as QuickReadability
from trafilatura.settings import Extractor

from scrapers.extract.lines import Blocks, clean_lines, fold

ENOUGH_CHARACTERS = 400
"""A text shorter than this may not be all of it: then trafilatura's slower ways are tried."""
AGREED = 0.7
"""The share of a text that a second extractor must have too, for its word to count about the rest."""
SAME = 0.9
"""The likeness from which two extractors are said to have found the same text."""
MORE = 1.15
"""How many times as long another text must be for the slowest extractor to be asked about it."""
QUOTED_AT_MOST = 0.25
"""The share of a text that may be quotations for them to be part of the story whatever a second extractor says."""
#: Comments of readers are not the article. An `Extractor` is costly to make: it reads its settings as texts.
_FAST, _USUAL = (Extractor(comments=False, fast=fast) for fast in (True, False))


class Reading:
    """What one extractor found: its lines, and their letters, by which readings are compared."""

    def __init__(self, method: str, text: str) -> None:
        self.method = method
        self.lines = [line for line in text.split("\n") if line.strip()]
        self.folded = [fold(line) for line in self.lines]
        self.whole = "".join(self.folded)

    @property
    def text(self) -> str:
        """Return the text, a paragraph a line."""
        return "\n".join(self.lines)

    def share_in(self, other: str) -> float:
        """Return the share of the text whose lines another text, given as its letters, has too."""
        return sum(len(line) for line in self.folded if line in other) / max(1, len(self.whole))

    def only(self, method: str, *others: str) -> Reading:
        """Return the lines that any of some other texts has too."""
        pairs = zip(self.lines, self.folded, strict=True)
        return Reading(method, "\n".join(line for line, folded in pairs if any(folded in other for other in others)))

    def likeness(self, other: Reading) -> float:
        """Return how much of both texts is the same, by their pairs of words: 0 nothing, 1 all."""
        mine, theirs = _pairs(self), _pairs(other)
        return 2 * (mine & theirs).total() / max(1, mine.total() + theirs.total())


def read_text(tree: HtmlElement, html: str, titles: Iterable[str] = (), stated: str = "") -> tuple[str, str]:
    """Return the text of a page's article, a paragraph a line, and how it was found; both empty where there is none.

    `titles` are the ways the page writes its title, `stated` is the text that it states for machines (articleBody).

    1. trafilatura reads the page in its fast way; where that is little, in its usual way.
    2. Lines are taken out that are no part of a story (`lines.py`).
    3. A second extractor, quick too, judges. Where it has most of the text, what it has not is taken out, quotations
       apart. Where it has not, and another has all that was found and more, a last one is asked; if these two agree,
       theirs is the text: the story stands in several places of the page.
    4. Where the page states its text for machines, often cut short or without paragraphs, that decides between them.
    """
    blocks, titles = Blocks(tree), list(titles)

    def cleaned(method: str, text: str) -> Reading:
        return Reading(method, clean_lines(text, blocks, titles))

    first = cleaned("trafilatura", _trafilatura(tree, fast=True))
    if len(first.whole) < ENOUGH_CHARACTERS:
        usual = cleaned("trafilatura", _trafilatura(tree, fast=False))
        first = max(first, usual, key=lambda reading: len(reading.whole))
    if not first.lines:
        return "", ""
    judge = fold(_quick_readability(tree))
    readings = [first]
    if first.share_in(judge) >= AGREED:
        quoted = fold(" ".join(quote.text_content() for quote in tree.iter("blockquote")))
        small = len(quoted) <= QUOTED_AT_MOST * len(first.whole)
        readings.insert(0, first.only("trafilatura, readability", judge, quoted if small else judge))
        other = cleaned("resiliparse", plain_text(html)) if stated else None
    else:
        other = cleaned("resiliparse", plain_text(html))
        if len(other.whole) >= MORE * len(first.whole) and first.share_in(other.whole) >= SAME:
            slow = Reading("readability", _readability(html))
            if other.likeness(slow) >= SAME:
                readings.insert(0, other.only("resiliparse, readability", slow.whole, first.whole))
    if len(stated) >= ENOUGH_CHARACTERS:
        truth = Reading("json-ld", stated)
        readings += [other] if other else []
        best = max(readings, key=truth.likeness)
        return best.text, f"{best.method}, json-ld"
    return readings[0].text, readings[0].method


def read_fragment(html: str) -> str:
    """Return the text of a piece of HTML as feeds carry it."""
    if not html.strip():
        return ""
    try:
        tree = trafilatura.load_html(f"<html><body><article>{html}</article></body></html>")
    except (etree.LxmlError, ValueError):
        return ""
    return "" if tree is None else _blocks(tree)


def plain_text(html: str) -> str:
    """Return the main text of a page in the quickest way, which is linear in its length."""
    text: str = extract_plain_text(
        html, main_content=True, alt_texts=False, links=False, list_bullets=False, form_fields=False, comments=False
    )
    return text.strip()


def _trafilatura(tree: HtmlElement, *, fast: bool) -> str:
    return (trafilatura.extract(tree, options=_FAST if fast else _USUAL) or "").strip()


def _quick_readability(tree: HtmlElement) -> str:
    """Return all text of the one element that trafilatura's own version of readability takes for the article."""
    try:
        # It changes the tree.
        found = etree.HTML(QuickReadability(deepcopy(tree), min_text_length=25).summary())
    except (etree.LxmlError, ValueError, TypeError, AttributeError, IndexError):
        # A page without a body, or of comments alone.
        return ""
    return "" if found is None else "".join(found.itertext())


def _readability(html: str) -> str:
    """Return the text of the elements that readability takes for the article, with their siblings."""
    try:
        found = trafilatura.load_html(Readability(html).summary())
    except (etree.LxmlError, ValueError, TypeError, AttributeError, IndexError):
        return ""
    return "" if found is None else _blocks(found)


def _blocks(tree: HtmlElement) -> str:
    """Return all text of a tree, a block a line."""
    blocks = tree.xpath("//p | //li | //h1 | //h2 | //h3 | //h4 | //blockquote[not(p)] | //pre")
    texts = [block.text_content() for block in blocks] or [tree.text_content()]
    return "\n".join(filter(None, (re.sub(r"\s+", " ", text).strip() for text in texts)))


def _pairs(reading: Reading) -> Counter[tuple[str, str]]:
    return Counter(pairwise(re.findall(r"\w+", reading.text.casefold())))
