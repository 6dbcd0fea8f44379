"""What the database itself refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.models import (
    Article,
    ArticleSource,
    Host,
    HostGroup,
    HostLane,
    PassedItem,
    ResultStatus,
    Source,
    SourceHealth,
    SourceResult,
    url_hash,
)
from tests import factories

pytestmark = pytest.mark.django_db


def make_source(**values: Any) -> Source:
    return Source.objects.create(**{"name": "Courier", "url": "http://courier.example/feed", **values})


def make_article(url: str = "http://courier.example/1", **values: Any) -> Article:
    return Article.objects.create(**{"url": url, "url_hash": url_hash(url), "title": "T", **values})


def refused(make: Any, **values: Any) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        make(**values)


def test_two_sources_have_neither_the_same_name_nor_the_same_address() -> None:
    make_source()
    refused(make_source, url="http://courier.example/other")
    refused(make_source, name="Other")


@pytest.mark.parametrize("url", ["ftp://courier.example/feed", "javascript:alert(1)", "", "courier.example"])
def test_a_source_has_an_address_of_http(url: str) -> None:
    refused(make_source, url=url)
    with pytest.raises(ValidationError) as error:
        Source(name="x", url=url).full_clean()
    assert "url" in error.value.message_dict


def test_a_source_keeps_no_password_in_its_address() -> None:
    with pytest.raises(ValidationError, match="password"):
        Source(name="x", url="http://me:secret@courier.example/feed").full_clean()


def test_a_source_is_of_a_registered_kind() -> None:
    with pytest.raises(ValidationError, match="feed"):
        Source(name="x", url="http://courier.example/feed", kind="telepathy").full_clean()


def test_one_article_for_each_address_however_long() -> None:
    long = "http://courier.example/" + "a" * 20_000
    make_article(long)
    refused(make_article, url=long)
    assert Article.objects.with_url(long).count() == 1


def test_an_article_has_a_title_and_an_address_of_http() -> None:
    refused(make_article, title="")
    refused(make_article, url="javascript:alert(1)")


def test_a_zone_of_publication_stands_only_beside_an_instant() -> None:
    refused(make_article, published_offset=60)
    refused(make_article, published_offset=6000, published_at=timezone.now())
    article = make_article(published_offset=330, published_at=timezone.now())
    assert article.published_local is not None
    assert article.published_local.utcoffset() == timedelta(hours=5, minutes=30)


def test_an_article_is_in_a_source_once() -> None:
    source, article = make_source(), make_article()
    ArticleSource.objects.create(article=article, source=source, item_key="a")
    refused(ArticleSource.objects.create, article=article, source=source, item_key="b")


def test_an_item_is_passed_over_once_under_each_query() -> None:
    source = make_source()
    PassedItem.objects.create(source=source, item_key="a")
    PassedItem.objects.create(source=source, item_key="a", scope="q")
    refused(PassedItem.objects.create, source=source, item_key="a")


def make_result(**values: Any) -> SourceResult:
    return SourceResult.objects.create(**{"source_name": "Courier", "status": ResultStatus.OK, **values})


def test_the_counters_of_a_result_sum_to_what_was_seen() -> None:
    run = factories.run()
    make_result(run=run, seen=len(SourceResult.COUNTERS), **dict.fromkeys(SourceResult.COUNTERS, 1))
    refused(make_result, run=run, seen=2, new=1)


def test_a_failed_result_says_why_in_words() -> None:
    run = factories.run()
    refused(make_result, run=run, status=ResultStatus.FAILED)
    refused(make_result, run=run, status=ResultStatus.FAILED, failure_class="dns")
    refused(make_result, run=run, failure_class="bad luck")
    make_result(run=run, status=ResultStatus.FAILED, failure_class="dns", error="The name is unknown.")


def test_a_source_has_one_result_in_a_run_which_outlives_the_source() -> None:
    run, source = factories.run(), make_source()
    result = make_result(run=run, source=source)
    refused(make_result, run=run, source=source)
    source.delete()
    result.refresh_from_db()
    assert (result.source, result.source_name) == (None, "Courier")


def test_a_host_is_known_once_by_scheme_name_and_port() -> None:
    Host.objects.create(scheme="http", host="courier.example", port=80)
    group = HostGroup.objects.create(name="courier.example")
    Host.objects.create(scheme="https", host="courier.example", port=443)
    refused(Host.objects.create, scheme="http", host="courier.example", port=80)
    refused(Host.objects.create, scheme="ftp", host="courier.example", port=21)
    refused(Host.objects.create, scheme="http", host="other.example", port=0)
    refused(Host.objects.create, scheme="http", host="slow.example", port=80, crawl_delay=-1)
    HostLane.objects.create(group=group, number=0)
    refused(HostLane.objects.create, group=group, number=0)


@pytest.mark.parametrize(
    ("scheme", "name", "port", "origin"),
    [
        ("http", "a.example", 80, "http://a.example"),
        ("https", "a.example", 443, "https://a.example"),
        ("https", "a.example", 80, "https://a.example:80"),
        ("http", "::1", 8000, "http://[::1]:8000"),
    ],
)
def test_a_host_names_its_origin(scheme: str, name: str, port: int, origin: str) -> None:
    assert Host(scheme=scheme, host=name, port=port).origin == origin


def test_the_health_of_a_source_follows_its_polls() -> None:
    source = make_source()
    assert source.health is SourceHealth.NEW
    source.failed(CollectError(FailureClass.DNS, "The name could not be found."))
    source.failed(CollectError(FailureClass.TIMEOUT, "It did not answer."))
    source.refresh_from_db()
    assert (source.health, source.consecutive_failures, source.last_failure_class) == ("failing", 2, "timeout")
    assert list(Source.objects.failing()) == [source]
    source.polled(etag="a", last_modified="")
    source.refresh_from_db()
    assert (source.health, source.consecutive_failures, source.last_error) == ("healthy", 0, "")
    assert list(Source.objects.healthy()) == [source]
    source.enabled = False
    assert source.health is SourceHealth.DISABLED


def test_validators_hold_for_the_address_and_query_that_they_came_from() -> None:
    source = make_source()
    source.polled(etag='"a"', last_modified="yesterday", scope="")
    assert source.validators("") == source.validators("some query") == ('"a"', "yesterday")
    source.polled(etag='"b"', last_modified="", scope="flood")
    assert source.validators("flood") == ('"b"', "")
    assert source.validators("") == source.validators("storm") == ("", "")
    source.polled(etag='"c"', last_modified="", complete=False)
    assert source.validators("") == ("", "")
    source.polled(etag='"d"', last_modified="")
    source.url = "http://courier.example/moved"
    assert source.validators("") == ("", "")


def test_every_status_has_a_word_a_colour_and_an_icon() -> None:
    for member in (*ResultStatus, *SourceHealth):
        assert member.label and member.colour and member.icon
