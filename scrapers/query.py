"""Queries: which articles are asked for, by a run, a topic or a search; one syntax and one meaning for all.

    flood "high water" -football        both must appear, football must not
    flood OR storm                      one of both; OR binds looser than a space
    title:flood source:courier lang:en  in the title; in a source with that word in its name; in that language

Words and phrases are found as whole words, whatever their case and what stands between them; a phrase lies in one field
(title, summary or text). In scripts without spaces every character is a word. `scrapers.search` asks the databases the
same, and a test holds all three to each other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from django.utils.translation import gettext as _

from scrapers.words import fold, words

__all__ = ["Document", "Field", "Query", "QueryError", "Term", "fold", "parse"]

_TOKEN = re.compile(r'\s*(-?)(?:(title|source|lang):)?(?:"([^"]*)"|([^\s"]+))', re.IGNORECASE)
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})

TITLE_WORDS, SUMMARY_WORDS, TEXT_WORDS = 500, 2_000, 12_000
"""How many words of each field are looked at; a position beyond 16,383 is none to PostgreSQL."""
WORD_CHARACTERS = 50
"""What of a word is looked at."""
FIELD_BYTES = 400_000
"""What of a field is looked at, in UTF-8: PostgreSQL's index of an article holds less than 1 MiB."""


class QueryError(ValueError):
    """The query cannot be understood; the message says why."""


class Field(StrEnum):
    """Where a term is looked for."""

    #: In title, summary and text.
    ANY = ""
    TITLE = "title"
    #: In the names of the sources in which the article was seen.
    SOURCE = "source"
    #: In the language: `lang:pt` means "pt" and "pt-br".
    LANG = "lang"


def looked_at(text: str, most: int) -> list[str]:
    """Return the words of a text that queries look at, `most` at most."""
    looked = words(text[:FIELD_BYTES])[:most]
    lengths = [*map(len, looked)]
    # A character takes four bytes at most.
    if 4 * sum(lengths) <= FIELD_BYTES and max(lengths, default=0) <= WORD_CHARACTERS:
        return looked
    found, room = [], FIELD_BYTES
    for word in (word[:WORD_CHARACTERS] for word in looked):
        room -= len(word.encode("utf-8", "ignore"))
        if room < 0:
            break
        found.append(word)
    return found


@dataclass(frozen=True)
class Document:
    """What of an article queries are matched with; `sources` are the names of those in which it was seen."""

    title: str = ""
    summary: str = ""
    text: str = ""
    language: str = ""
    sources: tuple[str, ...] = ()

    @cached_property
    def fields(self) -> tuple[list[str], list[str], list[str]]:
        """Return the words of title, summary and text."""
        return (
            looked_at(self.title, TITLE_WORDS),
            looked_at(self.summary, SUMMARY_WORDS),
            looked_at(self.text, TEXT_WORDS),
        )

    @cached_property
    def _rows(self) -> tuple[str, ...]:
        return tuple(_row(found) for found in self.fields)

    def holds(self, term: Term) -> bool:
        """Tell whether the word or phrase of a term is where it is looked for; whether it is negated is not asked."""
        match term.field:
            case Field.LANG:
                language = self.language.lower()
                return language == term.text or language.startswith(f"{term.text}-")
            case Field.SOURCE:
                return any(term.is_in_name(name) for name in self.sources)
            case Field.TITLE:
                return f" {term.text} " in self._rows[0]
        return any(f" {term.text} " in row for row in self._rows)


@dataclass(frozen=True)
class Term:
    """A word or phrase (folded words with a space between them) that must appear in a field, or must not."""

    text: str
    field: Field = Field.ANY
    negated: bool = False

    @property
    def words(self) -> list[str]:
        """Return the words."""
        return self.text.split(" ")

    def is_in_name(self, name: str) -> bool:
        """Tell whether it is in the name of a source."""
        return f" {self.text} " in _row(words(name))


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

    @property
    def wanted(self) -> list[Term]:
        """Return the terms that are looked for in texts, each once: what is marked, and counts for the rank."""
        terms = (term for row in self.alternatives for term in row)
        return list(dict.fromkeys(t for t in terms if not t.negated and t.field in (Field.ANY, Field.TITLE)))

    def matches(self, document: Document) -> bool:
        """Tell whether an article is asked for."""
        return not self or any(all(document.holds(term) != term.negated for term in row) for row in self.alternatives)

    def excludes(self, document: Document) -> bool:
        """Tell whether an article is surely not asked for, whatever text and language its page brings.

        Title, summary and sources of the document are those that the article will have.
        """
        return bool(self) and all(any(_fails(term, document) for term in row) for row in self.alternatives)


def parse(text: str) -> Query:
    """Return the query that a text stands for; raises `QueryError`."""
    text = text.translate(_QUOTES)
    if text.count('"') % 2:
        raise QueryError(_("A quotation mark is not closed."))
    rows: list[list[Term]] = [[]]
    for found in _TOKEN.finditer(text):
        sign, field, phrase, word = found.groups()
        if word == "OR" and not sign and not field:
            rows.append([])
            continue
        said, part = phrase if word is None else word, found.group().strip()
        if not field and said.lower().rstrip(":") in set(Field) and said.endswith(":"):
            said = ""
        rows[-1].append(_term(said, Field((field or "").lower()), bool(sign), part))
    if rows == [[]]:
        return Query()
    if not all(rows):
        raise QueryError(_("OR must stand between two things to search for."))
    return Query(tuple(tuple(row) for row in rows))


def _term(said: str, field: Field, negated: bool, part: str) -> Term:
    if field is Field.LANG:
        code = said.strip().lower().replace("_", "-")
        if not re.fullmatch(r"[a-z]{2,8}(-[a-z0-9]{1,8})*", code):
            raise QueryError(_("“%(part)s” names no language; write a code, such as lang:en.") % {"part": part})
        return Term(code, field, negated)
    found = [word[:WORD_CHARACTERS] for word in words(said)]
    if not found:
        raise QueryError(_("There is nothing to search for in “%(part)s”.") % {"part": part})
    return Term(" ".join(found), field, negated)


def _fails(term: Term, document: Document) -> bool:
    """Tell whether a term will not hold, whatever the text and the language."""
    if term.field is Field.LANG:
        return False
    if term.negated:
        return document.holds(term)
    return term.field is Field.SOURCE and not document.holds(term)


def _row(found: Iterable[str]) -> str:
    return f" {' '.join(found)} "
