"""What is coming up: the forecast of the week, of one hour, and their page."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scheduling import forecast
from scheduling.models import Schedule, ScheduleState
from tests import factories

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
PAGE = "/admin/scheduling/schedule/coming-up/"


def crontab(expression: str, **values: object) -> object:
    return factories.schedule(trigger_kind="crontab", crontab=expression, timezone="UTC", **values)


def test_fires_are_counted_by_day_and_hour_from_now_on() -> None:
    crontab("0 */6 * * *")
    crontab("15,45 15 * * *")
    found = forecast.week(NOW)
    assert found.days[0] == date(2026, 3, 4)
    assert found.by_hour[date(2026, 3, 4), 15] == 1
    assert found.by_hour[date(2026, 3, 5), 15] == 2
    assert found.by_hour[date(2026, 3, 4), 18] == 1
    assert (date(2026, 3, 4), 12) not in found.by_hour
    assert found.usual == 1


def test_days_and_hours_are_those_of_the_viewer() -> None:
    crontab("0 23 4 3 *")
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        assert forecast.week(NOW).by_hour == {(date(2026, 3, 5), 8): 1}


def test_what_will_not_fire_is_not_counted() -> None:
    crontab("0 * * * *", enabled=False)
    crontab("0 * * * *", paused_at=NOW)
    crontab("0 20 * * *", paused_at=NOW, paused_until=NOW + timedelta(days=5))
    last = crontab("0 21 * * *", max_runs=5)
    ScheduleState.objects.create(schedule=last, fired=3)
    found = forecast.week(NOW)
    assert sum(count for (_day, hour), count in found.by_hour.items() if hour == 20) == 2
    assert sum(count for (_day, hour), count in found.by_hour.items() if hour == 21) == 2
    assert found.total == 4


def test_equal_triggers_are_walked_once_and_each_is_counted() -> None:
    for _number in range(3):
        crontab("0 12 * * *")
    assert set(forecast.week(NOW).by_hour.values()) == {3}


def test_what_is_due_too_often_is_said_instead_of_counted() -> None:
    schedule = factories.schedule(interval_seconds=1)
    found = forecast.week()
    assert found.left_out == [schedule]
    assert not found.by_hour


def test_the_whole_page_walks_a_bounded_number_of_due_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "MOST_FIRES", 200)
    for minute in range(5):
        crontab(f"{minute} * * * *")
    found = forecast.week(NOW)
    assert found.total == 152
    assert len(found.left_out) == 4


@pytest.mark.once
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_what_is_counted_together_is_what_each_trigger_says(zone: str) -> None:
    now = datetime(2026, 3, 27, 15, 37, 12, 345, tzinfo=UTC)
    seconds = (60, 300, 420, 900, 3_600, 5_400, 3_601, 86_400, 700_000)
    for number, (length, ago) in enumerate((length, ago) for length in seconds for ago in (0, 13, 1_234, 99_999)):
        begin = now.replace(microsecond=0) - timedelta(seconds=ago)
        ends = {3: {"end_at": now + timedelta(days=2)}, 5: {"start_at": now + timedelta(days=1)}, 7: {"max_runs": 4}}
        factories.schedule(interval_seconds=length, created_at=begin, **ends.get(number % 8, {}))
    for expression in ("7 * * * *", "*/10 3-9 * * 1-5", "30 2 * * *", "59 23 * * *"):
        factories.schedule(trigger_kind="crontab", crontab=expression, timezone="Europe/Berlin")
    with timezone.override(ZoneInfo(zone)):
        found = forecast.week(now)
        expected: Counter[tuple[date, int]] = Counter()
        for schedule in Schedule.objects.all():
            until = datetime.combine(found.days[-1] + timedelta(days=1), time.min, ZoneInfo(zone))
            due = takewhile(lambda due: due < until, schedule.trigger().between(now, until))  # noqa: B023
            local = [timezone.localtime(moment) for moment in islice(due, schedule.max_runs)]
            expected.update((moment.date(), moment.hour) for moment in local)
        assert found.by_hour == expected
    assert not found.left_out


def test_schedules_that_fire_in_the_same_quarters_are_walked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "MOST_FIRES", 200)
    for second in range(50):
        factories.schedule(interval_seconds=3_600, created_at=NOW - timedelta(seconds=second + 1))
    found = forecast.week(NOW)
    assert not found.left_out
    assert found.by_hour[date(2026, 3, 5), 12] == 50


def test_fires_beyond_what_an_hour_lists_are_counted(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast.hour, "__defaults__", (None, 2))
    for number in range(5):
        crontab("30 18 * * *", name=f"Schedule {number}")
    with time_machine.travel(NOW, tick=False):
        page = admin_client.get(f"{PAGE}?hour=2026-03-04T18:00").content.decode()
    assert "3 further fires are not listed." in page


def test_an_hour_lists_its_fires_in_order() -> None:
    first, second = crontab("*/30 * * * *", name="B"), crontab("0 16 * * *", name="A")
    start = datetime(2026, 3, 4, 16, tzinfo=UTC)
    fires = forecast.hour(start, NOW)
    assert [(fire.due.minute, fire.schedule) for fire in fires] == [(0, second), (0, first), (30, first)]


def test_an_hour_knows_how_many_runs_are_left() -> None:
    crontab("0 * * * *", max_runs=3)
    assert len(forecast.hour(datetime(2026, 3, 4, 18, tzinfo=UTC), NOW)) == 1
    assert not forecast.hour(datetime(2026, 3, 4, 19, tzinfo=UTC), NOW)


@time_machine.travel(NOW, tick=False)
def test_the_page_shows_the_week_and_the_chosen_hour(admin_client: Client) -> None:
    crontab("0 18 * * *", name="Evening", job="echo", parameters={"text": "hello"})
    page = admin_client.get(PAGE).content.decode()
    assert "7 fires in the next seven days" in page
    assert "?hour=2026-03-04T18:00#hour" in page
    page = admin_client.get(f"{PAGE}?hour=2026-03-04T18:00").content.decode()
    assert "Evening" in page
    assert "text: hello" in page
    for nonsense in ("x", "2026-99-99T00:00", "2026-03-04T18:00%2B01:00"):
        assert admin_client.get(f"{PAGE}?hour={nonsense}").status_code == 200


def test_the_page_costs_the_same_queries_whatever_there_is(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(f"{PAGE}?hour=2999-01-01T00:00").status_code == 200
        return len(captured)

    crontab("0 * * * *")
    few = queries()
    for minute in range(10):
        crontab(f"{minute} * * * *", max_runs=1000)
    assert queries() == few <= 12


def test_the_page_needs_the_permission_to_see_schedules(client: Client) -> None:
    client.force_login(factories.user("scheduling.view_run"))
    assert client.get(PAGE).status_code == 403
