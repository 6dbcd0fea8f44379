"""Try it: what a source would bring, by the path of a run, and the database stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.forms.models import model_to_dict

from scheduling.models import Run, RunLog
from scrapers.fetch.failures import CollectError
from scrapers.models import Article, ArticleSource, PassedItem, ResultStatus, Source, SourceResult
from scrapers.tryout import rehearse, try_selector
from tests.scrapers.test_discovery import rss
from tests.site import SiteServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.anydb]


def nothing_stored() -> bool:
    models = (Article, ArticleSource, PassedItem, SourceResult, Run, RunLog)
    return not any(model.objects.exists() for model in models)


def test_the_articles_are_those_that_a_run_would_store(site: SiteServer, collect_news: Any) -> None:
    source = Source.objects.create(name="Courier", url=site.feed_url("courier"))
    before = model_to_dict(source), source.last_polled_at, source.validators_key
    trial = rehearse(source, seconds=None)
    assert trial.result.status == ResultStatus.OK and trial.result.new == len(trial.articles) == 8
    source.refresh_from_db()
    assert (model_to_dict(source), source.last_polled_at, source.validators_key) == before
    assert nothing_stored()
    collect_news(sources=[source.pk])
    for article in trial.articles:
        stored = Article.objects.get(url=article.url)
        for name in ("title", "text", "summary", "authors", "published_at", "language", "word_count", "methods"):
            assert getattr(article, name) == getattr(stored, name), name
    again = rehearse(source, seconds=None)
    assert len(again.articles) == 8, "what is known is shown all the same"


def test_only_the_first_are_looked_at_in_the_order_of_the_source(site: SiteServer) -> None:
    trial = rehearse(Source(name="Courier", url=site.feed_url("courier")), most=3, seconds=None)
    assert [article.title for article in trial.articles] == [story.title for story in site.stories("courier")[:3]]
    assert trial.result.over_limit == 5
    assert len(site.requests("courier")) <= 5
    assert nothing_stored()


def test_a_source_that_fails_says_why_and_is_not_marked(site: SiteServer) -> None:
    source = Source.objects.create(name="Broken", url=site.feed_url("broken"))
    trial = rehearse(source, seconds=None)
    assert trial.failed and "500" in trial.result.sentence()
    source.refresh_from_db()
    assert (source.consecutive_failures, source.last_polled_at) == (0, None)
    assert nothing_stored()


def test_articles_that_cannot_be_had_are_named_and_nothing_is_passed_over(serve: Any) -> None:
    server = serve()
    server.answer("/feed", rss("Feed", "gone", base=server.url()))
    source = Source.objects.create(name="Feed", url=server.url("/feed"))
    trial = rehearse(source, seconds=None)
    assert trial.failed and any("404" in line for line in trial.lines)
    assert nothing_stored()


def test_it_ends_in_time_with_what_there_is(site: SiteServer, settings: Any) -> None:
    settings.NEWSS_HOST_DELAY_SECONDS = 30.0
    trial = rehearse(Source(name="Courier", url=site.feed_url("courier")), seconds=1.0)
    assert trial.out_of_time and trial.result.status == ResultStatus.CANCELLED
    assert nothing_stored()


def test_a_query_keeps_what_it_asks_for(site: SiteServer) -> None:
    wanted = site.stories("courier")[4]
    trial = rehearse(Source(name="C", url=site.feed_url("courier")), query=f'"{wanted.title}"', most=None, seconds=None)
    assert [article.title for article in trial.articles] == [wanted.title]
    assert trial.result.excluded == 7


def test_what_a_selector_yields_is_shown(serve: Any) -> None:
    server = serve()
    server.answer("/", "<ul><li>One</li><li>Two</li></ul><img src='/a.png'>")
    found = try_selector(server.url(), "li")
    assert (found.count, found.texts) == (2, ("One", "Two"))
    assert try_selector(server.url(), "img").texts == ("/a.png",)
    assert try_selector(server.url(), ".none").count == 0
    with pytest.raises(ValidationError):
        try_selector(server.url(), "a[")
    with pytest.raises(CollectError):
        try_selector(server.url("/no"), "li")
