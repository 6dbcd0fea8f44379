"""Queries: what they match, and what they may exclude before the page is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapers.query import Document, Query, QueryError, fold, parse

pytestmark = pytest.mark.anydb

TEXT = "The flood reached the Old Harbour at dawn. Überall Hochwasser. 洪水が町を襲った"


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("", True),
        ("flood", True),
        ("FLOOD harbour", True),
        ("flood storm", False),
        ("flood OR storm", True),
        ("storm OR fire", False),
        ('"old harbour"', True),
        ('"harbour old"', False),
        ("flo", False),
        ("flood -harbour", False),
        ("flood -football", True),
        ('-"old town"', True),
        ("storm OR flood -dawn", False),
        ("überall", True),
        ("ÜBERALL", True),
        ("洪水", True),
        ("地震", False),
        ("dawn.", True),
        ("“old harbour”", True),
        ("„old harbour”", True),
        ('"dawn überall"', True),
        ("the-flood", True),
        ("flood-the", False),
        ("title:flood", True),
        ("text:flood", False),
    ],
)
def test_what_a_query_matches(query: str, matches: bool) -> None:
    assert parse(query).matches(Document(TEXT)) is matches


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ('"open', "not closed"),
        ("a OR", "between"),
        ("OR a", "between"),
        ("a OR OR b", "between"),
        ("-", "nothing"),
        ('a ""', "nothing"),
        ("...", "nothing"),
        ("title:", "nothing"),
        ("-source:", "nothing"),
        ('title:""', "nothing"),
        ("lang:", "nothing"),
        ("lang:42", "language"),
        ("lang:e", "language"),
    ],
)
def test_a_query_that_makes_no_sense_says_why(query: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        parse(query)


WORDS = st.sampled_from(["flood", "storm", "sea", "Old Harbour", "洪水"])
SOURCES = st.sampled_from(["source:courier", "source:Upland", "lang:en", "lang:de"])
WANTED = st.builds('{}"{}"'.format, st.sampled_from(["", "", "title:"]), WORDS) | SOURCES
TERMS = st.builds(lambda term, no: f"{'-' if no else ''}{term}", WANTED, st.booleans())
QUERIES = st.lists(st.lists(TERMS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3).map(" OR ".join)
TEXTS = st.lists(WORDS | st.text(max_size=8), max_size=6).map(" ".join)


@given(QUERIES, TEXTS, TEXTS, st.sampled_from(["en", "de", ""]))
def test_what_is_excluded_before_the_page_would_not_match_with_it_either(
    query: str, known: str, more: str, language: str
) -> None:
    parsed = parse(query)
    if parsed.excludes(Document(known, sources=("Courier",))):
        assert not parsed.matches(Document(known, text=more, language=language, sources=("Courier",)))


@given(QUERIES, TEXTS)
def test_case_makes_no_difference(query: str, text: str) -> None:
    assert parse(query).matches(Document(text)) == parse(query).matches(Document(fold(text)))


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse(text).matches(Document(text))
    except QueryError as error:
        assert str(error)


@given(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=5))
def test_a_text_matches_the_query_of_its_own_words(words: list[str]) -> None:
    assert parse(" ".join(words)).matches(Document(text="So: " + ", ".join(words) + "!"))


DOCUMENT = Document("Flood at dawn", "The harbour", "Old men", "pt-br", ("The Harbour Courier", "Upland Review"))


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("title:flood", True),
        ("title:harbour", False),
        ('title:"at dawn"', True),
        ("TITLE:FLOOD", True),
        ("-title:harbour", True),
        ("lang:pt", True),
        ("lang:PT_BR", True),
        ("lang:pt-pt", False),
        ("lang:p-br OR lang:en", None),
        ("-lang:pt", False),
        ("source:courier", True),
        ('source:"upland review"', True),
        ('source:"courier upland"', False),
        ("source:gazette", False),
        ("-source:gazette source:harbour flood", True),
        ('"dawn the"', False),
        ('"harbour old"', False),
    ],
)
def test_where_a_term_is_looked_for(query: str, matches: bool | None) -> None:
    if matches is None:
        with pytest.raises(QueryError, match="language"):
            parse(query)
    else:
        assert parse(query).matches(DOCUMENT) is matches


def test_a_source_that_is_not_asked_for_is_known_before_any_page_is_fetched() -> None:
    item = Document("Flood", sources=("Courier",))
    assert parse("source:gazette flood").excludes(item) and parse("-source:courier").excludes(item)
    assert not parse("source:courier storm").excludes(item) and not parse("lang:de").excludes(item)


def test_equal_queries_have_the_same_key_and_others_another() -> None:
    assert parse("Flood").key == parse(" flood ").key != parse("title:flood").key != parse("-title:flood").key
    assert Query().key == "" and not parse("  ")


@pytest.mark.parametrize(
    ("text", "query", "matches"),
    [
        ("हिन्दी में समाचार", "हिन्दी", True),
        ("हिन्दी में समाचार", "हिन", False),
        ("ข่าวน้ำท่วม", "น้ำ", True),
        ("naïve café", "cafe", False),
        ("ﬁnance", "finance", True),
        ("STRASSE", "straße", True),
        ("don't", "don't", True),
        ("don't", "dont", False),
    ],
)
def test_words_of_many_scripts(text: str, query: str, matches: bool) -> None:
    assert parse(query).matches(Document(text)) is matches
