"""From a page's bytes to its article; pure functions without Django, called in processes of their own (`pool.py`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import trafilatura

from scrapers.extract.encoding import decode
from scrapers.extract.metadata import Metadata, read_metadata
from scrapers.extract.text import read_text

#: A character of a script that puts no spaces between words counts as a word, as word processors have it.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True)
class Page:
    """The article of a page: its text, a paragraph a line, empty where none was found, and its metadata.

    `method` tells which way of extraction found the text.
    """

    text: str
    metadata: Metadata
    method: str = ""

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
    tree = trafilatura.load_html(decode(body, content_type))
    if tree is None:
        return None
    metadata = read_metadata(tree, url, complete=complete)
    text, method = read_text(tree, url)
    return Page(text, metadata, method)


def count_words(text: str) -> int:
    """Return the number of words; Chinese and Japanese characters count as one each."""
    return sum(1 for _ in _WORD.finditer(text))
