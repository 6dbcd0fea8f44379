"""Queries: which articles a run is to keep.

    flood "high water" -football        both must appear, football must not
    flood OR storm                      one of both; OR binds looser than a space

Words and phrases are found as whole words, whatever their case; in scripts without spaces anywhere in the text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from django.utils.translation import gettext as _

_TOKEN = re.compile(r'\s*(-?)(?:"([^"]*)"|([^\s"]+))')
#: Scripts that are written without spaces: Thai, Lao, Myanmar, Khmer, and Chinese and Japanese characters.
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


class QueryError(ValueError):
    """The query cannot be understood; the message says why."""


@dataclass(frozen=True)
class Term:
    """A word or phrase that must appear, or must not."""

    text: str
    negated: bool = False

    def found_in(self, folded: str) -> bool:
        """Tell whether the word or phrase itself is in a text that went through `fold`."""
        if _NO_SPACES.search(self.text):
            return self.text in folded
        return re.search(rf"(?<!\w){re.escape(self.text)}(?!\w)", folded) is not None


@dataclass(frozen=True)
class Query:
    """Alternatives, each a row of terms that must all hold; no alternatives: everything matches."""

    alternatives: tuple[tuple[Term, ...], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.alternatives)

    @property
    def key(self) -> str:
        """Return what tells this query from others: empty for the one that matches everything."""
        return hashlib.sha256(repr(self).encode()).hexdigest() if self else ""

    def matches(self, *texts: str) -> bool:
        """Tell whether an article with these texts (title, summary, text) is asked for."""
        folded = fold("\n".join(texts))
        return not self or any(all(term.found_in(folded) != term.negated for term in row) for row in self.alternatives)

    def excludes(self, *texts: str) -> bool:
        """Tell whether an article is surely not asked for, whatever texts it has besides these."""
        folded = fold("\n".join(texts))
        return bool(self) and all(
            any(term.negated and term.found_in(folded) for term in row) for row in self.alternatives
        )


def parse(text: str) -> Query:
    """Return the query that a text stands for; raises `QueryError`."""
    if text.count('"') % 2:
        raise QueryError(_("A quotation mark is not closed."))
    rows: list[list[Term]] = [[]]
    for sign, phrase, word in _TOKEN.findall(text):
        if word == "OR" and not sign:
            rows.append([])
            continue
        folded = fold(phrase or word)
        if not re.search(r"\w", folded):
            raise QueryError(_("There is nothing to search for in “%(part)s”.") % {"part": f"{sign}{phrase or word}"})
        rows[-1].append(Term(folded, bool(sign)))
    if rows == [[]]:
        return Query()
    if not all(rows):
        raise QueryError(_("OR must stand between two things to search for."))
    return Query(tuple(tuple(row) for row in rows))


def fold(text: str) -> str:
    """Return a text as it is compared: without case, forms of characters, and runs of white space."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())
