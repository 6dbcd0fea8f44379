"""Selectors that people write, CSS and XPath."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from scrapers import selectors

pytestmark = pytest.mark.anydb

PAGE = html.fromstring(
    """<html><body><article class="a"><h2><a href=" /one ">One <b>bold</b></a></h2>
    <time datetime="2026-11-20T10:00Z">yesterday</time><meta name="by" content="Ann"><p title="T">text</p></article>
    <article class="a"><h2>Two</h2><img src="/i.png"></article></body></html>"""
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("h2", ["One bold", "Two"]),
        ("h2 a::text", ["One"]),
        ("p::attr(title)", ["T"]),
        ("time", ["2026-11-20T10:00Z"]),
        ("meta[name=by]", ["Ann"]),
        ("//h2[2]/text()", []),
        ("(//h2)[2]/text()", ["Two"]),
        ("//p/@title", ["T"]),
        ("./body/article[1]/p", ["text"]),
        ("//h2/text()[contains(., 'Two')]", ["Two"]),
        ("(count(//article))", ["2"]),
        ("(1 = 1)", []),
        ("h7", []),
    ],
)
def test_texts(expression: str, expected: list[str]) -> None:
    assert selectors.texts(PAGE, expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("h2", "/one"), ("article a", "/one"), ("img", "/i.png"), ("//a/@href", "/one"), ("article:nth-of-type(2)", "")],
)
def test_the_first_link(expression: str, expected: str) -> None:
    assert selectors.first_link(PAGE, expression) == expected


@pytest.mark.parametrize(
    "expression",
    ["h2[", "//h2[", "", "  ", "a::attr()", "//x:y", "/foo(", "//a[$x]", "//a[re:test(., '(a+)+$')]", "x" * 501],
)
def test_what_cannot_be_used_is_refused_in_words(expression: str) -> None:
    with pytest.raises(ValidationError) as caught:
        selectors.validate_selector(expression)
    assert caught.value.messages[0]


def test_no_expression_reads_a_file() -> None:
    with pytest.raises(ValidationError):
        selectors.validate_selector("/html/body[document('/etc/passwd')]")


@given(st.text(max_size=40))
def test_any_text_is_either_a_selector_that_works_or_refused(expression: str) -> None:
    try:
        selectors.validate_selector(expression)
    except ValidationError:
        return
    assert all(isinstance(text, str) for text in selectors.texts(PAGE, expression))
