"""Counts are separated as the language does it, numbers that name a row or a measure never are."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from lxml import html

from scheduling.models import Backfill, Cause, Run, RunLog, RunStatus, SchedulerInstance, Tag
from scrapers.models import Article, ArticleSource, Host, Source, SourceResult, Topic, url_hash
from tests import factories

KEY = 7654321
SEPARATED = re.compile(r"7[.,\s\xa0]654[.,\s\xa0]32[12]")
READ_BY_PROGRAMS = ("id", "name", "value", "href", "action", "for", "max", "min", "style", "d", "points", "width")
A_SEPARATED_NUMBER = re.compile(r"(?<![\d,.=])\d{1,3}(?:[.,]\d{3})+(?![\d,.])")
PAGES = [
    "/admin/",
    "/admin/scheduling/schedule/",
    f"/admin/scheduling/schedule/{KEY}/change/",
    f"/admin/scheduling/schedule/{KEY}/history/",
    f"/admin/scheduling/schedule/{KEY}/run-with/",
    f"/admin/scheduling/schedule/{KEY}/delete/",
    f"/admin/scheduling/schedule/{KEY}/backfill/",
    f"/admin/scheduling/schedule/pause/?ids={KEY}",
    "/admin/scheduling/schedule/coming-up/",
    "/admin/scheduling/run/",
    f"/admin/scheduling/run/{KEY}/change/",
    f"/admin/scheduling/run/{KEY + 1}/change/",
    "/admin/scheduling/backfill/",
    "/admin/scheduling/schedulerinstance/",
    "/admin/scrapers/source/",
    f"/admin/scrapers/source/{KEY}/change/",
    "/admin/scrapers/sourceresult/",
    "/admin/scrapers/article/",
    f"/admin/scrapers/article/{KEY}/change/",
    "/admin/scrapers/host/",
    "/admin/scheduling/tag/",
    "/admin/scrapers/topic/",
    f"/admin/scrapers/topic/{KEY}/change/",
]


@pytest.fixture
def rows(db: None) -> None:
    """Make a row of each kind whose key has seven digits."""
    now = timezone.now()
    schedule = factories.schedule(pk=KEY, name="Front pages")
    schedule.tags.add(Tag.objects.create(pk=KEY, name="daily"))
    SchedulerInstance.objects.create(
        pk=KEY, host="here", pid=KEY, process_started=1.0, started_at=now, heartbeat_at=now
    )
    fill = Backfill.objects.create(pk=KEY, schedule=schedule, window_start=now - timedelta(days=1), window_end=now)
    common = {"schedule": schedule, "schedule_name": schedule.name, "job": "run_all_scrapers"}
    made: Run = factories.run(
        pk=KEY,
        status=RunStatus.PARTIAL,
        started_at=now,
        finished_at=now,
        progress_done=1234,
        progress_total=4321,
        backfill=fill,
        **common,
    )
    RunLog.objects.create(pk=KEY, run=made, at=now, message="a line of the log")
    factories.running(pk=KEY + 1, parent=made, cause=Cause.RETRY, progress_done=1234, progress_total=4321, **common)
    source = Source.objects.create(pk=KEY, name="Herald", url="https://herald.example/feed")
    Host.objects.create(pk=KEY, scheme="https", host="herald.example", port=443)
    SourceResult.objects.create(pk=KEY, run=made, source=source, source_name="Herald", status="ok")
    url = "https://herald.example/story"
    article = Article.objects.create(pk=KEY, url=url, url_hash=url_hash(url), title="A story", text="First.")
    ArticleSource.objects.create(pk=KEY, article=article, source=source, item_key="1")
    Topic.objects.create(pk=KEY, name="Stories", query="story")


@pytest.mark.anydb
@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("language", ["de", pytest.param("en", marks=pytest.mark.long)])
def test_no_page_separates_the_digits_of_a_number_that_names_something(admin_client: Client, language: str) -> None:
    admin_client.cookies["django_language"] = language
    wrong = []
    for path in PAGES:
        page = admin_client.get(path)
        assert page.status_code == 200, path
        tree = html.fromstring(page.content)
        for element in tree.iter():
            if not isinstance(element.tag, str):
                continue
            if element.text and SEPARATED.search(element.text):
                wrong.append(f"{path}: {html.tostring(element, encoding='unicode')[:200]}")
            wrong += [
                f"{path}: <{element.tag} {name}={value!r}>"
                for name, value in element.attrib.items()
                if (name in READ_BY_PROGRAMS or name.startswith("data-")) and A_SEPARATED_NUMBER.search(value)
            ]
    assert wrong == []
