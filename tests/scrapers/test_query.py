"""Queries: what they match, and what they may exclude before the page is there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapers.query import QueryError, fold, parse

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
    ],
)
def test_what_a_query_matches(query: str, matches: bool) -> None:
    assert parse(query).matches(TEXT) is matches


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
    ],
)
def test_a_query_that_makes_no_sense_says_why(query: str, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        parse(query)


WORDS = st.sampled_from(["flood", "storm", "sea", "Old Harbour", "洪水"])
TERMS = st.builds(lambda word, no: f'{"-" if no else ""}"{word}"', WORDS, st.booleans())
QUERIES = st.lists(st.lists(TERMS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3).map(" OR ".join)
TEXTS = st.lists(WORDS | st.text(max_size=8), max_size=6).map(" ".join)


@given(QUERIES, TEXTS, TEXTS)
def test_what_is_excluded_before_the_page_would_not_match_with_it_either(query: str, known: str, more: str) -> None:
    parsed = parse(query)
    if parsed.excludes(known):
        assert not parsed.matches(known, more)


@given(QUERIES, TEXTS)
def test_case_makes_no_difference(query: str, text: str) -> None:
    assert parse(query).matches(text) == parse(query).matches(fold(text))


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parse(text).matches(text)
    except QueryError as error:
        assert str(error)


@given(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=5))
def test_a_text_matches_the_query_of_its_own_words(words: list[str]) -> None:
    assert parse(" ".join(words)).matches("So: " + ", ".join(words) + "!")
