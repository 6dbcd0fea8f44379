"""From a page's bytes to its article; pure functions without Django, called in processes of their own (`pool.py`)."""

from __future__ import annotations

import logging
import re
import unicodedata
from dataclasses import dataclass
from enum import Enum, auto

import trafilatura
from lxml.etree import ElementDefaultClassLookup
from lxml.html import HtmlComment, HtmlElement, HtmlEntity, HtmlProcessingInstruction
from trafilatura.utils import HTML_PARSER

from scrapers.extract.addresses import normalise
from scrapers.extract.encoding import decode
from scrapers.extract.head import Head
from scrapers.extract.jsonld import Statements
from scrapers.extract.limits import OutOfTime, processor_seconds, seen_text
from scrapers.extract.metadata import Metadata, read_metadata, with_guessed_day
from scrapers.extract.text import read_text
from scrapers.extract.titles import written_titles

logger = logging.getLogger(__name__)

MAX_CHARACTERS = 2_000_000
"""Characters of a page that are read; what is beyond is cut off."""
MAX_TAGS = 40_000
"""Tags of a page that is read with understanding; real pages have some thousands."""
METADATA_CHARACTERS = 300_000
"""Where the metadata of a page with more tags are looked for."""
METADATA_SECONDS, GUESS_SECONDS, TEXT_SECONDS = 0.4, 0.2, 1.2
"""Seconds of the processor that reading a page's metadata, guessing its day and reading its text may take; all together
stay below 2."""

# All elements of a page are of one class, which lxml then knows by itself: asking a function in Python about each, as
# lxml.html does for the sake of forms, takes 8 % of the time of reading a page (measured).
HTML_PARSER.set_element_class_lookup(
    ElementDefaultClassLookup(element=HtmlElement, comment=HtmlComment, pi=HtmlProcessingInstruction, entity=HtmlEntity)
)

#: Characters of scripts that put no spaces between words; each counts as a word, as word processors have it.
_IDEOGRAPH = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
#: Any other word is what stands between spaces, from its first letter or digit on.
_WORD = re.compile(rf"(?![\W_])(?:[{_IDEOGRAPH}]|[^\s{_IDEOGRAPH}]+)")


@dataclass(frozen=True)
class Page:
    """The article of a page: its text, a paragraph a line, empty where none was found, and its metadata.

    `method` tells which way of extraction found the text, `unmatched` which selectors found nothing.
    """

    text: str
    metadata: Metadata
    method: str = ""
    unmatched: tuple[str, ...] = ()

    @property
    def word_count(self) -> int:
        """Return the number of words of the text."""
        return count_words(self.text)

    @property
    def methods(self) -> dict[str, str]:
        """Return where each field that is not empty was found, the text included."""
        return self.metadata.methods | ({"text": self.method} if self.text else {})


class Wanted(Enum):
    """What is to be found on a page beside its text; what the source gave need not be looked for."""

    #: Everything that the page states, and the day of publication also where it only follows from the page as a whole.
    ALL = auto()
    #: Everything that the page states.
    STATED = auto()
    #: Not title, instant of publication and authors, which cost most (`read_metadata` without `complete`).
    REST = auto()


def read_page(body: bytes, content_type: str, url: str, wanted: Wanted = Wanted.ALL) -> Page | None:
    """Return the article of a page that came from `url`, or None for a body that is no HTML at all.

    Whatever the page is like, this takes less than 2 s of the processor: a page that is too large, takes too long or
    defeats a library (the log tells) is read in the plain way, "seen text".
    """
    # Composed characters: a letter and its accent are one, whatever editor wrote the page.
    html = unicodedata.normalize("NFC", decode(body, content_type)[:MAX_CHARACTERS])
    huge = html.count("<") > MAX_TAGS
    tree = _parse(html[:METADATA_CHARACTERS] if huge else html)
    if tree is None:
        return None
    head, statements, metadata = None, None, Metadata(normalise(url), methods={"url": "address"})
    try:
        with processor_seconds(METADATA_SECONDS):
            head, statements = Head(tree), Statements(tree, url)
            metadata = read_metadata(tree, url, complete=wanted is not Wanted.REST, head=head, statements=statements)
    except OutOfTime:
        logger.warning("Reading what %s says of itself took too long.", url)
    except Exception:
        logger.exception("What %s says of itself could not be read.", url)
    if wanted is Wanted.ALL and metadata.published is None and not huge:
        metadata = _guess_day(metadata, tree, url)
    text, method = "", ""
    try:
        if not huge and head and statements:
            with processor_seconds(TEXT_SECONDS):
                titles = [metadata.title, *written_titles(tree, head, statements)]
                stated = statements.article_text("articleBody")
                text, method = read_text(tree, html, titles, stated)
                return Page(text, metadata, method)
    except OutOfTime:
        logger.warning("Reading the text of %s took too long.", url)
    except Exception:
        logger.exception("The text of %s could not be read with understanding.", url)
    return Page(seen_text(html), metadata, "seen text")


def read_plainly(body: bytes, content_type: str, url: str) -> Page:
    """Return what can be had of a page in one pass over its characters, for when `read_page` does not come back."""
    html = unicodedata.normalize("NFC", decode(body, content_type)[:MAX_CHARACTERS])
    return Page(seen_text(html), Metadata(normalise(url), methods={"url": "address"}), "seen text")


def count_words(text: str) -> int:
    """Return the number of words; Chinese and Japanese characters count as one each."""
    return len(_WORD.findall(text))


def _guess_day(metadata: Metadata, tree: HtmlElement, url: str) -> Metadata:
    try:
        with processor_seconds(GUESS_SECONDS):
            return with_guessed_day(metadata, tree, url)
    except OutOfTime:
        logger.warning("Searching %s for its day took too long.", url)
    except Exception:
        logger.exception("The day of %s could not be searched for.", url)
    return metadata


def _parse(html: str) -> HtmlElement | None:
    try:
        return trafilatura.load_html(html)
    except (ValueError, TypeError, AssertionError):
        # Nothing but comments, or characters that no document may have.
        return None
