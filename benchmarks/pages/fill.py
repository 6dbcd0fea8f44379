"""Fill a database with years of use: schedules, runs, sources, articles, by copying one row of each a million times.

python -m benchmarks.pages fills a scratch PostgreSQL; `fill()` works on whatever database Django is set up for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from scheduling.models import Cause, Run, RunStatus, Schedule, Tag, TriggerKind
from scrapers.models import Article, ArticleSource, ResultStatus, Source, SourceResult

RUN_DAYS = 60
"""Over so many days runs are spread."""
ARTICLE_DAYS = 90
"""Over so many days articles are spread."""

SEARCH_TABLE = "scrapers_articlesearch"
WORDS = ("harbour", "river", "council", "budget", "storm", "election", "science", "market", "museum", "school")
"""Titles are made of these."""


def fill(runs: int, articles: int, *, schedules: int = 200, sources: int = 300) -> None:
    """Fill an empty database (PostgreSQL) so that its tables hold so many rows; some minutes for millions."""
    made_schedules, made_sources = _schedules(schedules), _sources(sources)
    with transaction.atomic(), _bare(Run, SourceResult, Article, ArticleSource):
        _runs(runs, made_schedules)
        _articles(articles, made_sources)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


@contextmanager
def _bare(*tables: type[models.Model]) -> Iterator[None]:
    """Take the indexes off tables that are about to be filled, and make them anew in the end; no trigger fires.

    To keep some thirty of them up to date row by row takes most of an hour; to build each once, minutes. Unique ones
    that stand for a constraint stay.
    """
    names = [*(model._meta.db_table for model in tables), SEARCH_TABLE]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        cursor.execute(
            "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = ANY(%s::regclass[]) AND NOT i.indisprimary"
            " AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid)",
            [names],
        )
        found = cursor.fetchall()
        for name, _definition in found:
            cursor.execute(f"DROP INDEX {connection.ops.quote_name(name)}")
        yield
        for _name, definition in found:
            cursor.execute(definition)


def _schedules(count: int) -> list[Schedule]:
    tags = [Tag.objects.create(name=name) for name in ("daily", "weekly", "science")]
    rows = Schedule.objects.bulk_create(
        Schedule(
            name=f"Schedule {number:04}",
            job="run_all_scrapers",
            parameters={"sources": [number % 50 + 1], "tags": [], "query": "", "limit": None},
            trigger_kind=TriggerKind.CRONTAB,
            crontab=f"*/{5 + number % 20} * * * *",
        )
        for number in range(count)
    )
    for number, schedule in enumerate(rows):
        schedule.tags.add(tags[number % len(tags)])
    return rows


def _sources(count: int) -> list[Source]:
    now = timezone.now()
    return Source.objects.bulk_create(
        Source(
            name=f"Outlet {number:04}",
            url=f"https://outlet{number}.example/feed",
            last_polled_at=now,
            last_success_at=now,
            **(
                {"consecutive_failures": 3, "last_failure_class": "timeout", "last_error": "No answer in time."}
                if number % 20 == 0
                else {}
            ),
        )
        for number in range(count)
    )


def _runs(count: int, schedules: list[Schedule]) -> None:
    now = timezone.now()
    template = Run.objects.create(
        schedule=None,
        schedule_name="",
        job="run_all_scrapers",
        parameters={},
        executor="processes",
        status=RunStatus.SUCCEEDED,
        cause=Cause.MANUAL,
        queued_at=now,
        started_at=now,
        finished_at=now,
        summary={"found": 20, "new": 2, "updated": 0, "known": 18},
        outcome="2 new articles from 1 source.",
    )
    first = schedules[0].pk
    at = f"(now() - make_interval(secs => n * {RUN_DAYS * 86400 / count}))"
    _copy(
        template,
        count,
        schedule_id=f"{first} + n % {len(schedules)}",
        schedule_name=f"'Schedule ' || lpad((n % {len(schedules)})::text, 4, '0')",
        cause="'schedule'",
        scheduled_for=at,
        queued_at=at,
        started_at=f"{at} + interval '20 ms'",
        finished_at=f"{at} + make_interval(secs => 2 + n % 30)",
        status="CASE WHEN n % 50 = 0 THEN 'failed' WHEN n % 20 = 0 THEN 'partial' ELSE 'succeeded' END",
        error_class="CASE WHEN n % 50 = 0 THEN (ARRAY['timeout', 'JobError'])[1 + n / 50 % 2] ELSE '' END",
        outcome="CASE WHEN n % 50 = 0 THEN 'No answer in time.' ELSE '2 new articles from 1 source.' END",
    )
    result = SourceResult.objects.create(
        run=template,
        source=Source.objects.first(),
        source_name="Outlet",
        status=ResultStatus.OK,
        seen=20,
        new=2,
        known=18,
    )
    first_run = template.pk + 1
    _copy(
        result,
        count // 2,
        run_id=f"{first_run} + n - 1",
        started_at=at,
        finished_at=f"{at} + interval '2 s'",
    )


def _articles(count: int, sources: list[Source]) -> None:
    template = Article.objects.create(
        url="https://outlet.example/0",
        url_hash="0",
        title="Template",
        text="Text. " * 150,
        summary="Summary. " * 10,
        language="en",
    )
    at = f"(now() - make_interval(secs => n * {ARTICLE_DAYS * 86400 / count}))"
    word = "(ARRAY[" + ",".join(f"'{word}'" for word in WORDS) + "])"
    picked = [f"{word}[1 + (n / {step}) % {len(WORDS)}]" for step in (1, len(WORDS), len(WORDS) ** 2)]
    title = f"initcap(concat_ws(' ', {', '.join(picked)}, n))"
    _copy(
        template,
        count,
        url="'https://outlet.example/' || n",
        url_hash="md5(n::text) || md5((-n)::text)",
        content_hash="md5((-n)::text) || md5(n::text)",
        title=title,
        text=f"{title} || '. ' || t.text",
        published_at=at,
        created_at=at,
        fetched_at=at,
        updated_at=at,
        language="CASE WHEN n % 5 = 0 THEN 'de' ELSE 'en' END",
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {SEARCH_TABLE} (article_id, document)"
            " SELECT id, setweight(to_tsvector('simple', title), 'A')"
            " || setweight(to_tsvector('simple', left(text, 200)), 'C')"
            f" FROM scrapers_article WHERE id > {template.pk} ORDER BY id"
        )
    link = ArticleSource.objects.create(article=template, source=sources[0], item_key="0")
    _copy(
        link,
        count,
        article_id=f"{template.pk} + n",
        source_id=f"{sources[0].pk} + n % {len(sources)}",
        item_key="md5(n::text)",
        first_seen_at=at,
    )


def _copy(template: models.Model, count: int, **columns: str) -> None:
    """Insert copies of a row, numbered n = 1 …, with these columns computed."""
    meta = template._meta
    fields: list[Any] = [field for field in meta.concrete_fields if not field.primary_key and not field.generated]
    names = [str(field.column) for field in fields]
    values = [columns.get(name, f't."{name}"') for name in names]
    quoted = ", ".join(f'"{name}"' for name in names)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{meta.db_table}" ({quoted}) SELECT {", ".join(values)}'
            f' FROM "{meta.db_table}" AS t, generate_series(1, {count}) AS n'
            f' WHERE t."{meta.pk.column}" = {template.pk} ORDER BY n'
        )
