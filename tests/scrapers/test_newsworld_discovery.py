"""Discover over the news world: from whatever address of an outlet the best proposal is the right one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from scrapers.discovery import Discovery, discover
from scrapers.guesses import PAGES
from scrapers.models import Source
from scrapers.tryout import rehearse
from tests.scrapers.newsworld import WORLD, World

pytestmark = [
    pytest.mark.anydb,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not WORLD.is_dir(), reason="the news world is not here"),
]


@pytest.fixture(autouse=True)
def _without_waits(settings: Any) -> None:
    """Heed no Crawl-delay, of which each outlet asks for a second: whether it is heeded is tested elsewhere."""
    settings.NEWSS_CRAWL_DELAY_MAX_SECONDS = 0.0


#: What is given, and the path and kind of the best that can be proposed for it.
BEST = {
    "/": ("/feed.rss", "feed"),
    "/list": ("/feed.rss", "feed"),
    "/feed.atom": ("/feed.atom", "feed"),
    "/api/articles": ("/api/articles", "json_api"),
    "/news-sitemap.xml": ("/news-sitemap.xml", "sitemap"),
    "/sitemap.xml": ("/sitemap.xml", "sitemap"),
    "/sitemap-plain.xml": ("/sitemap-plain.xml", "sitemap"),
}


def judge(outlet: dict[str, Any], path: str) -> tuple[Discovery, list[str]]:
    """Return what is found at an outlet's address, and what is wrong with it."""
    found = discover(outlet["base"] + path)
    rows = [(urlsplit(one.url).path, one.guess.kind, one.guess.count) for one in found.candidates]
    wrong = [] if rows and rows[0][:2] == BEST[path] else [f"{outlet['country']} {path}: {rows}"]
    # A page of the listing and of the API holds ten; an index counts sitemaps.
    count = {"/api/articles": min(10, outlet["articles"]), "/sitemap.xml": 1}.get(path, outlet["articles"])
    if not wrong and rows[0][2] != count:
        wrong.append(f"{outlet['country']} {path}: {rows[0][2]} of {count}")
    return found, wrong


def outlets(world: World, *, some: bool) -> list[dict[str, Any]]:
    """Return the outlets: all, or one of middling size."""
    found = sorted(world.control("/outlets"), key=lambda outlet: (outlet["articles"], outlet["country"]))
    return found[len(found) // 2 :][:1] if some else found


@pytest.mark.parametrize("some", [True, pytest.param(False, marks=pytest.mark.long)], ids=["some", "all"])
def test_the_best_proposal_is_right_whatever_address_is_given(world: World, some: bool) -> None:
    wrong = [line for outlet in outlets(world, some=some) for path in BEST for line in judge(outlet, path)[1]]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("some", [True, pytest.param(False, marks=pytest.mark.long)], ids=["some", "all"])
def test_a_listing_and_an_api_are_proposed_with_all_their_pages(world: World, some: bool) -> None:
    for outlet in outlets(world, some=some):
        for path, kind in (("/list", "listing"), ("/api/articles", "json_api")):
            proposed = [one for one in discover(outlet["base"] + path).candidates if one.guess.kind == kind]
            if kind == "listing" and outlet["articles"] == 1:
                assert not proposed, "one teaser is no list"
                continue
            source: Source = proposed[0].source()
            source.full_clean()
            # A query that nothing matches leaves it at the listing.
            result = rehearse(source, query="title:nowhere", most=None, seconds=None).result
            expected = min(outlet["articles"], 10 * PAGES)
            assert (result.seen, result.excluded) == (expected, expected), (outlet["country"], source.options)
