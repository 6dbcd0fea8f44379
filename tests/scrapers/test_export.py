"""Exports: every format holds the articles whole, harms nobody who opens it, and needs no memory for many."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import feedparser
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from scheduling.models import Tag
from scrapers import topics
from scrapers.export import _NOT_XML, COLUMNS, FORMATS, export
from scrapers.models import Article, Source, Topic, url_hash
from scrapers.selection import Selection
from tests import factories
from tests.scrapers.articles import instant, make_source, stored


@pytest.fixture
def source(db: None) -> Source:
    return make_source("The Harbour Courier")


def whole(name: str, articles: Any = None) -> str:
    return "".join(export(Article.objects.order_by("-pk") if articles is None else articles, name))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_every_format_holds_what_was_stored(source: Source) -> None:
    stored(
        source,
        "Grüße & <b>“洪水”</b>",
        'One, "two".\nThree; ]]> four.',
        authors=("Ada Ash", "Ben"),
        keywords=("sea",),
        published=datetime(2026, 11, 3, 8, tzinfo=timezone(timedelta(hours=2))),
        zone_known=True,
    )
    article = Article.objects.get()
    line = json.loads(whole("jsonl"))
    assert tuple(line) == COLUMNS
    assert (line["title"], line["text"], line["authors"]) == (article.title, article.text, ["Ada Ash", "Ben"])
    assert (line["published"], line["sources"]) == ("2026-11-03T08:00:00+02:00", ["The Harbour Courier"])
    (row,) = rows(whole("csv"))
    assert tuple(row) == COLUMNS
    assert (row["title"], row["text"], row["authors"]) == (article.title, article.text, "Ada Ash; Ben")
    feed = json.loads(whole("jsonfeed"))
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["items"][0]["content_text"] == article.text and feed["items"][0]["id"] == article.url
    read = feedparser.parse(whole("rss"))
    assert not read.bozo
    (entry,) = read.entries
    assert (entry.link, entry.id, entry.tags[0].term) == (article.url, article.url, "sea")
    assert entry.title == "Grüße & <b>“洪水”</b>"
    assert datetime(*entry.published_parsed[:6], tzinfo=UTC) == article.published_at


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_of_nothing_is_whole_too(name: str, db: None) -> None:
    text = whole(name)
    if name == "jsonfeed":
        assert json.loads(text)["items"] == []
    if name == "rss":
        assert not feedparser.parse(text).bozo and feedparser.parse(text).feed.title == "NEWSS"


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])
def test_no_cell_of_a_table_is_taken_for_a_formula(start: str, source: Source) -> None:
    stored(source, start + " title", "x", authors=(start,), section=start)
    (row,) = rows(whole("csv"))
    assert all(row[name].startswith("'") for name in ("title", "authors", "section"))
    assert row["title"][1:] == Article.objects.get().title


@pytest.mark.anydb
@given(st.text())
def test_what_xml_does_not_allow_is_left_out(text: str) -> None:
    from xml.sax.saxutils import escape

    from lxml import etree

    kept = _NOT_XML.sub("", text)
    read = etree.fromstring(f"<a>{escape(kept)}</a>".encode("utf-8", "surrogatepass")).text or ""
    assert read == kept.replace("\r\n", "\n").replace("\r", "\n")


def test_a_large_export_needs_no_more_memory_than_a_small_one(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scrapers.export.BATCH", 50)
    text = "word " * 1_500
    for begin in range(0, 400, 100):
        Article.objects.bulk_create(
            Article(url=f"http://x.example/{n}", url_hash=url_hash(str(n)), title=f"T{n}", text=text)
            for n in range(begin, begin + 100)
        )

    def peak(name: str, count: int) -> tuple[int, int]:
        tracemalloc.start()
        size = sum(map(len, export(Article.objects.filter(pk__lte=Article.objects.order_by("pk")[count - 1].pk), name)))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used, size

    for name in FORMATS:
        small, large = peak(name, 100), peak(name, 400)
        assert large[1] > 3.5 * small[1] and large[0] < 1.6 * small[0], name


@pytest.fixture
def some(source: Source) -> None:
    tag = Tag.objects.create(name="daily")
    source.tags.add(tag)
    stored(source, "Flood", "The water came.", language="en", published=instant(1))
    stored(make_source("Upland"), "Sturm", "Er kam.", language="de", published=instant(2))
    copy = stored(make_source("Copyist"), "Flood again", "Water.", language="en", published=instant(3))
    Article.objects.filter(pk=copy.pk).update(duplicate_of=Article.objects.get(title="Flood"))
    topics.apply(Topic.objects.create(name="Water", query="water"))


@pytest.mark.parametrize(
    ("filters", "titles"),
    [
        ({}, ["Sturm", "Flood"]),
        ({"copies": True}, ["Flood again", "Sturm", "Flood"]),
        ({"q": "water -again"}, ["Flood"]),
        ({"source": "Upland"}, ["Sturm"]),
        ({"tag": "daily"}, ["Flood"]),
        ({"topic": "Water"}, ["Flood"]),
        ({"topic": "Water", "copies": True}, ["Flood again", "Flood"]),
        ({"language": "DE"}, ["Sturm"]),
        ({"since": instant(2)}, ["Sturm"]),
        ({"until": instant(2)}, ["Flood"]),
    ],
)
def test_what_a_filter_selects(filters: dict[str, Any], titles: list[str], some: None) -> None:
    assert [article.title for article in Selection(**filters).articles()] == titles


def test_filters_that_cannot_be_understood_are_all_named(some: None) -> None:
    wrong = Selection(source="No", tag="999", topic="99999999999999999999", q='"', since=instant(2), until=instant(2))
    with pytest.raises(ValidationError) as error:
        wrong.articles()
    assert set(error.value.message_dict) == {"source", "tag", "topic", "q", "until"}


def test_the_command_writes_an_export(some: None, capsys: Any) -> None:
    call_command("export_articles", "--format=csv", "--since=2026-11-02", "--source=Upland")
    assert [row["title"] for row in rows(capsys.readouterr().out)] == ["Sturm"]
    for wrong in (["--source=No"], ["--since=soon"], ["-q", '"']):
        with pytest.raises(CommandError):
            call_command("export_articles", *wrong)


def test_the_admin_exports_what_its_list_shows(some: None, admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:scrapers_article_changelist"), {"q": "water"}).content.decode()
    address = reverse("admin:scrapers_article_export", args=["csv"])
    assert f"{address}?q=water" in page
    answer = admin_client.get(address, {"q": "water"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8" and "attachment" in answer["Content-Disposition"]
    assert [row["title"] for row in rows(b"".join(answer).decode())] == ["Flood"]
    assert admin_client.get(reverse("admin:scrapers_article_export", args=["exe"])).status_code == 404


def test_who_may_not_see_articles_exports_none(some: None, client: Client) -> None:
    client.force_login(factories.user("scrapers.view_source"))
    assert client.get(reverse("admin:scrapers_article_export", args=["csv"])).status_code == 403
