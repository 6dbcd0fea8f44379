"""No page, however large, broken or hostile, holds collecting up: bounded time, always an answer."""

from __future__ import annotations

import gzip
import random
import time

import pytest

from scrapers.extract import page as pages
from scrapers.extract.limits import OutOfTime, processor_seconds, seen_text
from scrapers.extract.page import Page, Wanted, read_page
from tests.scrapers.mutations import mutated
from tests.scrapers.test_extract_text import STORY
from tests.shared import shared

pytestmark = pytest.mark.anydb

URL = "https://www.courier.example/town/ferry-returns.html"
PROSE = "".join(f"<p>{text}</p>" for text in STORY)
SAMPLE = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>Ferry returns | Courier</title>"
    '<meta property="og:title" content="Ferry returns"><link rel=canonical href="/town/ferry-returns.html">'
    '<script type="application/ld+json">{"@type":"NewsArticle","headline":"Ferry returns","datePublished":'
    '"2026-05-03T15:47:00+02:00","author":{"name":"Ann Lee"},"articleBody":"The old ferry came back."}</script></head>'
    f"<body><nav><a href=/>Home</a></nav><article><h1>Ferry returns</h1><p class=byline>By Ann Lee</p>{PROSE}"
    "<blockquote>Wait!</blockquote><ul><li><a href=/b>Other story</a></li></ul></article></body></html>"
).encode()


def read(body: bytes | str, content_type: str = "text/html; charset=utf-8") -> Page | None:
    return read_page(body.encode() if isinstance(body, str) else body, content_type, URL)


BOMBS = {
    "nested blocks": "<div>" * 100_000 + PROSE,
    "nested formatting": "<p>" + "<b>x" * 30_000 + PROSE,
    "nested tables": "<table><tr><td>" * 30_000 + PROSE,
    "open fonts": "".join(f"<font size={number}><p>" for number in range(15_000)) + PROSE,
    "many links": "".join(f"<p><a href='/{number}'>Story number {number}</a></p>" for number in range(20_000)) + PROSE,
    "many bylines": "<div class='byline author'><a rel=author href='/author/x'>x</a></div>" * 8_000 + PROSE,
    "one long line": PROSE + "word, " * 150_000,
    "angles alone": "<" * 500_000,
    "unclosed comment": PROSE + "<!--" * 100_000,
    "attributes": "<p " + "a=1 " * 100_000 + ">" + PROSE,
    "open braces": '<script type="application/ld+json">' + '{"a":' * 200_000 + "</script>" + PROSE,
    "open tag": PROSE + "<script",
}


SEEN = {"nested blocks", "many links", "many bylines", "one long line"}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_read_within_two_seconds_of_the_processor(name: str) -> None:
    began = time.process_time()
    found = read(f"<html><head><title>Ferry returns</title></head><body>{BOMBS[name]}</body></html>")
    assert time.process_time() - began < 2.5
    assert found is not None and found.metadata.url == URL
    # What is too much to understand still gives its text.
    assert name not in SEEN or all(text in found.text for text in STORY)


def test_a_reading_that_takes_too_long_is_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def never(*_arguments: object) -> tuple[str, str]:
        while True:
            try:
                sum(range(1000))
            except Exception:
                continue

    monkeypatch.setattr(pages, "read_text", never)
    monkeypatch.setattr(pages, "TEXT_SECONDS", 0.1)
    found = read(SAMPLE)
    assert found is not None and all(text in found.text for text in STORY)
    assert found.methods["text"] == "seen text"
    assert found.metadata.title == "Ferry returns"
    assert "took too long" in caplog.text


def test_an_error_of_a_library_is_logged_and_the_page_read_plainly(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise LookupError("a library's mistake")

    monkeypatch.setattr(pages, "read_metadata", fail)
    found = read(SAMPLE)
    assert found is not None and found.metadata.url == URL
    assert all(text in found.text for text in STORY)
    assert "a library's mistake" in caplog.text


def test_processor_time_is_limited_and_the_limit_is_taken_off_again() -> None:
    with pytest.raises(OutOfTime), processor_seconds(0.05):
        while True:
            pass
    with processor_seconds(5):
        pass
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass


class Slow:
    """Takes the processor for a while when it is disposed of."""

    def __del__(self) -> None:
        burn(0.2)


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_limit_that_falls_into_the_disposal_of_an_object_is_told_after_it() -> None:
    reached = False
    with pytest.raises(OutOfTime), processor_seconds(0.1):
        slow = Slow()
        del slow
        reached = True
        burn(10)
    assert reached


def test_what_is_seen_is_the_text_between_the_first_and_the_last_paragraph() -> None:
    html = f"<head><title>T</title></head><ul><li>Home</ul><script>if (a < b) x()</script>{PROSE}<h2>So</h2>{PROSE}<p>©"
    assert seen_text(html).split("\n") == [*STORY, "So", *STORY]
    assert seen_text("<p>1 < 2 &amp; 3 > 2") == "1 < 2 & 3 > 2"
    assert seen_text("") == ""


# Mutations


def survives(body: bytes, chance: random.Random, caplog: pytest.LogCaptureFixture) -> None:
    charset = chance.choice(["", "; charset=utf-8", "; charset=gbk", "; charset=nonsense", "; charset=utf-16"])
    found = read(mutated(body, chance), f"text/html{charset}")
    assert found is None or found.metadata.url.startswith("https://www.courier.example/")
    assert not [record for record in caplog.records if record.exc_info and record.name.startswith("scrapers")]
    caplog.clear()


@pytest.mark.parametrize("seed", range(4))
def test_no_mutation_of_a_page_defeats_the_reading(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(seed)
    for _ in range(75):
        survives(SAMPLE, chance, caplog)


REAL = sorted((shared("data") / "pages").glob("*.html.gz")) if (shared("data") / "pages").is_dir() else []


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_mutations_do_not_either(part: int, caplog: pytest.LogCaptureFixture) -> None:
    bodies = [gzip.decompress(path.read_bytes()) for path in REAL[part::10]] or [SAMPLE]
    chance = random.Random(f"part {part}")
    for number in range(1000):
        survives(SAMPLE if number % 4 else bodies[number % len(bodies)], chance, caplog)


UNDATED = f"<html><head><title>Ferry returns</title></head><body><p>Published 12 March 2024</p>{PROSE}</body></html>"


def test_a_day_is_searched_for_only_where_nobody_gives_one() -> None:
    found = read_page(UNDATED.encode(), "text/html", URL)
    assert found and found.metadata.published and found.metadata.published.date().isoformat() == "2024-03-12"
    given = read_page(UNDATED.encode(), "text/html", URL, Wanted.STATED)
    assert given and given.metadata.published is None and given.metadata.title == "Ferry returns"


def test_what_a_page_says_stays_where_the_search_for_its_day_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_args: object) -> None:
        while True:
            pass

    monkeypatch.setattr(pages, "with_guessed_day", endless)
    found = read_page(UNDATED.encode(), "text/html", URL)
    assert found and found.metadata.title == "Ferry returns" and found.metadata.published is None
    assert STORY[0] in found.text
