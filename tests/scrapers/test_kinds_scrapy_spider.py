"""Existing Scrapy spiders: run in a process of their own, held to our politeness."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from scrapers.fetch.failures import FailureClass
from scrapers.kinds import scrapy_spider
from scrapers.models import Article, ResultStatus, Source
from tests.scrapers.test_collect import page

pytestmark = [
    pytest.mark.anydb,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not scrapy_spider.is_installed(), reason="Scrapy is not installed"),
]


@pytest.fixture(autouse=True)
def _allowed(settings: Any) -> None:
    settings.NEWSS_SPIDER_MODULES = ["tests.spiders"]


@pytest.fixture
def site(serve: Any) -> Any:
    server = serve("127.0.0.41")
    server.answer("/", "<a href='/1'>1</a><a href='/2'>2</a><a href='/private/3'>3</a>")
    server.answer("/robots.txt", "User-agent: *\nDisallow: /private/", Content_Type="text/plain")
    for path in ("/1", "/2", "/private/3"):
        server.answer(path, page(f"Story {path}", f"Text of {path}."))
    return server


def add(server: Any, **options: Any) -> Source:
    given = {"spider": "tests.spiders.Tides", "begin_here": True, "seconds": 30, **options}
    made = Source(name="Spider", kind="scrapy_spider", url=server.url("/"), options=given)
    made.full_clean()
    made.save()
    return made


def test_its_items_are_stored_and_our_rules_hold_whatever_it_says(site: Any, collect_news: Any) -> None:
    add(site, arguments="full=yes")
    result = collect_news().of("Spider")
    assert (result.status, result.new, result.error) == (ResultStatus.OK, 2, "")
    assert result.requests >= 3 and result.bytes_received > 0
    story = Article.objects.get(url=site.url("/1"))
    assert (story.title, story.authors, story.published_offset) == ("Story /1", ["Ann Bo"], 60)
    assert "Text of /1." in story.text
    paths = [asked.path for asked in site.asked if asked.path != "/robots.txt"]
    assert sorted(paths) == ["/", "/1", "/2"], "no page twice, nothing that robots.txt forbids"
    assert all(asked.headers["User-Agent"].startswith("NEWSS/") for asked in site.asked)


def test_it_connects_to_no_address_that_must_not_be_asked(
    site: Any, serve: Any, collect_news: Any, settings: Any
) -> None:
    other = serve("127.0.0.42")
    settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.41/32"]
    site.answer("/", f"<a href='/1'>1</a><a href='{other.url('/x')}'>x</a>")
    add(site, arguments="full=yes")
    assert collect_news().of("Spider").new == 1
    assert other.asked == []


@pytest.mark.parametrize(
    ("arguments", "failure", "words"),
    [
        ("die=yes", FailureClass.SPIDER, "spider failed"),
        pytest.param("hang=yes", FailureClass.TIMEOUT, "was killed", marks=pytest.mark.long),
    ],
)
def test_one_that_dies_or_hangs_is_that_sources_failure(
    arguments: str, failure: str, words: str, site: Any, collect_news: Any
) -> None:
    add(site, arguments=arguments, seconds=1)
    began = time.monotonic()
    result = collect_news().of("Spider")
    assert result.failure_class == failure and words in result.error
    assert time.monotonic() - began < 55, "the spider itself would take a minute"


def test_what_is_no_spider_is_said(site: Any, collect_news: Any) -> None:
    add(site, spider="tests.spiders.NoSpider")
    result = collect_news().of("Spider")
    assert result.failure_class == FailureClass.SPIDER and "is no Scrapy spider" in result.error


@pytest.mark.parametrize("path", ["os.system", "tests.spidersx.Tides", "tests.spiders", "tests.spiders.a b", "Tides"])
def test_only_modules_that_the_setting_names_are_run(path: str, serve: Any) -> None:
    with pytest.raises(ValidationError):
        add(serve(), spider=path)


def test_a_spider_that_is_not_allowed_any_more_is_not_run(site: Any, collect_news: Any, settings: Any) -> None:
    add(site)
    settings.NEWSS_SPIDER_MODULES = []
    result = collect_news().of("Spider")
    assert (result.failure_class, site.asked) == (FailureClass.SPIDER, [])


def test_where_scrapy_is_missing_the_form_says_what_to_do(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrapy_spider, "is_installed", lambda: False)
    with pytest.raises(ValidationError, match=r"requirements-scrapy\.txt"):
        add(serve())
