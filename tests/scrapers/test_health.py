"""States of health that are no failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scrapers.health import Trouble, habit, is_silent, looks_new, lost_selectors
from scrapers.models import Facts, Source

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
HOUR = 3600.0


@pytest.mark.anydb
class TestRules:
    def test_silent_is_longer_than_the_habit_and_than_a_week_end(self) -> None:
        assert not is_silent(NOW - timedelta(hours=47), HOUR, NOW)
        assert is_silent(NOW - timedelta(hours=49), HOUR, NOW)
        assert not is_silent(NOW - timedelta(days=30), 7 * 24 * HOUR, NOW)
        assert is_silent(NOW - timedelta(days=36), 7 * 24 * HOUR, NOW)
        assert not is_silent(NOW - timedelta(days=900), None, NOW)

    def test_a_habit_follows_slowly(self) -> None:
        assert habit(None, HOUR) == HOUR
        assert habit(HOUR, 6 * HOUR) == 2 * HOUR

    @pytest.mark.parametrize(
        ("known_before", "items", "unknown", "expected"),
        [(True, 10, 8, True), (True, 10, 7, False), (True, 4, 4, False), (False, 10, 10, False)],
    )
    def test_most_of_a_known_feed_looks_new(self, known_before: bool, items: int, unknown: int, expected: bool) -> None:
        assert looks_new(known_before, items, unknown) is expected

    def test_a_selector_is_lost_only_if_it_used_to_match(self) -> None:
        assert lost_selectors(["title: h2"], None) == []
        assert lost_selectors(["title: h2", "date: time"], ["date: time"]) == ["title: h2"]


@pytest.mark.django_db
class TestSource:
    def polled(self, source: Source, **facts: Any) -> Source:
        source.polled(etag="", last_modified="", facts=Facts(**{"unmatched": [], **facts}))
        source.refresh_from_db()
        return source

    def test_a_lost_selector_is_named_until_it_matches_again(self) -> None:
        source = Source.objects.create(name="List", url="https://list.example/")
        assert self.polled(source, seen=5, unmatched=["date: time"]).health == "healthy", "it never matched"
        self.polled(source, seen=5, unmatched=["date: time", "title: h2"])
        assert source.health == "selector" and "title: h2" in source.trouble_detail
        assert "date: time" not in source.trouble_detail
        source.not_modified()
        assert source.health == "selector", "an answer that has not changed mends nothing"
        assert self.polled(source, seen=5).health == "healthy"
        assert source in Source.objects.healthy()

    def test_a_source_is_silent_by_its_own_habit(self, time_machine: Any) -> None:
        source = Source.objects.create(name="Paper", url="https://paper.example/")
        for hours in range(5):
            time_machine.move_to(NOW + timedelta(hours=hours), tick=False)
            self.polled(source, seen=3, known=2)
        assert source.habit_seconds == pytest.approx(HOUR)
        time_machine.move_to(NOW + timedelta(days=4), tick=False)
        source.not_modified()
        assert source.health == "silent" and source in Source.objects.troubled(Trouble.SILENT)
        self.polled(source, seen=3, known=2)
        assert source.health == "healthy"
