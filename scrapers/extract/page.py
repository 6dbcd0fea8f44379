"""From a page's bytes to its article; pure functions without Django, called in processes of their own (`pool.py`)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import trafilatura

from scrapers.extract.encoding import decode
from scrapers.extract.head import Head
from scrapers.extract.jsonld import Statements
from scrapers.extract.metadata import Metadata, read_metadata
from scrapers.extract.text import read_text
from scrapers.extract.titles import written_titles

#: Characters of scripts that put no spaces between words; each counts as a word, as word processors have it.
_IDEOGRAPH = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\s{_IDEOGRAPH}]+")


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


def read_page(body: bytes, content_type: str, url: str, complete: bool = True) -> Page | None:
    """Return the article of a page that came from `url`, or None for a body that is no HTML at all.

    `complete` as in `read_metadata`.
    """
    # Composed characters: a letter and its accent are one, whatever editor wrote the page.
    html = unicodedata.normalize("NFC", decode(body, content_type))
    tree = trafilatura.load_html(html)
    if tree is None:
        return None
    head, statements = Head(tree), Statements(tree, url)
    metadata = read_metadata(tree, url, complete=complete, head=head, statements=statements)
    titles = [metadata.title, *written_titles(tree, head, statements)]
    text, method = read_text(tree, html, url, titles, statements.article_text("articleBody"))
    return Page(text, metadata, method)


def count_words(text: str) -> int:
    """Return the number of words; Chinese and Japanese characters count as one each."""
    return sum(any(map(str.isalnum, word)) for word in _WORD.findall(text))
