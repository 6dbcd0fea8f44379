"""Words: how texts are cut into what is compared, the same for queries, search and duplicates.

A word is a run of letters, digits and marks; in scripts that put no spaces between words each character is one.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import regex

#: Thai, Lao, Myanmar, Khmer, and Chinese and Japanese characters.
NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = regex.compile(rf"[[\w\p{{M}}]&&[{NO_SPACES}]]|[[\w\p{{M}}]--[{NO_SPACES}]]+", regex.V1)


CACHED_CHARACTERS = 20_000
"""Texts up to this length are kept with their words for a while, which takes some megabytes at most."""


def fold(text: str) -> str:
    """Return a text as it is compared: without case, forms of characters, and runs of white space."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def words(text: str) -> list[str]:
    """Return the words of a text, folded, in their order."""
    return list(_kept(text)) if len(text) <= CACHED_CHARACTERS else _cut(text)


# The articles of one batch are cut for their hash, for copies, for the index and for each kind of query.
@lru_cache(maxsize=256)
def _kept(text: str) -> tuple[str, ...]:
    return tuple(_cut(text))


def _cut(text: str) -> list[str]:
    found: list[str] = WORD.findall(fold(text))
    return found
