"""When a source is polled: the rules by themselves, and what a source makes of them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.hosts import check_cool_down
from scrapers.fetch.validators import fresh_for
from scrapers.models import Facts, Host, Source
from scrapers.polling import DAY, Hours, Pace, adapted, back_off, next_active, next_poll, spread, wait

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
seconds = st.floats(1, DAY * 3)
keys = st.integers(1, 10_000)


@pytest.mark.anydb
class TestRules:
    @given(seconds, st.integers(0, 500), st.integers(0, 500))
    def test_the_adaptive_interval_stays_within_bounds_and_moves_the_right_way(
        self, interval: float, seen: int, known: int
    ) -> None:
        known = min(known, seen)
        found = adapted(interval, seen, known, 300, DAY)
        assert 300 <= found <= DAY
        if 300 <= interval <= DAY:
            if seen and known / seen >= 0.67:
                assert found >= interval
            elif seen and known / seen < 0.33:
                assert found <= interval
            else:
                assert found == interval

    @given(st.floats(0, 100), st.floats(0, 100), keys)
    def test_back_off_grows_with_the_failures_and_never_beyond_a_day(self, one: float, other: float, key: int) -> None:
        less, more = sorted((one, other))
        assert 0 <= back_off(less, 1800, 4, key) <= back_off(more, 1800, 4, key) <= DAY
        assert back_off(4, 1800, 4, key) >= 0.9 * DAY

    @given(st.sampled_from(Pace), seconds, st.floats(0, DAY), st.floats(0, DAY), keys)
    def test_a_wait_is_what_holds_longest_our_own_but_for_a_ticks_breadth(
        self, pace: Pace, interval: float, ttl: float, back: float, key: int
    ) -> None:
        found = wait(pace, interval, ttl, back, key)
        assert found >= ttl and found >= back
        assert found <= max(interval, ttl, back)
        if pace != Pace.EACH_RUN:
            assert found >= interval * 0.9 - 1e-6
            assert interval < 60 or found < max(interval, ttl + 1e-6, back + 1e-6), "a tick a moment early counts"

    @given(keys)
    def test_the_spread_is_a_sources_own(self, key: int) -> None:
        assert 0 <= spread(key) == spread(key) < 1

    def test_the_spread_spreads(self) -> None:
        shares = sorted(spread(key) for key in range(1000))
        assert max(after - before for before, after in itertools.pairwise(shares)) < 0.02

    @given(
        st.times(),
        st.times(),
        st.integers(0, 365 * 86_400).map(lambda number: NOW + timedelta(seconds=number)),
        st.sampled_from(["UTC", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    )
    def test_the_next_active_instant_is_soon_and_active(
        self, begin: time, end: time, moment: datetime, zone: str
    ) -> None:
        hours = Hours(begin, end, ZoneInfo(zone))
        found = next_active(moment, hours)
        assert moment <= found <= moment + timedelta(hours=50)
        if hours.hold(moment):
            assert found == moment
        elif (found + timedelta(hours=1)).astimezone(ZoneInfo(zone)).utcoffset() == (
            found - timedelta(hours=2)
        ).astimezone(ZoneInfo(zone)).utcoffset():
            assert hours.hold(found)

    def test_active_hours_may_go_past_midnight(self) -> None:
        night = Hours(time(22), time(6), ZoneInfo("Europe/Zurich"))
        assert night.hold(datetime(2026, 3, 10, 3, tzinfo=UTC))
        assert next_active(NOW, night) == datetime(2026, 3, 10, 21, tzinfo=UTC)

    @given(seconds, st.integers(-DAY, DAY).map(lambda number: NOW + timedelta(seconds=number)))
    def test_retry_after_is_never_passed(self, wanted: float, not_before: datetime) -> None:
        assert next_poll(NOW, wanted, not_before, None) >= not_before

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, 0),
            ({"Cache-Control": "max-age=600"}, 600),
            ({"Cache-Control": "public, Max-Age=600", "Age": "100"}, 500),
            ({"Cache-Control": "s-maxage=600"}, 0),
            ({"Cache-Control": "no-cache, max-age=600"}, 0),
            ({"Cache-Control": "max-age=99999999999"}, DAY),
            ({"Cache-Control": "max-age=0", "Expires": "Tue, 10 Mar 2026 13:00:00 GMT"}, 0),
            ({"Expires": "Tue, 10 Mar 2026 13:00:00 GMT"}, 3600),
            ({"Expires": "Tue, 10 Mar 2026 13:00:00 GMT", "Date": "Tue, 10 Mar 2026 12:30:00 GMT"}, 1800),
            ({"Expires": "0"}, 0),
            ({"Expires": "Mon, 10 Mar 2025 13:00:00 GMT"}, 0),
        ],
    )
    def test_freshness_is_read_from_the_headers(self, headers: dict[str, str], expected: float) -> None:
        assert fresh_for(headers, NOW).total_seconds() == expected

    def test_failures_weigh_as_they_last(self) -> None:
        weights = {failure: failure.weight for failure in FailureClass}
        assert weights[FailureClass.UNAUTHORIZED] == weights[FailureClass.ROBOTS] == 1
        soft = ("NOT_FOUND", "RATE_LIMITED", "SERVER_ERROR", "DNS", "TLS", "TIMEOUT", "NOT_A_FEED")
        assert {weights[FailureClass[name]] for name in soft} == {0.5}
        assert weights[FailureClass.CONNECTION] == 0.25
        assert set(weights.values()) == {0.25, 0.5, 1}


def source(**values: Any) -> Source:
    return Source.objects.create(**{"name": "Paper", "url": "https://paper.example/feed", **values})


def fails(paper: Source, failure: FailureClass, at: datetime = NOW, **how: Any) -> None:
    paper.failed(CollectError(failure, "It failed.", **how), at)
    paper.refresh_from_db()


@pytest.mark.django_db
class TestSource:
    def test_it_is_due_at_once_then_after_its_interval_a_ticks_breadth_early(self) -> None:
        paper = source(pace=Pace.INTERVAL, interval_minutes=60)
        assert paper.is_due(NOW)
        paper.begin_poll(NOW)
        paper.refresh_from_db()
        assert not paper.is_due(NOW + timedelta(minutes=50))
        assert paper.is_due(NOW + timedelta(minutes=59, seconds=58))

    def test_the_next_poll_is_stored_before_the_request(self) -> None:
        paper = source(pace=Pace.INTERVAL, interval_minutes=30)
        paper.begin_poll(NOW)
        assert Source.objects.get().next_poll_at > NOW + timedelta(minutes=26)

    def test_each_run_polls_it_unless_feed_or_server_ask_for_a_pause(self, time_machine: Any) -> None:
        time_machine.move_to(NOW, tick=False)
        paper = source()
        paper.polled(etag="", last_modified="", facts=Facts(seen=3, unmatched=[]))
        assert Source.objects.get().is_due(NOW)
        paper.polled(etag="", last_modified="", facts=Facts(seen=3, unmatched=[], ttl=3600, fresh_for=60))
        assert not Source.objects.get().is_due(NOW + timedelta(minutes=58))
        assert Source.objects.get().is_due(NOW + timedelta(minutes=60))
        paper.heed_ttl = False
        paper.begin_poll(NOW)
        assert paper.is_due(NOW)

    def test_adaptive_polling_slows_down_for_what_is_known_and_speeds_up_for_what_is_new(self) -> None:
        paper = source(pace=Pace.ADAPTIVE, interval_minutes=60)
        paper.polled(etag="", last_modified="", facts=Facts(seen=20, known=0, unmatched=[]))
        assert paper.adaptive_seconds is None, "the first poll knows nothing"
        paper.polled(etag="", last_modified="", facts=Facts(seen=20, known=19, unmatched=[]))
        assert paper.adaptive_seconds == 5400
        paper.not_modified()
        assert paper.adaptive_seconds == 8100
        paper.polled(etag="", last_modified="", facts=Facts(seen=20, known=2, unmatched=[]))
        assert Source.objects.get().adaptive_seconds == 4050

    def test_failures_add_up_by_weight_and_after_many_it_is_asked_once_a_day(self) -> None:
        paper = source()
        fails(paper, FailureClass.SERVER_ERROR)
        assert (paper.failure_score, paper.consecutive_failures) == (0.5, 1)
        assert timedelta(minutes=13) < paper.next_poll_at - NOW <= timedelta(minutes=15)
        for _ in range(9):
            fails(paper, FailureClass.TIMEOUT)
        assert paper.is_failing_for_long and not paper.paused_at
        assert timedelta(hours=21) < paper.next_poll_at - NOW <= timedelta(days=1)
        paper.not_modified()
        assert (paper.failure_score, paper.consecutive_failures) == (0, 0)

    def test_one_step_resumes_it_or_all(self) -> None:
        paper = source()
        for _ in range(5):
            fails(paper, FailureClass.FORBIDDEN)
        paper.pause("moving house")
        assert Source.objects.pollable().count() == 0
        paper.resume()
        assert paper.is_due(NOW) and paper.paused_at is None and Source.objects.pollable().count() == 1
        assert paper.last_error, "what went wrong stays known until a poll went well"

    def test_gone_for_good_pauses_it(self) -> None:
        paper = source()
        fails(paper, FailureClass.GONE, http_status=410)
        assert paper.paused_at == NOW and "410" in paper.pause_reason

    def test_nothing_passes_retry_after(self) -> None:
        paper = source()
        fails(paper, FailureClass.RATE_LIMITED, retry_after=timedelta(hours=2))
        for moment in (NOW, NOW + timedelta(minutes=119)):
            with pytest.raises(CollectError, match="left alone") as refused:
                paper.begin_poll(moment)
            assert not refused.value.counted
        paper.resume()
        with pytest.raises(CollectError):
            paper.begin_poll(NOW)
        paper.begin_poll(NOW + timedelta(hours=2))

    def test_403_may_mean_too_many_requests(self) -> None:
        plain = source()
        fails(plain, FailureClass.FORBIDDEN)
        assert (plain.not_before, plain.failure_score) == (None, 1)
        busy = source(name="Busy", url="https://busy.example/", forbidden_is_busy=True)
        fails(busy, FailureClass.FORBIDDEN)
        assert busy.not_before is not None and busy.not_before > NOW and busy.failure_score == 0.5

    def test_hours_stand_together_and_zones_exist(self) -> None:
        from django.core.exceptions import ValidationError

        with pytest.raises(ValidationError) as refused:
            Source(name="x", url="https://x.example/", active_from=time(8), active_zone="Mars/Olympus").full_clean()
        assert {"active_zone"} <= set(refused.value.message_dict)
        with pytest.raises(ValidationError) as refused:
            Source(name="x", url="https://x.example/", active_from=time(8)).full_clean()
        assert set(refused.value.message_dict) == {"active_until"}

    def test_it_is_due_only_in_its_active_hours(self) -> None:
        paper = source(active_from=time(6), active_until=time(9), active_zone="Europe/Zurich")
        assert not paper.is_due(NOW)
        assert paper.is_due(datetime(2026, 3, 10, 7, tzinfo=UTC))
        paper.begin_poll(NOW)
        assert paper.next_poll_at == datetime(2026, 3, 11, 5, tzinfo=UTC)


def test_what_a_wrong_clock_wrote_keeps_no_source_from_being_polled() -> None:
    now = timezone.now()
    wrong = now + timedelta(days=365)
    source = Source(name="Small", url="http://127.0.0.1/feed", next_poll_at=wrong, not_before=wrong)
    assert source.is_due(now)
    assert source.until_due(now) == timedelta(0)
    source.check_held(now)
    host = Host(scheme="http", host="h.example", port=80, cool_down_until=wrong, robots_expires_at=wrong)
    check_cool_down(host)
    assert not host.robots_are_fresh(now)
