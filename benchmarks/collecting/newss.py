"""NEWSS under measurement: a real `runapscheduler`, whose child process collects from the local site.

    python -m benchmarks.collecting.newss DATABASE_URL MEASURE SITE      prints JSON; SITE is a file (`world.describe`)

`collect` polls each host's feed or sitemap and stores all pages, then polls again; `poll` stores small feeds that carry
their texts, then polls all of them again. DJANGO_SETTINGS_MODULE is `benchmarks.collecting.settings`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from benchmarks.collecting.usage import Usage, tree_cpu

LIMIT_SECONDS = 1500
TELL_SECONDS = 15
"""How often it is told how far a run is."""


def collect(site: dict[str, Any], scheduler: int) -> dict[str, Any]:
    """Collect every page of the site, half of the hosts by their feed, half by their sitemap; then poll again."""
    from scrapers.models import Article

    add_sources(
        [
            (host, "feed", f"{host}/feed.xml", {}) if number % 2 == 0 else (host, "sitemap", f"{host}/sitemap.xml", {})
            for number, host in enumerate(site["hosts"])
        ]
    )
    first = poll(site, scheduler)
    found = {article.url: article.text for article in Article.objects.filter(url__in=site["truth"]).only("url", "text")}
    return {
        **{name: first[name] for name in ("seconds", "cpu_s", "rss_mb", "pss_mb", "server_cpu_s", "database_cpu_s")},
        "first_article_s": seconds_to_first_article(first["run"]),
        "pages": Article.objects.count(),
        "copies": Article.objects.exclude(duplicate_of=None).count(),
        "texts": found,
        "second": poll(site, scheduler),
    }


def seconds_to_first_article(run: int) -> float:
    """Return the seconds from the request of a run to its first article, in which processes and the pool start."""
    from django.db.models import Min

    from scheduling.models import Run
    from scrapers.models import Article

    first = Article.objects.aggregate(first=Min("created_at"))["first"]
    return round((first - Run.objects.get(pk=run).queued_at).total_seconds(), 3)


def many(site: dict[str, Any], scheduler: int) -> dict[str, Any]:
    """Poll all small feeds for the first time, and again when nothing has changed."""
    from scrapers.models import ResultStatus, SourceResult

    feeds = int(site["feeds"])
    add_sources(
        [
            (f"{host} {number}", "feed", f"{host}/small/{number}.xml", {"text_from": "source"})
            for host in site["hosts"]
            for number in range(feeds)
        ]
    )
    first = poll(site, scheduler)
    second = poll(site, scheduler)
    second["not_modified"] = SourceResult.objects.filter(
        run=second["run"], status=ResultStatus.NOT_MODIFIED
    ).count()  # fmt: skip
    return {"first": first, "second": second}


def poll(site: dict[str, Any], scheduler: int) -> dict[str, Any]:
    """Let a run poll all sources now; return its seconds, from the request to the end, and what it took."""
    from scheduling.models import Cause, Run
    from scrapers.jobs import poll_now
    from scrapers.models import Source

    before, database = ask(site, "/_reset")["server_cpu_s"], database_cpu()
    with Usage(scheduler) as usage:
        run = poll_now(Source.objects.all(), by=None, cause=Cause.API)
        began = told = time.monotonic()
        while run.finished_at is None and time.monotonic() < began + LIMIT_SECONDS:
            time.sleep(0.1)
            run = Run.objects.get(pk=run.pk)
            if time.monotonic() > told + TELL_SECONDS:
                told = time.monotonic()
                total = run.progress_total
                how_far = f"{run.progress_done:,} of {total:,} sources" if total else run.status
                print(f"  run {run.pk}: {how_far} after {told - began:.0f} s", file=sys.stderr, flush=True)
    if run.finished_at is None or run.status != "succeeded":
        sys.exit(f"the run is {run.status}: {run.outcome}")
    stats = ask(site, "/_stats")
    return {
        "run": run.pk,
        "seconds": round((run.finished_at - run.queued_at).total_seconds(), 3),
        "cpu_s": usage.cpu_s,
        "rss_mb": usage.rss_mb,
        "pss_mb": usage.pss_mb,
        "database_cpu_s": round(database_cpu() - database, 2),
        "outcome": run.outcome,
        **stats,
        "server_cpu_s": round(stats["server_cpu_s"] - before, 2),
    }


def database_cpu() -> float:
    """Return the processor seconds that the database's server has taken; 0 where it has none, as SQLite."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    assert server is not None
    return tree_cpu(server.pid)


def ask(site: dict[str, Any], path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{site['hosts'][0]}{path}", timeout=30) as answer:
        return dict(json.loads(answer.read()))


def wait_for_children() -> None:
    """Wait for a run without sources, in a child process: then the scheduler can start runs, as one that has been up.

    What a run itself pays for its start (its process, those of extraction) is counted; what the scheduler pays once
    for its own is not, as that of the peers' interpreters is not.
    """
    from scheduling.models import Cause, Run
    from scrapers.polled_by import JOB

    run, _new = Run.objects.start(job=JOB, parameters={}, cause=Cause.API)
    began = time.monotonic()
    while Run.objects.get(pk=run.pk).finished_at is None:
        if time.monotonic() > began + LIMIT_SECONDS:
            sys.exit("no child process within the time")
        time.sleep(0.05)


def add_sources(rows: list[tuple[str, str, str, dict[str, str]]]) -> None:
    """Store sources: name, kind, address, settings."""
    from scrapers.kinds import registry
    from scrapers.models import Source

    options = {kind: registry.get(kind).clean_options({}) for kind in {row[1] for row in rows}}
    Source.objects.bulk_create(
        [
            Source(name=name, kind=kind, url=url, options=options[kind], settings=settings)
            for name, kind, url, settings in rows
        ],
        batch_size=1000,
    )


MEASURES = {function.__name__: function for function in (collect, many)}


def main() -> None:
    """Set up an empty database, start the scheduler, measure."""
    url, measure, path = sys.argv[1:]
    os.environ.update(
        DATABASE_URL=url,
        DJANGO_SETTINGS_MODULE="benchmarks.collecting.settings",
        NEWSS_ENV_FILE=os.devnull,
        SECRET_KEY="only-for-this-benchmark-on-a-scratch-database",
        ALLOWED_HOSTS="localhost",
        NEWSS_INSECURE_HTTP="on",
        NEWSS_ALLOW_NETWORKS="127.0.0.0/8",
        NEWSS_CONTACT="mailto:bench@example.org",
        LOG_LEVEL="INFO",
    )
    import django
    from django.core.management import call_command

    from benchmarks.scheduling.newss import scheduler

    django.setup()
    logging.disable(logging.WARNING)
    call_command("migrate", verbosity=0)
    with scheduler() as (process, _seconds):
        wait_for_children()
        found = MEASURES[measure](json.loads(Path(path).read_text()), process.pid)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
