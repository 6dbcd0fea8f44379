"""What housekeeping removes of collecting, and that no deleted article comes back by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from scheduling import retention
from scheduling.jobs import keeping
from scrapers import housekeeping
from scrapers.ingest import Outcome, look_up, store
from scrapers.kinds import registry
from scrapers.models import Article, ArticleVersion, Host, HostGroup, HostLane, PassedItem, Source, Tombstone
from tests.scrapers.articles import draft, make_source
from tests.scrapers.conftest import Collected
from tests.scrapers.test_collect import feed, item, page

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every source have its turn at each look."""
    monkeypatch.setattr(housekeeping, "SLOTS", 1)
    monkeypatch.setattr(keeping, "PAUSE_SECONDS", 0.0)


def never() -> bool:
    return False


def clean(now: datetime) -> dict[str, int]:
    return {kind: count for kind, count in retention.remove_old(now).items() if count}


def test_the_scheduler_removes_what_the_app_has_registered_and_one_failure_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_args: Any) -> int:
        raise ZeroDivisionError

    monkeypatch.setitem(keeping._removers, "passed items", broken)
    assert {"tombstones", "earlier versions of articles", "hosts"} <= set(retention.remove_old(NOW))
    assert "could not remove passed items" in caplog.text
    with pytest.raises(ValueError, match="two rules"):
        keeping.removes("tombstones")(broken)


class TestPassedItems:
    """A source drops an item; it stays for as long as it may still be carried."""

    def passed(self, source: Source, days: float, **values: Any) -> PassedItem:
        return PassedItem.objects.create(source=source, item_key=f"{days}", at=NOW - timedelta(days=days), **values)

    def test_they_go_when_their_feed_was_read_long_after_they_were_in_it(self) -> None:
        source = make_source(last_read_at=NOW)
        self.passed(source, 98)
        kept = self.passed(source, 96)
        assert clean(NOW) == {"passed items": 1}
        assert list(PassedItem.objects.all()) == [kept]

    @pytest.mark.parametrize("last_read", [None, NOW - timedelta(days=900)])
    def test_they_stay_where_the_source_was_not_read_since(self, last_read: datetime | None) -> None:
        self.passed(make_source(last_read_at=last_read), 950)
        assert clean(NOW) == {}

    def test_zero_days_keeps_them_for_ever(self, settings: Any) -> None:
        settings.NEWSS_KEEP_PASSED_DAYS = 0
        self.passed(make_source(last_read_at=NOW), 9000)
        assert clean(NOW) == {}

    def test_a_source_has_its_turn_once_a_day(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(housekeeping, "SLOTS", 24)
        for _ in range(3):
            self.passed(make_source(last_read_at=NOW), 500)
        looks = [clean(NOW + timedelta(minutes=10 * look)).get("passed items", 0) for look in range(24)]
        assert (sum(looks), max(looks)) == (3, 1)


@pytest.mark.anydb
def test_only_kinds_that_list_all_they_have_may_drop_anything() -> None:
    assert {name for name, _label in registry.choices() if registry.get(name).lists_all} == {"feed"}


@pytest.mark.django_db(transaction=True)
def test_a_poll_notes_what_the_source_still_carries(serve: Any, collect_news: Callable[..., Collected]) -> None:
    server = serve()
    server.answer("/feed", feed(item("/a", "A story of the sea", "1"), item("/b", "B", "2")), ETag='"1"')
    server.answer("/a", page("A story of the sea", "The sea."))
    source = Source.objects.create(name="Small", url=server.url("/feed"))
    with time_machine.travel(NOW, tick=True):
        assert collect_news().of("Small").new == 1
        Article.objects.all().delete()
    old, later = NOW - timedelta(days=30), NOW + timedelta(days=10)
    assert PassedItem.objects.filter(buried_at__isnull=False).count() == 1
    PassedItem.objects.update(at=old)
    Tombstone.objects.update(seen_at=old)
    server.conditional = True
    with time_machine.travel(later, tick=True):
        collect_news()
    source.refresh_from_db()
    assert source.last_read_at is not None and source.last_read_at < later, "“not modified” tells nothing of its items"
    assert set(PassedItem.objects.values_list("at", flat=True)) == {old}
    server.conditional = False
    Source.objects.update(body_hash="", page_validators={})
    with time_machine.travel(later, tick=True):
        assert collect_news().of("Small").known == 2
    source.refresh_from_db()
    assert source.last_read_at >= later
    assert {moment >= later for moment in PassedItem.objects.values_list("at", flat=True)} == {True}
    assert Tombstone.objects.get().seen_at >= later  # type: ignore[operator]


class TestTombstones:
    def deleted(self) -> Any:
        """Return the draft of an article that was stored and deleted."""
        made = draft(make_source(), "Old story of the harbour", "Text.")
        store([made])
        with time_machine.travel(NOW - timedelta(days=800), tick=False):
            Article.objects.all().delete()
        return made

    def test_they_go_long_after_any_source_brought_the_address(self) -> None:
        self.deleted()
        assert clean(NOW) == {"tombstones": 1}

    def test_one_that_a_source_brought_lately_stays(self) -> None:
        made = self.deleted()
        with time_machine.travel(NOW - timedelta(days=300), tick=False):
            [status] = look_up(make_source().pk, [made.entry], "")
        assert status.outcome is Outcome.KNOWN
        assert clean(NOW) == {}

    def test_one_of_before_this_was_noted_stays(self) -> None:
        self.deleted()
        Tombstone.objects.update(seen_at=None)
        assert clean(NOW) == {}

    def test_without_a_tombstone_an_update_in_the_source_that_had_it_does_not_bring_it_back(self) -> None:
        from dataclasses import replace

        made = self.deleted()
        clean(NOW)
        assert not Tombstone.objects.exists()
        entry = replace(made.entry, item=replace(made.entry.item, updated=NOW))
        [status] = look_up(made.source_id, [entry], "")
        assert status.outcome is Outcome.KNOWN and PassedItem.objects.get().buried_at is not None

    def test_a_tombstone_that_blocks_an_article_is_seen_and_its_item_is_buried(self) -> None:
        made = self.deleted()
        PassedItem.objects.all().delete()
        assert store([made]) == [Outcome.KNOWN]
        assert PassedItem.objects.get().buried_at is not None
        assert Tombstone.objects.get().seen_at > NOW - timedelta(days=1)  # type: ignore[operator]


def test_earlier_versions_go_by_age() -> None:
    store([draft(make_source(), "A story", "Text.")])
    article = Article.objects.get()
    for days in (400, 300):
        then = NOW - timedelta(days=days)
        ArticleVersion.objects.create(article=article, title=f"{days}", stored_at=then, replaced_at=then)
    assert clean(NOW) == {"earlier versions of articles": 1}
    assert ArticleVersion.objects.get().title == "300"


def test_hosts_that_are_not_asked_any_more_go_with_their_groups() -> None:
    def host(name: str, days: float, **values: Any) -> Host:
        made = Host.objects.create(
            scheme="https", host=name, port=443, robots_fetched_at=NOW - timedelta(days=days), **values
        )
        HostLane.objects.create(group=made.join(made.origin), number=0)
        return made

    host("old.example", 91)
    kept = [
        host("new.example", 89),
        host("cooling.example", 91, cool_down_until=NOW + timedelta(hours=1)),
        host("grouped.example", 91, chosen_group="papers"),
    ]
    HostGroup.objects.create(name="just made")
    assert clean(NOW) == {"hosts": 1}
    assert set(Host.objects.all()) == set(kept)
    assert set(HostGroup.objects.values_list("name", flat=True)) == {"just made", *(one.origin for one in kept)}


def test_failing_since_is_the_first_failure_after_the_last_success_and_outlives_results() -> None:
    from scrapers.fetch.failures import CollectError, FailureClass

    source = make_source()
    first = timezone.now() - timedelta(days=200)
    source.failed(CollectError(FailureClass.TIMEOUT, "Late."), at=first)
    source.failed(CollectError(FailureClass.TIMEOUT, "Late."))
    source.refresh_from_db()
    assert source.failing_since == first
    source.polled(etag="", last_modified="")
    assert Source.objects.get().failing_since is None
