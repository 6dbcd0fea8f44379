"""Scrapers of one's own in Python, found in an app's `scrapers.py`."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from scrapers.fetch.failures import FailureClass
from scrapers.kinds import Item, Scraper, registry, scraper
from scrapers.models import Article, ResultStatus, Source
from tests.scrapers.test_collect import page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.anydb]


def add(url: str, **options: Any) -> Source:
    made = Source(name="Lines", kind="custom.lines", url=url, options=options)
    made.full_clean()
    made.save()
    return made


def test_it_is_a_kind_with_a_form_of_its_own() -> None:
    assert ("custom.lines", "Addresses, one a line") in registry.choices()
    assert add("http://a.example/").options == {"most": 10, "fail": False}
    with pytest.raises(ValidationError, match="most"):
        add("http://b.example/", most=0)


def test_its_items_are_collected_like_all_others(serve: Any, collect_news: Any) -> None:
    server = serve()
    server.answer("/lines", "\n".join(server.url(path) for path in ("/1", "/own", "/3")), ETag='"1"')
    server.answer("/1", page("Page", "One."))
    add(server.url("/lines"), most=2)
    assert collect_news().of("Lines").new == 2
    assert set(Article.objects.values_list("title", "text")) >= {("Line n", "Text of its own.")}
    assert server.paths() == ["/lines", "/1"]
    server.conditional = True
    assert collect_news().of("Lines").status == ResultStatus.NOT_MODIFIED


def test_a_bug_in_it_fails_the_source_and_keeps_what_came_before(
    serve: Any, collect_news: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    server.answer("/lines", "\n".join(server.url(f"/own{number}") for number in range(101)))
    add(server.url("/lines"), fail=True, most=200)
    result = collect_news().of("Lines")
    assert (result.failure_class, result.new + result.duplicate) == (FailureClass.INTERNAL, 100)
    assert "a bug of the scraper" in caplog.text


def test_a_name_can_be_taken_once_and_must_fit() -> None:
    class Other(Scraper):
        async def scrape(self, poll: Any) -> Any:
            yield Item("", "")

    with pytest.raises(ValueError, match="two kinds"):
        scraper("lines")(Other)
    with pytest.raises(ValueError, match="at most"):
        scraper("x" * 60)(Other)
