"""Takes out of an extracted text the lines that are no part of the story: its title, links to other stories, labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

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
#: What `fold` does with ASCII, in one pass, which most lines can be done by.
_ASCII = {code: chr(code).lower() if chr(code).isalnum() else None for code in range(128)}
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


@dataclass
class Block:
    """A block of a page as far as it tells a line's worth: its links, and its place."""

    element: HtmlElement
    text: str
    folded: str
    links: list[HtmlElement]

    @property
    def tag(self) -> str:
        """Return the name of its element."""
        return str(self.element.tag)

    @cached_property
    def linked(self) -> float:
        """Return the share of its text that is links."""
        return min(sum(map(len, self._words)) / len(self.folded), 1.0)

    @cached_property
    def labelled(self) -> bool:
        """Tell whether its links follow a label, which ends with a colon."""
        label = fold(self.text[: self.text.find(":") + 1]) if ":" in self.text and self.links else ""
        return bool(label) and self.folded.find(next(filter(None, self._words), "?")) == len(label)

    @cached_property
    def in_navigation(self) -> bool:
        """Tell whether it is a part of the page's navigation."""
        return bool(self.links) and next(self.element.iterancestors("nav"), None) is not None

    @cached_property
    def _words(self) -> list[str]:
        return [fold(link.text_content()) for link in self.links]


class Blocks:
    """The blocks of a page that have links or are headings, known by their text.

    Few of them are asked for, so that what a block is like is found out only then.
    """

    def __init__(self, tree: HtmlElement) -> None:
        self._found: dict[str, Block] = {}
        linked: dict[HtmlElement, list[HtmlElement]] = {}
        for link in tree.iter("a"):
            block = _block_of(link)
            if block is not None:
                linked.setdefault(block, []).append(link)
        for block, links in linked.items():
            text = block.text_content()
            # What is longer is made of blocks, each of which is looked at.
            folded = fold(text) if len(text) < _LONG_BLOCK else ""
            if folded:
                self._found[folded] = Block(block, text, folded, links)
        for heading in tree.iter(*_HEADINGS):
            text = heading.text_content()
            folded = fold(text)
            if folded:
                self._found.setdefault(folded, Block(heading, text, folded, []))

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
    if text.isascii():
        return text.translate(_ASCII)
    return _OTHERS.sub("", unicodedata.normalize("NFKC", text).casefold())


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
    return next(element.iterancestors(*_BLOCKS), None)
