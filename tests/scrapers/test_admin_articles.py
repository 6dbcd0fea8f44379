"""The admin of articles, hosts and results: reading, filters, paging, safety, read only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scheduling.admin.paging import COUNTED_AHEAD, AheadPaginator
from scheduling.models import Tag
from scrapers.models import (
    Article,
    ArticlePage,
    ArticleSource,
    Host,
    ResultStatus,
    Source,
    SourceResult,
    Tombstone,
    url_hash,
)
from tests import factories

pytestmark = pytest.mark.django_db

LIST = "/admin/scrapers/article/"


def source(name: str) -> Source:
    return Source.objects.create(name=name, url=f"https://{name.lower()}.example/feed")


def article(title: str, *places: Source, **values: Any) -> Article:
    url = f"https://news.example/{url_hash(title)[:12]}"
    made = Article.objects.create(**{"url": url, "url_hash": url_hash(url), "title": title, **values})
    for place in places:
        ArticleSource.objects.create(article=made, source=place, item_key=url_hash(url))
    return made


@pytest.fixture
def reader(client: Client) -> Client:
    """A person who may look at all that collecting stores."""
    models = ("article", "source", "host", "sourceresult")
    client.force_login(factories.user(*(f"scrapers.view_{model}" for model in models)))
    return client


def titles(client: Client, query: str = "") -> list[str]:
    return [row.title for row in client.get(f"{LIST}?{query}").context["cl"].result_list]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("article", "No article yet"),
        ("host", "No host was asked yet"),
        ("sourceresult", "No source was polled yet"),
    ],
)
def test_an_empty_list_says_what_to_do_next(reader: Client, address: str, words: str) -> None:
    assert words in reader.get(f"/admin/scrapers/{address}/").content.decode()


def test_a_list_that_a_filter_empties_does_not_say_that_there_is_nothing(reader: Client) -> None:
    article("Flood")
    page = reader.get(f"{LIST}?q=nowhere").content.decode()
    assert "No article yet" not in page and "No results found" in page


def test_the_list_shows_sources_language_and_the_first_lines(reader: Client) -> None:
    article("Flood", source("Courier"), source("Review"), text="The river rose.\nBy night it fell.", language="en")
    page = reader.get(LIST).content.decode()
    assert "The river rose." in page and "<span>Courier</span>, <span>Review</span>" in page
    assert '<abbr title="Language">en</abbr>' in page


def test_times_are_shown_in_the_zone_of_the_outlet(reader: Client) -> None:
    made = article("Flood", published_at=datetime(2026, 3, 1, 20, 30, tzinfo=UTC), published_offset=330)
    for address in (LIST, f"{LIST}{made.pk}/change/"):
        page = reader.get(address).content.decode()
        assert "2 Mar 2026, 02:00" in page and "+0530" in page


def test_newest_come_first_and_one_without_a_date_where_it_was_found(reader: Client) -> None:
    now = timezone.now()
    for days in (2, 0, 1):
        article(f"{days} days", published_at=now - timedelta(days=days))
    article("no date", created_at=now - timedelta(days=1, hours=12))
    assert titles(reader) == ["0 days", "1 days", "no date", "2 days"]


def test_where_too_many_match_the_newest_stand_first_and_the_list_says_so(
    reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    courier = source("Courier")
    old = datetime(2026, 1, 5, 12, tzinfo=UTC)
    article("Storm", courier, published_at=old)
    article("Harbour", courier, published_at=old + timedelta(days=1), summary="A storm was near.")
    assert titles(reader, "q=storm") == ["Storm", "Harbour"]
    monkeypatch.setattr("scrapers.admin.article.RANKED", 1)
    assert titles(reader, "q=storm") == ["Harbour", "Storm"]
    assert "the newest stand first" in reader.get("/admin/scrapers/article/?q=storm").content.decode()


def test_the_list_is_filtered_by_source_tag_language_date_and_searched(reader: Client) -> None:
    courier, review = source("Courier"), source("Review")
    tag = Tag.objects.create(name="daily")
    courier.tags.add(tag)
    old = datetime(2026, 1, 5, 12, tzinfo=UTC)
    article("Flood", courier, language="en", published_at=old)
    article("Flut", review, language="de", published_at=old + timedelta(days=40), summary="Hochwasser am Fluss")
    article("Both", courier, review, language="en", published_at=old + timedelta(days=80))
    assert titles(reader, f"source={courier.pk}") == ["Both", "Flood"]
    assert titles(reader, f"tag={tag.pk}") == ["Both", "Flood"]
    assert titles(reader, "language=de") == ["Flut"]
    assert titles(reader, "published_at_from=2026-02-01&published_at_to=2026-03-01") == ["Flut"]
    assert titles(reader, "published_at_from=2026-01-05&published_at_to=2026-01-05") == ["Flood"]
    assert len(titles(reader, "published_at_from=soon")) == 3
    assert len(titles(reader, "published_at_from=0001-01-01&published_at_to=9999-12-31")) == 3
    assert titles(reader, "q=hochwasser") == ["Flut"]
    assert len(titles(reader, "source=nonsense&tag=x")) == 3


def test_the_languages_are_those_that_articles_have(django_assert_num_queries: Any) -> None:
    assert Article.objects.languages() == []
    for number, language in enumerate(["en", "de", "", "en", "pt-BR", "de"]):
        article(f"Story {number}", language=language)
    with django_assert_num_queries(1):
        assert Article.objects.languages() == ["de", "en", "pt-BR"]


def test_the_list_costs_the_same_queries_whatever_the_rows(reader: Client, django_assert_max_num_queries: Any) -> None:
    places = [source(f"S{number}") for number in range(5)]
    for number in range(60):
        article(f"Story {number}", *places, published_at=timezone.now(), text="word " * 50)
    with django_assert_max_num_queries(12):
        assert len(titles(reader)) == 50
    with django_assert_max_num_queries(12):
        assert len(titles(reader, "p=2")) == 10


def test_paging_counts_only_ahead_of_the_page_that_is_shown() -> None:
    per_page, rows = 1, COUNTED_AHEAD + 10
    for number in range(rows):
        article(f"Story {number}")
    first = AheadPaginator(Article.objects.all(), per_page, page=1)
    assert (first.count, first.reached_end) == (COUNTED_AHEAD + 1, False)
    later = AheadPaginator(Article.objects.all(), per_page, page=12)
    assert (later.count, later.reached_end) == (rows, True)
    exact = AheadPaginator(Article.objects.all(), per_page, page=10)
    assert (exact.count, exact.reached_end) == (rows, True)


def test_a_long_list_says_that_there_is_more(reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduling.admin.paging.COUNTED_AHEAD", 1)
    monkeypatch.setattr("scrapers.admin.article.ArticleAdmin.list_per_page", 2)
    for number in range(7):
        article(f"Story {number}")
    page = reader.get(LIST).content.decode()
    assert "more than 4 articles" in page and 'rel="next"' in page and 'rel="prev"' not in page
    last = reader.get(f"{LIST}?p=4").content.decode()
    assert "7 articles" in last and 'rel="next"' not in last and 'rel="prev"' in last


def test_the_page_shows_text_as_paragraphs_and_everything_escaped(reader: Client) -> None:
    made = article(
        "A <b>bold</b> title",
        source("Courier"),
        text="First <script>alert(1)</script>.\n\nSecond.",
        authors=["Ada <i>L.</i>", "Bea"],
        image_url="https://img.example/1.jpg",
    )
    page = reader.get(f"{LIST}{made.pk}/change/").content.decode()
    assert "<p>First &lt;script&gt;alert(1)&lt;/script&gt;.</p>" in page and "<p>Second.</p>" in page
    assert "A &lt;b&gt;bold&lt;/b&gt; title" in page and "Ada &lt;i&gt;L.&lt;/i&gt;, Bea" in page
    assert page.count('rel="noopener noreferrer nofollow"') >= 3
    assert "Courier" in page


def test_the_image_is_loaded_from_the_outlet_only_when_asked_for(reader: Client) -> None:
    made = article("Flood", image_url="https://img.example/1.jpg")
    address = f"{LIST}{made.pk}/change/"
    assert '<img src="https://img.example/1.jpg"' not in reader.get(address).content.decode()
    shown = reader.get(f"{address}?image").content.decode()
    assert '<img src="https://img.example/1.jpg"' in shown and 'referrerpolicy="no-referrer"' in shown


def test_an_image_address_that_is_no_web_address_is_not_linked(reader: Client) -> None:
    made = article("Flood", image_url="javascript:alert(1)")
    assert "javascript:alert" not in reader.get(f"{LIST}{made.pk}/change/?image").content.decode()


def test_the_page_names_the_run_that_found_it(reader: Client) -> None:
    run = factories.run()
    made = article("Flood", first_run=run)
    assert run.get_absolute_url() in reader.get(f"{LIST}{made.pk}/change/").content.decode()


def test_articles_are_read_only_and_deleted_only_by_permission(reader: Client) -> None:
    made = article("Flood", source("Courier"))
    assert reader.get(f"{LIST}add/").status_code == 403
    assert reader.post(f"{LIST}{made.pk}/change/", {"title": "Mine"}).status_code == 403
    assert reader.post(f"{LIST}{made.pk}/delete/", {"post": "yes"}).status_code == 403
    reader.force_login(factories.user("scrapers.view_article", "scrapers.delete_article"))
    assert "Flood" in reader.get(f"{LIST}{made.pk}/delete/").content.decode()
    assert reader.post(f"{LIST}{made.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Article.objects.exists() and Source.objects.exists()


def test_many_articles_are_deleted_by_the_action(reader: Client) -> None:
    keys = [article(f"Story {number}").pk for number in range(3)]
    reader.force_login(factories.user("scrapers.view_article", "scrapers.delete_article"))
    chosen = {"action": "delete_selected", "_selected_action": keys[:2]}
    assert "Story 1" in reader.post(LIST, chosen).content.decode()
    reader.post(LIST, {**chosen, "post": "yes"})
    assert Article.objects.count() == 1


@pytest.fixture
def short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduling.admin.paging.COUNTED_AHEAD", 1)
    monkeypatch.setattr("scrapers.admin.article.ArticleAdmin.list_per_page", 2)
    monkeypatch.setattr("scheduling.admin.in_batches.BATCH", 2)


def all_of(keys: list[int], **values: str) -> dict[str, Any]:
    return {"action": "delete_selected", "_selected_action": keys[:1], "select_across": "1", **values}


def test_all_that_match_are_deleted_once_the_person_was_told_how_many_they_are(
    reader: Client, short_lists: None
) -> None:
    keys = [article(f"Story {number}").pk for number in range(7)]
    article("Other")
    reader.force_login(factories.user("scrapers.view_article", "scrapers.delete_article"))
    page = reader.post(f"{LIST}?q=Story", all_of(keys)).content.decode()
    assert "all 7 articles that match" in page
    assert Article.objects.count() == 8
    page = reader.post(f"{LIST}?q=Story", all_of([0], sure="1"), follow=True).content.decode()
    assert "Delete: 7 articles." in page
    assert [one.title for one in Article.objects.all()] == ["Other"]
    assert Tombstone.objects.count() == 7 and LogEntry.objects.count() == 7


def test_what_there_was_no_time_for_is_told_and_gone_on_with(
    reader: Client, short_lists: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [article(f"Story {number}").pk for number in range(7)]
    reader.force_login(factories.user("scrapers.view_article", "scrapers.delete_article"))
    clock = iter(range(0, 1_000, 6))
    monkeypatch.setattr("scheduling.admin.in_batches.time.monotonic", lambda: next(clock))
    page = reader.post(LIST, all_of(keys, sure="1")).content.decode()
    assert "So far: 2 articles." in page and "Left: 5." in page and "Go on" in page
    for _once_more in range(3):
        page = reader.post(LIST, all_of([0], sure="1"), follow=True).content.decode()
    assert "Delete: 1 articles." in page and not Article.objects.exists()


def test_who_may_not_delete_is_not_asked_either(reader: Client, short_lists: None) -> None:
    keys = [article(f"Story {number}").pk for number in range(7)]
    assert "Go on" not in reader.post(LIST, all_of(keys, sure="1"), follow=True).content.decode()
    assert Article.objects.count() == 7


def test_an_article_that_is_gone_leads_back_to_the_list(reader: Client) -> None:
    assert reader.get(f"{LIST}999/change/").status_code == 302


def test_hosts_show_robots_delay_and_until_when_they_are_left_alone(
    reader: Client, django_assert_max_num_queries: Any
) -> None:
    now = timezone.now()
    Host.objects.create(scheme="https", host="a.example", port=443)
    Host.objects.create(
        scheme="https",
        host="b.example",
        port=8443,
        robots_txt="User-agent: *\nCrawl-delay: 2 <b>",
        robots_status=200,
        robots_fetched_at=now,
        robots_expires_at=now + timedelta(hours=24),
        crawl_delay=2.5,
        cool_down_until=now + timedelta(hours=10, minutes=30),
    )
    Host.objects.create(
        scheme="http", host="c.example", port=80, robots_status=404, robots_fetched_at=now - timedelta(days=2)
    )
    broken = Host.objects.create(
        scheme="http", host="d.example", port=80, robots_failure="dns", robots_error="The name could not be found."
    )
    with django_assert_max_num_queries(12):
        page = reader.get("/admin/scrapers/host/").content.decode()
    assert "https://b.example:8443" in page and "2.5 s" in page and ">in 10 h</time>" in page
    assert "none: all is allowed" in page and "The name could not be found." in page and "not fetched yet" in page
    cooling = reader.get("/admin/scrapers/host/?cooling=1").context["cl"].result_list
    assert [host.host for host in cooling] == ["b.example"]
    one = reader.get(f"/admin/scrapers/host/{cooling[0].pk}/change/").content.decode()
    assert "Crawl-delay: 2 &lt;b&gt;" in one
    assert reader.post(f"/admin/scrapers/host/{broken.pk}/change/", {"crawl_delay": "0"}).status_code == 403


def test_results_are_listed_with_reason_and_run(reader: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(10):
        place = source(f"S{number}")
        SourceResult.objects.create(
            run=factories.run(),
            source=place,
            source_name=place.name,
            status=ResultStatus.FAILED if number % 2 else ResultStatus.OK,
            failure_class="timeout" if number % 2 else "",
            error="It did not answer in time." if number % 2 else "",
        )
    with django_assert_max_num_queries(12):
        page = reader.get("/admin/scrapers/sourceresult/").content.decode()
    assert page.count("It did not answer in time.") == 5
    failed = reader.get("/admin/scrapers/sourceresult/?status__exact=failed").context["cl"].result_list
    assert len(failed) == 5
    one = failed[0]
    Source.objects.all().delete()
    page = reader.get(f"/admin/scrapers/sourceresult/{one.pk}/change/").content.decode()
    assert one.run.get_absolute_url() in page and "(deleted)" in page


DANGEROUS = (
    "<html><head><title>T</title><style>p{}</style></head><body onload=alert(1)><h1 style='x'>Flöte</h1>"
    "<script>alert(2)</script><a href='javascript:alert(3)'>link</a><img src=x onerror=alert(4)>"
    "<svg onload=alert(5)><p>in a picture</p></svg><p>Words.<iframe src='https://evil.example'></iframe></body></html>"
)


def test_a_kept_page_is_shown_cleaned_and_handed_out_as_it_came(reader: Client, client: Client) -> None:
    kept, other = article("Kept"), article("Other")
    body = DANGEROUS.encode("latin-1")
    ArticlePage.objects.create(
        article=kept, body=ArticlePage.compress(body), content_type="text/html; charset=iso-8859-1"
    )
    address = f"{LIST}{kept.pk}/page/"
    assert address in reader.get(f"{LIST}{kept.pk}/change/").content.decode()
    shown = reader.get(address).content.decode().partition('<div class="scrapers-article"')[2]
    assert "<h1>Flöte</h1>" in shown and "Words." in shown
    for word in ("alert", "style", "javascript", "<img", "iframe", "evil"):
        assert word not in shown.partition("</div>")[0]
    answer = reader.get(f"{address}?file")
    assert answer.content == body and answer["Content-Type"] == "application/octet-stream"
    assert "attachment" in answer["Content-Disposition"] and answer["X-Content-Type-Options"] == "nosniff"
    assert f"{LIST}{other.pk}/page/" not in reader.get(f"{LIST}{other.pk}/change/").content.decode()
    assert reader.get(f"{LIST}{other.pk}/page/").status_code == 404
    assert reader.get(f"{LIST}{10**20}/page/").status_code == 404
    client.force_login(factories.user())
    assert client.get(address).status_code == 403


@pytest.mark.parametrize("address", ["source", "host", "sourceresult"])
def test_a_search_for_more_words_than_can_be_looked_for_says_so(reader: Client, address: str) -> None:
    source("One")
    page = reader.get(f"/admin/scrapers/{address}/", {"q": "word " * 1_500}).content.decode()
    assert "At most 100 words can be searched for." in page


@pytest.mark.parametrize(("ranked", "counts"), [(2_000, 1), (2, 2)])
def test_a_search_counts_what_matches_once_where_that_is_enough(
    reader: Client, monkeypatch: pytest.MonkeyPatch, ranked: int, counts: int
) -> None:
    monkeypatch.setattr("scrapers.admin.article.RANKED", ranked)
    for number in range(4):
        article(title=f"Storm {number}")
    with CaptureQueriesContext(connection) as queries:
        shown = reader.get(LIST, {"q": "storm"}).content.decode()
    assert "4 articles" in shown
    assert sum("COUNT(*)" in query["sql"] for query in queries.captured_queries) == counts
