"""Every kind of source over the news world: one outlet each in `make test`, all of them in the long one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scrapers.kinds import scrapy_spider
from scrapers.models import Article, ResultStatus, Source
from tests.scrapers.conftest import Collected
from tests.scrapers.newsworld import WORLD, World, is_polite

pytestmark = [
    pytest.mark.anydb,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not WORLD.is_dir(), reason="the news world is not here"),
]

LISTING = {"items": "article.teaser", "title": "h2", "date": "time", "following": "a[rel=next]", "pages": 50}
API = {"link": "link", "title": "headline", "date": "date", "following": "next", "parameter": "page", "pages": 50}
SPIDER = {"spider": "tests.spiders.Lister", "begin_here": True}
#: Kind, path and options of each way to an outlet's articles; whether a second poll is answered by 304s alone.
WAYS: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "news sitemap": ("sitemap", "/news-sitemap.xml", {}, True),
    "plain sitemap": ("sitemap", "/sitemap-plain.xml", {}, True),
    # The index of this world names no times, and its packed sitemap sends no validators.
    "sitemap index": ("sitemap", "/sitemap.xml", {}, False),
    "listing": ("listing", "/list", LISTING, True),
    "listing by XPath": ("listing", "/list", {**LISTING, "items": "//article", "following": "//a[@rel='next']"}, True),
    "API": ("json_api", "/api/articles", API, True),
}


def add(name: str, outlet: dict[str, Any], way: str) -> Source:
    kind, path, options, _quiet = WAYS[way]
    made = Source(name=name, kind=kind, url=f"{outlet['base']}{path}", options=options)
    made.full_clean()
    made.save()
    return made


def test_each_kind_collects_an_outlet_politely_and_only_once(
    world: World, collect_news: Callable[..., Collected]
) -> None:
    outlets = sorted(world.control("/outlets"), key=lambda outlet: outlet["articles"])
    expected = {way: outlet["articles"] for way, outlet in zip(WAYS, outlets, strict=False)}
    for way, outlet in zip(WAYS, outlets, strict=False):
        add(way, outlet, way)
    collected = collect_news()
    for way in WAYS:
        result = collected.of(way)
        assert (result.status, result.new, result.error) == (ResultStatus.OK, expected[way], ""), way
    is_polite(world.control("/stats"))
    world.control("/reset")
    again = collect_news()
    for way, (_kind, _path, _options, quiet) in WAYS.items():
        result = again.of(way)
        assert result.status == (ResultStatus.NOT_MODIFIED if quiet else ResultStatus.OK), way
        assert result.new + result.updated == 0, way


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_each_kind_collects_all_outlets(way: str, world: World, collect_news: Callable[..., Collected]) -> None:
    for outlet in world.control("/outlets"):
        add(f"{way} of {outlet['country']}", outlet, way)
    collected = collect_news()
    assert collected.result is not None and not collected.result.partial
    assert Article.objects.count() == 152
    is_polite(world.control("/stats"))


@pytest.mark.skipif(not scrapy_spider.is_installed(), reason="Scrapy is not installed")
@pytest.mark.long
def test_a_spider_collects_an_outlet_politely(
    world: World, collect_news: Callable[..., Collected], settings: Any
) -> None:
    settings.NEWSS_SPIDER_MODULES = ["tests.spiders"]
    outlet = next(outlet for outlet in world.control("/outlets") if outlet["articles"] == 2)
    made = Source(name="Spider", kind="scrapy_spider", url=f"{outlet['base']}/list", options=SPIDER)
    made.full_clean()
    made.save()
    assert collect_news().of("Spider").new == 2
    is_polite(world.control("/stats"))
