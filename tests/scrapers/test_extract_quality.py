"""How right extraction is on real pages with known right answers; skipped where they are not here."""

from __future__ import annotations

import re

import pytest

from benchmarks.collecting import quality

pytestmark = pytest.mark.anydb

PAGES, WORLD = quality.pages(), quality.world()
needs_pages = pytest.mark.skipif(not PAGES, reason="the real pages are not here")
needs_world = pytest.mark.skipif(not WORLD, reason="the news world is not here")


@needs_pages
def test_the_text_of_some_real_pages_is_righter_than_trafilaturas() -> None:
    some = PAGES[::4]
    ours = quality.f1(some, [quality.ours(case)["text"] for case in some])
    theirs = quality.f1(some, [quality.theirs_text(case)["text"] for case in some])
    assert ours["f1"] > theirs["f1"] + 0.01


@needs_pages
@pytest.mark.long
def test_the_text_of_all_real_pages_is_right() -> None:
    assert quality.f1(PAGES, [quality.ours(case)["text"] for case in PAGES])["f1"] >= 0.972


@needs_world
@pytest.mark.long
def test_all_that_is_known_of_the_worlds_articles_from_their_pages_alone_is_right() -> None:
    line = quality.score(WORLD, [quality.ours(case) for case in WORLD])
    figures = {name: float(value) for name, value in re.findall(r"(\w+) (\d\.\d+)", line.replace("text F1", "text"))}
    wanted = {"found": 1.0, "text": 0.97, "title": 0.98, "day": 0.99, "instant": 0.99, "authors": 0.93}
    assert {name: figures[name] for name in wanted if figures[name] < wanted[name]} == {}, line
