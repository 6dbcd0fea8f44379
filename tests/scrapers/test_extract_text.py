"""The text of an article: each rule on a page of our own."""

from __future__ import annotations

import pytest

from scrapers.extract.page import Page, count_words, read_page
from scrapers.extract.text import read_fragment

pytestmark = pytest.mark.anydb

URL = "https://www.courier.example/town/ferry-returns.html"
STORY = [
    "The old ferry came back to the harbour on Monday, after a winter in the dry dock and two failed sea trials.",
    "Its captain said that the engine, which is older than most of the crew, had never run as smoothly as it did now.",
    "Two hundred people stood on the quay in the rain, and a brass band played the only tune that all of it knew.",
    "The first crossing is planned for the weekend; tickets cost what they cost before, the harbour office announced.",
    "Whoever kept an unused ticket of last autumn may use it until the end of March, and dogs travel free as ever.",
]


def page(body: str, head: str = "<title>Ferry returns</title>") -> Page:
    html = f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>"
    found = read_page(html.encode(), "text/html; charset=utf-8", URL)
    assert found is not None
    return found


def story(*more: str, at: int = 3) -> str:
    """Return the story as an article with something more in its midst."""
    paragraphs = [f"<p>{text}</p>" for text in STORY]
    paragraphs[at:at] = more
    return f"<article><h1>Ferry returns</h1>{''.join(paragraphs)}</article>"


def test_the_text_is_the_story_and_nothing_else() -> None:
    around = '<nav><a href="/">Home</a> <a href="/town">Town</a></nav>', "<footer><p>© The Courier 2026</p></footer>"
    found = page(around[0] + story() + around[1])
    assert found.text.split("\n") == STORY
    assert found.methods["text"].startswith("trafilatura")
    assert found.word_count == sum(len(text.split()) for text in STORY)


@pytest.mark.parametrize(
    "line",
    [
        '<p><a href="/a">Night market moves to the old customs hall after all</a></p>',
        '<p>Read also: <a href="/a">Night market moves to the old customs hall</a></p>',
        "<ul><li><a href='/a'>Night market moves again</a></li><li><a href='/b'>Seals delay the dredging</a></li></ul>",
        "<p>Advertisement</p>",
        "<p>Ferry returns</p>",
    ],
)
def test_lines_that_are_no_part_of_the_story_are_left_out(line: str) -> None:
    assert page(story(line)).text.split("\n") == STORY


@pytest.mark.parametrize(
    "line",
    [
        '<p>The <a href="/a">night market</a> opened an hour earlier, so that nobody had to choose between them.</p>',
        "<h2>Older than its crew</h2>",
        "<blockquote><p>Never before did so many people wait for so little, and so happily.</p></blockquote>",
        "<ul><li>Adults pay four crowns for the crossing</li><li>Children and dogs pay nothing at all</li></ul>",
    ],
)
def test_what_belongs_to_the_story_stays(line: str) -> None:
    text = page(story(line)).text
    assert all(paragraph in text for paragraph in STORY)
    assert len(text) > len("\n".join(STORY)) + 15


def test_a_heading_with_nothing_below_it_is_left_out() -> None:
    assert page(story("<h2>More from the harbour</h2>", at=len(STORY))).text.split("\n") == STORY


def test_a_paragraph_said_twice_is_said_once() -> None:
    assert page(story(f"<p>{STORY[0]}</p>")).text.count(STORY[0]) == 1


def test_comments_are_no_part_of_the_story() -> None:
    comment = "<p>First! I have been waiting for this ferry all winter, and my dog has too.</p>"
    assert page(story() + f'<div id="comments" class="comments">{comment * 3}</div>').text.split("\n") == STORY


def test_a_page_without_a_story_has_no_text() -> None:
    for body in ("", "<script>var a = 1;</script>", "<nav><a href='/'>Home</a></nav>"):
        found = page(body)
        assert (found.text, found.word_count) == ("", 0)
        assert "text" not in found.methods


def test_what_is_no_html_is_no_page() -> None:
    assert read_page(b"", "text/html", URL) is None


def test_accents_are_composed() -> None:
    decomposed = "Die Fa\u0308hre fa\u0308hrt wieder u\u0308ber den See, und alle freuen sich sehr daru\u0308ber. " * 8
    assert "Die Fähre fährt wieder über den See" in page(f"<article><p>{decomposed}</p></article>").text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Two words", 2),
        ("don't – stop", 2),
        ("記者が書いた", 6),
        ("2026年の ferry", 4),
        ("Фेri é", 2),
    ],
)
def test_words_are_counted_in_any_script(text: str, words: int) -> None:
    assert count_words(text) == words


def test_a_fragment_of_a_feed_becomes_text() -> None:
    assert read_fragment("<p>One.</p><p>Two <b>bold</b>.</p>") == "One.\nTwo bold."
    assert read_fragment("plain & simple") == "plain & simple"
    assert read_fragment("  ") == ""
