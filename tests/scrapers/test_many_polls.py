"""Polling many sources costs the database few statements, and what goes wrong with one befalls no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scrapers import conf
from scrapers.batches import Together
from scrapers.collect import spread
from scrapers.database import DatabaseThread, update_rows
from scrapers.drafts import Entry
from scrapers.fetch.hosts import _load_hosts
from scrapers.kinds import Item
from scrapers.known import pass_over
from scrapers.models import Host, HostLane, PassedItem, ResultStatus, Source
from scrapers.storage import _in_one_transaction, _store_noted
from tests.scrapers.conftest import Collected, LocalServer

pytestmark = pytest.mark.django_db(transaction=True)

SOURCES = 40


def test_polls_that_bring_nothing_new_take_less_than_two_statements_each(
    serve: Callable[..., LocalServer], collect_news: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    server.conditional = True
    for number in range(SOURCES):
        path = f"/{number}.xml"
        server.answer(path, "<rss version='2.0'><channel><title>Paper</title></channel></rss>", ETag=f'"{number}"')
        Source.objects.create(name=f"Paper {number}", url=server.url(path))
    collect_news()
    statements: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    run = DatabaseThread.run

    async def noted(self: DatabaseThread, function: Any, *args: Any, **kwargs: Any) -> Any:
        def call() -> Any:
            with connection.execute_wrapper(note):
                return function(*args, **kwargs)

        return await run(self, call)

    monkeypatch.setattr(DatabaseThread, "run", noted)
    again = collect_news()
    assert all(again.of(f"Paper {number}").status == ResultStatus.NOT_MODIFIED for number in range(SOURCES))
    ends = [sql for sql in statements if sql.startswith("UPDATE") and '"last_success_at"' in sql]
    results = [sql for sql in statements if sql.startswith("INSERT") and "scrapers_sourceresult" in sql]
    # In batches, smaller ones on a machine that answers at once.
    assert len(ends) < SOURCES
    assert len(results) < SOURCES
    assert len(statements) < 3 * SOURCES


def test_a_note_of_a_poll_that_the_database_refuses_fails_alone() -> None:
    one, other = (Source.objects.create(name=name, url=f"https://{name}.example/") for name in ("one", "other"))

    def write(source: Source, **values: Any) -> Callable[[], None]:
        def update() -> None:
            Source.objects.filter(pk=source.pk).update(**values)

        return update

    def fail() -> None:
        raise ValueError("for a reason of its own")

    found = _in_one_transaction([write(one, etag="a"), write(other, interval_minutes=0), fail, write(other, etag="b")])
    assert [type(error) for error in found] == [type(None), IntegrityError, ValueError, type(None)]
    assert (Source.objects.get(pk=one.pk).etag, Source.objects.get(pk=other.pk).etag) == ("a", "b")


def test_rows_get_values_of_their_own_in_one_statement(django_assert_max_num_queries: Any) -> None:
    now = timezone.now().replace(microsecond=0)
    one, other, third = (Source.objects.create(name=name, url=f"https://{name}.example/") for name in ("a", "b", "c"))
    rows = {
        other.pk: {"not_before": None, "failure_score": 1, "never_matched": None, "page_validators": {}, "etag": ""},
        one.pk: {
            "not_before": now,
            "failure_score": 0.5,
            "never_matched": ["date: “time”"],
            "page_validators": {"/2": ["a", ""]},
            "etag": "100 %s",
        },
    }
    # On PostgreSQL the rows are locked before, in their order; and the begin and end of a transaction.
    with django_assert_max_num_queries(4):
        update_rows(Source, rows)
    for source in (one, other):
        stored = Source.objects.get(pk=source.pk)
        assert {name: getattr(stored, name) for name in rows[source.pk]} == rows[source.pk]
    assert not Source.objects.filter(pk=third.pk).exclude(etag="", failure_score=0).exists()
    assert Source.objects.filter(never_matched__isnull=True).count() == 2
    update_rows(Source, {})


def test_articles_are_linked_to_a_source_while_its_poll_is_noted(on_postgresql: bool) -> None:
    if not on_postgresql:
        pytest.skip("one writer at a time")
    source = Source.objects.create(name="a", url="https://a.example/")

    def link() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout TO '5s'")
        try:
            PassedItem.objects.create(source=source, item_key="x")
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as other:
        update_rows(Source, {source.pk: {"etag": "a"}})
        other.submit(link).result(timeout=30)
    assert source.passed_items.exists()


def test_a_poll_whose_values_the_database_refuses_fails_alone() -> None:
    one, other, third = (Source.objects.create(name=name, url=f"https://{name}.example/") for name in ("a", "b", "c"))
    polls = [(one.pk, {"etag": "a"}), (other.pk, {"interval_minutes": 0}), (third.pk, {"etag": "c"})]
    found = _store_noted(polls)
    assert [type(error) for error in found] == [type(None), IntegrityError, type(None)]
    assert list(Source.objects.order_by("name").values_list("etag", flat=True)) == ["a", "", "c"]


def test_items_that_are_passed_over_together_are_remembered_in_one_statement() -> None:
    source = Source.objects.create(name="a", url="https://a.example/")
    entries = [Entry.of(Item(f"item {number}", f"https://a.example/{number}")) for number in range(5)]
    gone = timezone.now()
    pass_over([(source.pk, entries[0])], buried_at=gone)
    # Each once, whatever a listing repeats.
    with CaptureQueriesContext(connection) as asked:
        pass_over([(source.pk, entry) for entry in [*entries, entries[4]]])
    assert len([query for query in asked if "passeditem" in query["sql"]]) == 1
    assert source.passed_items.count() == 5
    assert source.passed_items.get(item_key=entries[0].key).buried_at == gone, "it stays away for good"


def test_the_sources_of_one_host_do_not_stand_in_a_row() -> None:
    names = ("a1", "a2", "a3", "b1", "c1", "c2")
    sources = [Source(name=name, url=f"https://{name[0]}.example/{name[1]}") for name in names]
    assert [names[place] for place in spread(sources)] == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_many_new_hosts_take_the_statements_of_one(django_assert_max_num_queries: Any) -> None:
    keys = [("https", f"www{number}.example", 443) for number in range(20)]
    # Eight, and the begin and end of three transactions.
    with django_assert_max_num_queries(14):
        hosts = _load_hosts(keys)
    assert [host.host for host in hosts if isinstance(host, Host)] == [name for _scheme, name, _port in keys]
    assert HostLane.objects.filter(group__hosts__in=Host.objects.all()).count() == 20 * conf.host_concurrency()
    with django_assert_max_num_queries(2):
        assert _load_hosts(keys) == hosts


def test_a_new_host_heeds_what_the_others_of_its_group_asked_for(settings: Any) -> None:
    settings.NEWSS_GROUP_HOSTS = True
    one, other = (("https", f"{name}.example.com", 443) for name in ("one", "other"))
    [asked] = _load_hosts([one])
    assert isinstance(asked, Host)
    asked.cool_down(timezone.now() + timedelta(hours=1))
    [found] = _load_hosts([other])
    assert isinstance(found, Host)
    assert (found.group, found.cool_down_until) == (asked.group, Host.objects.get(pk=asked.pk).cool_down_until)


def test_a_host_that_the_database_refuses_keeps_no_other_from_being_asked() -> None:
    found = _load_hosts([("https", "good.example", 443), ("https", "bad.example", 0)])
    assert [type(one) for one in found][:1] == [Host]
    assert isinstance(found[1], DatabaseError)


def test_only_the_thread_of_a_run_does_not_wait_for_the_disk(on_postgresql: bool) -> None:
    if not on_postgresql:
        pytest.skip("SQLite does not wait for the disk at each commit")

    def told() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW synchronous_commit")
            return str(cursor.fetchone()[0])

    async def work() -> list[str]:
        database = DatabaseThread()
        found = [await database.run(told)]
        # The server may go away and come back.
        await database.run(connection_closed)
        found.append(await database.run(told))
        await database.close()
        return found

    def connection_closed() -> None:
        connection.close()

    assert asyncio.run(work()) == ["off", "off"]
    assert told() == "on"


def test_the_first_batch_is_written_at_once_and_the_next_waits_for_what_is_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches: list[list[int]] = []

    def write(given: list[int]) -> list[int]:
        batches.append(given)
        return given

    async def work() -> None:
        database = DatabaseThread()
        coming = 3
        together: Together[int, int] = Together(database, write, more=lambda: coming > 0)

        async def one(number: int) -> None:
            nonlocal coming
            await asyncio.sleep(0.1 * number)
            coming -= 1
            assert await together.write(number) == number

        await asyncio.gather(*(one(number) for number in range(3)))
        await together.write(3)
        await together.close()
        await database.close()

    monkeypatch.setattr("scrapers.batches.GATHER_SECONDS", 60.0)
    asyncio.run(work())
    assert batches == [[0], [1, 2], [3]]
