"""`manage.py scrape`: one source in the terminal, from its name or from any address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from scheduling.models import InstanceState, Run, RunStatus, SchedulerInstance
from scrapers.models import Article, Source, SourceResult
from tests.site import SiteServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def scrape(target: str, *options: str, **more: Any) -> str:
    out = StringIO()
    call_command("scrape", target, *options, stdout=out, stderr=StringIO(), **more)
    return out.getvalue()


def test_a_source_is_collected_by_a_run_of_this_process(site: SiteServer) -> None:
    source = Source.objects.create(name="Courier", url=site.feed_url("courier"))
    said = scrape("Courier", "--limit=3")
    assert "3 new articles from 1 source." in said and Article.objects.first().title in said  # type: ignore[union-attr]
    run = Run.objects.get()
    assert (run.status, run.cause) == (RunStatus.SUCCEEDED, "manual")
    assert SourceResult.objects.get(run=run, source=source).new == 3
    assert SchedulerInstance.objects.get().state == InstanceState.STOPPED


def test_an_address_leads_to_its_feed_and_json_is_all_there_is_on_standard_output(site: SiteServer) -> None:
    home = site.feed_url("courier").rpartition("/")[0] + "/"
    rows = [json.loads(line) for line in scrape(home, "--json").splitlines()]
    assert {row["title"] for row in rows} == {story.title for story in site.stories("courier")}
    for row in rows:
        assert set(row) == {"url", "title", "text", "published", "authors", "language", "source"}
        assert datetime.fromisoformat(row["published"]).tzinfo and isinstance(row["authors"], list) and row["text"]
    assert Source.objects.get().url == site.feed_url("courier")
    assert scrape(home, "--json") == "", "the second time nothing is new, and no second source is made"
    assert Source.objects.count() == 1


def test_a_dry_run_stores_nothing_and_shows_what_is_known(site: SiteServer) -> None:
    story = site.stories("courier")[1]
    said = scrape(site.feed_url("courier"), "--dry-run", "--json", f'--query="{story.title}"')
    assert [json.loads(line)["title"] for line in said.splitlines()] == [story.title]
    assert not (Source.objects.exists() or Article.objects.exists() or Run.objects.exists())


@pytest.mark.parametrize(
    ("target", "options", "why"),
    [
        ("Nobody", [], "no source"),
        ("http://127.0.0.1:1/", [], "refused"),
        ("ftp://x.example/", [], "cannot be used"),
        ("Broken", [], "500"),
        ("Broken", ["--dry-run"], "500"),
        ("Broken", ["--limit=0"], "1 or more"),
        ("Broken", ["--query=source:"], "nothing to search for"),
        (".", [], "no source"),
        ("http://me:word@x.example/feed", [], "name and password out"),
        ("SITE", ["--query=source:"], "nothing to search for"),
        ("Off", [], "is off"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(site: SiteServer, target: str, options: list[str], why: str) -> None:
    Source.objects.create(name="Broken", url=site.feed_url("broken"))
    Source.objects.create(name="Off", url="http://off.example/", enabled=False)
    with pytest.raises(CommandError, match=why) as caught:
        scrape(site.feed_url("courier") if target == "SITE" else target, *options)
    assert "\n" not in str(caught.value)
    assert Source.objects.count() == 2, "nothing was added for nothing"


def test_a_scheduler_leaves_the_run_of_a_command_alone(site: SiteServer) -> None:
    from scheduling.recovery import recover

    Source.objects.create(name="Courier", url=site.feed_url("courier"))
    lost: list[Run] = []

    def look_like_a_scheduler(run: Run) -> None:
        me = SchedulerInstance.objects.create(host="other", pid=1, process_started=1.0)
        lost.extend(recover(me))

    from scheduling.jobs import run_here

    run = run_here("run_all_scrapers", {"limit": 2}, look_like_a_scheduler)
    assert run is not None and run.status == RunStatus.SUCCEEDED and lost == []


class Head(StringIO):
    """A reader that goes away after the first line, as `head -1` does."""

    def write(self, text: str) -> int:
        if "\n" in self.getvalue():
            raise BrokenPipeError
        return super().write(text)


def test_when_nobody_reads_any_more_it_ends_and_blames_no_article(site: SiteServer) -> None:
    said = StringIO()
    with pytest.raises(BrokenPipeError):
        call_command("scrape", site.feed_url("courier"), "--dry-run", "--json", stdout=Head(), stderr=said)
    assert "nternal error" not in said.getvalue()


@pytest.mark.anydb
def test_a_command_whose_reader_is_gone_ends_without_a_word() -> None:
    gone, end = os.pipe()
    os.close(gone)
    try:
        done = subprocess.run(
            [sys.executable, "manage.py", "help"], stdout=end, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(end)
    assert (done.returncode, done.stderr) == (141, "")
