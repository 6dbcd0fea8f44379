"""The news world: real pages with known right answers, beside this repository; skipped where it is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapers.models import Article, Host, HostGroup, ResultStatus, Source, SourceResult
from tests.scrapers.conftest import Collected
from tests.scrapers.newsworld import WORLD, World, is_polite

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not WORLD.is_dir(), reason="the news world is not here"),
]


def score(tmp_path: Path) -> dict[str, float]:
    """Return what `score.py` says of the stored articles."""
    lines = [
        json.dumps(
            {
                "url": article.url,
                "title": article.title,
                "text": article.text,
                "published": article.published_local.isoformat() if article.published_local else None,
                "authors": article.authors,
            }
        )
        for article in Article.objects.all()
    ]
    predictions = tmp_path / "predictions.jsonl"
    predictions.write_text("\n".join(lines))
    command = [sys.executable, WORLD / "score.py", predictions]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print(line)
    return {name: float(value) for name, value in re.findall(r"(\w+) (\d\.\d+)", line.replace("text F1", "text"))}


def runs_twice(world: World, articles: int, collect_news: Callable[..., Collected]) -> None:
    """Collect twice: all articles, politely, the first time; nothing but 304s the second."""
    first = collect_news()
    assert first.result is not None and not first.result.partial
    assert first.result.summary["new"] == Article.objects.count() == articles
    is_polite(world.control("/stats"))
    print("smallest gap", min(host["smallest_gap"] for host in world.control("/stats").values()))
    world.control("/reset")
    # The reset forgets the last request of the first run, whose distance the slots still keep.
    second = collect_news()
    results = SourceResult.objects.filter(run=second.run)
    assert {result.status for result in results} == {ResultStatus.NOT_MODIFIED}
    stats = world.control("/stats")
    assert sum(len(host["requests"]) for host in stats.values()) == Source.objects.count()
    assert {request["status"] for host in stats.values() for request in host["requests"]} == {304}
    is_polite(stats)


def test_three_small_outlets_are_collected_politely(
    world: World, collect_news: Callable[..., Collected], tmp_path: Path
) -> None:
    small = [outlet for outlet in world.control("/outlets") if outlet["articles"] == 2][:3]
    world.subscribe(small)
    runs_twice(world, 6, collect_news)
    assert score(tmp_path)["found"] == pytest.approx(6 / 152, abs=0.001)


@pytest.mark.long
def test_all_outlets_are_collected_politely_and_well(
    world: World, collect_news: Callable[..., Collected], tmp_path: Path
) -> None:
    world.subscribe(world.control("/outlets"))
    runs_twice(world, 152, collect_news)
    figures = score(tmp_path)
    assert figures["found"] == 1.0
    assert figures["text"] >= 0.95
    assert figures["title"] >= 0.98
    assert figures["day"] >= 0.99
    assert figures["instant"] >= 0.99
    assert figures["authors"] >= 0.8


#: What each fault is to be called; a status where the feed is read. Their links lead to port 80, where nobody answers.
FAULTS = {
    "401": "unauthorized",
    "403": "forbidden",
    "404": "not_found",
    "410": "gone",
    "429": "rate_limited",
    "500": "server_error",
    "503": "server_error",
    "billion-laughs": "",
    "broken-xml": "no_address",
    "chain": "refused",
    "chain2": "refused",
    "drip": "timeout",
    "empty": "empty",
    "future-dates": "refused",
    "gzip-bomb": "too_big",
    "html-instead-of-feed": "not_a_feed",
    "loop": "bad_redirect",
    "moved": "refused",
    "no-guids": "no_address",
    "ok.rss": "refused",
    "reset": "connection",
    "script": "no_address",
    "short-length": "not_a_feed",
    "to-file": "bad_redirect",
    "to-metadata": "address_refused",
    "to-private": "address_refused",
    "twenty-megabytes": "too_big",
    "wrong-charset": "",
    "xxe": "refused",
}


@pytest.mark.anydb
def test_each_fault_is_called_by_its_name_and_nothing_hangs(
    world: World, collect_news: Callable[..., Collected], settings: Any, subtests: Any
) -> None:
    page = urllib.request.urlopen(world.fault(""), timeout=10).read().decode()
    assert set(re.findall(r'href="/([^"]+)"', page)) == set(FAULTS)
    for name in FAULTS:
        Source.objects.create(name=name, url=world.fault(name))
    for name, expected in FAULTS.items():
        # 429 and 503 make the host wait: that is right, and not what is looked at here.
        Host.objects.all().delete()
        HostGroup.objects.all().delete()
        # Only what drips lasts as long as it may; on a busy machine any other answer may take seconds.
        settings.NEWSS_FETCH_TOTAL_SECONDS = 2.0 if expected == "timeout" else 60.0
        began, used = time.monotonic(), time.process_time()
        result = collect_news(sources=[name]).of(name)
        with subtests.test(name):
            assert result.failure_class == expected
            assert bool(result.error) == bool(expected)
            assert time.process_time() - used < 5
            # What is not ended would last for ever; a busy machine needs a while.
            assert time.monotonic() - began < 120
    assert not Article.objects.exists()
