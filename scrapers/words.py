"""Words: how texts are cut into what is compared, the same for queries, search and duplicates.

A word is a run of letters, digits and marks; in scripts that put no spaces between words each character is one.
"""

from __future__ import annotations

import unicodedata

import regex

#: Thai, Lao, Myanmar, Khmer, and Chinese and Japanese characters.
NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = regex.compile(rf"[[\w\p{{M}}]&&[{NO_SPACES}]]|[[\w\p{{M}}]--[{NO_SPACES}]]+", regex.V1)


def fold(text: str) -> str:
    """Return a text as it is compared: without case, forms of characters, and runs of white space."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def words(text: str) -> list[str]:
    """Return the words of a text, folded, in their order."""
    found: list[str] = WORD.findall(fold(text))
    return found
