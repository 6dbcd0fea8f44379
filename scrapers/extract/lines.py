"""Takes out of an extracted text the lines that are no part of the story: its title, links to other stories, labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from lxml.html import HtmlElement

_BLOCKS = frozenset(
    {
        "p", "li", "h1", "h2", "h3", "h4", "h5", "h6", "div", "td", "th", "blockquote", "section", "article",
        "dd", "dt", "figcaption", "figure", "pre", "header", "footer", "aside", "main", "body", "ul", "ol",
        "table", "tr", "form", "nav", "center",
    }
)  # fmt: skip
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_OTHERS = re.compile(r"[\W_]+")
_BULLET = re.compile(r"^(?:[-*•|]\s*)+|\s*\|\s*$")
_LABEL = re.compile(r"^[^.!?]{2,60}[:：]\s*$|^\W{1,4}$")
_LONG_LINK = 300
_LONG_BLOCK = 2_000
#: What stands between paragraphs on pages and is said in these words alone, folded.
_NOISE = frozenset(
    {
        "advertisement", "advertising", "anzeige", "werbung", "publicidad", "publicité", "pubblicità",
        "annonse", "annons", "annonce", "reklame", "reklam", "reklama", "реклама", "mainos", "advertentie",
        "publicidade", "広告", "广告", "광고", "readmore", "readalso", "alsoread", "readnext", "seealso",
        "relatedarticles", "related", "continuereading", "mehrzumthema", "lesensieauch", "liresaussi",
        "àlireaussi", "leesook", "lesogså", "läsmer", "leermás", "leggianche", "share", "teilen", "sharethis",
        "copylink", "articlecontent", "storycontinuesbelow", "articlecontinuesbelow", "signup", "subscribe",
        "print", "comments", "loading", "topics", "tags", "themen", "caption", "photo", "video",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A block of a page as far as it tells a line's worth: the share of its text that is links, and its place."""

    tag: str
    linked: float
    labelled: bool
    in_navigation: bool


class Blocks:
    """The blocks of a page that have links or are headings, known by their text."""

    def __init__(self, tree: HtmlElement) -> None:
        self._found: dict[str, Block] = {}
        linked: dict[HtmlElement, list[str]] = {}
        for link in tree.iter("a"):
            block = _block_of(link)
            if block is not None:
                linked.setdefault(block, []).append(link.text_content())
        for block, links in linked.items():
            text = block.text_content()
            # What is longer is made of blocks, each of which is looked at.
            folded = fold(text) if len(text) < _LONG_BLOCK else ""
            if folded:
                words = [fold(link) for link in links]
                label = fold(text[: text.find(":") + 1]) if ":" in text else ""
                labelled = bool(label) and folded.find(next(filter(None, words), "?")) == len(label)
                navigation = next(block.iterancestors("nav"), None) is not None
                self._found[folded] = Block(
                    block.tag, min(sum(map(len, words)) / len(folded), 1.0), labelled, navigation
                )
        for heading in tree.iter(*_HEADINGS):
            folded = fold(heading.text_content())
            if folded:
                self._found.setdefault(folded, Block(heading.tag, 0.0, False, False))

    def of(self, line: str) -> Block | None:
        """Return the block that a line of text came from, if it is one of those known here."""
        return self._found.get(fold(_BULLET.sub("", line)))


def clean_lines(text: str, blocks: Blocks, titles: Iterable[str]) -> str:
    """Return a text without the lines that are no part of the story; `titles` are the ways the page writes its title.

    Taken out are: the title; lines that are nothing but links, or a label and links; lines that were said before; the
    labels of advertisements and buttons; headings with nothing below them. A page of these alone has no story.
    """
    named = {fold(title) for title in titles} - {""}
    kept: list[str] = []
    seen: set[str] = set()
    for line in text.split("\n"):
        folded = fold(_BULLET.sub("", line))
        if not folded or folded in named or folded in _NOISE or (len(folded) > 60 and folded in seen):
            continue
        seen.add(folded)
        if not _leads_elsewhere(blocks.of(line), line):
            kept.append(line)
    while kept and _is_dangling(kept[-1], blocks):
        kept.pop()
    return "\n".join(kept)


def fold(text: str) -> str:
    """Return the letters and digits of a text alone, in one case."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _OTHERS.sub("", text.casefold())


def _leads_elsewhere(block: Block | None, line: str) -> bool:
    if block is None:
        return False
    return (
        block.in_navigation
        or (block.linked > 0.9 and len(line) < _LONG_LINK)
        or (block.linked > 0.5 and block.labelled)
    )


def _is_dangling(line: str, blocks: Blocks) -> bool:
    block = blocks.of(line)
    return (block is not None and block.tag in _HEADINGS) or bool(_LABEL.match(line))


def _block_of(element: HtmlElement) -> HtmlElement | None:
    return next((parent for parent in element.iterancestors() if parent.tag in _BLOCKS), None)
