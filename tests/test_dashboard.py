"""The admin's first page, and what all pages share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling import figures, lanes
from scheduling.admin import schedule_rows
from scheduling.models import Cause, InstanceState, RunStatus, Schedule, SchedulerInstance, ScheduleState
from scrapers.models import Article, ArticleSource, Source
from tests import factories

pytestmark = pytest.mark.django_db


def scheduler(state: str = InstanceState.ACTIVE, host: str = "alpha", **values: object) -> SchedulerInstance:
    return SchedulerInstance.objects.create(
        **{"host": host, "pid": 1, "process_started": 1.0, "state": state, **values}
    )


def test_without_a_scheduler_a_banner_says_so_with_the_command(admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    assert "No scheduler is running" in page
    assert "python manage.py runapscheduler" in page


def test_a_scheduler_that_went_silent_does_not_count(admin_client: Client) -> None:
    scheduler(heartbeat_at=timezone.now() - timedelta(minutes=1))
    assert "No scheduler is running" in admin_client.get("/admin/").content.decode()


def test_the_strip_tells_who_leads_who_stands_by_and_what_runs(admin_client: Client) -> None:
    scheduler()
    scheduler(InstanceState.STANDBY, "beta")
    factories.run()
    factories.run(
        status=RunStatus.RUNNING, claim_token="t", started_at=timezone.now(), progress_done=1, progress_total=4
    )
    page = admin_client.get("/admin/").content.decode()
    for words in ("active on alpha", "standing by: 1", "running: 1", "queued: 1", "1 / 4"):
        assert words in page


def test_next_up_lists_the_fires_of_all_schedules_in_order(admin_client: Client) -> None:
    factories.schedule(name="Hourly", interval_seconds=3600)
    factories.schedule(name="Often", interval_seconds=5, job="echo", parameters={"text": "hello"})
    factories.schedule(name="Off", enabled=False)
    fires = admin_client.get("/admin/").context["next_up"]
    assert [fire["schedule"].name for fire in fires] == ["Often", "Hourly"]
    assert fires[0]["what"] == "text: hello"


def test_next_up_reads_the_schedulers_own_times_a_few_rows_at_a_time(
    django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_rows, "COMPUTED", 10)
    now = timezone.now()
    made = [factories.schedule() for _number in range(80)]
    for number, schedule in enumerate(made):
        due = now + timedelta(seconds=number)
        DjangoJob.objects.create(id=schedule.job_id, next_run_time=due, job_state=b"")
    for schedule in made[:50]:
        schedule.pause(None, "held")
    Schedule.objects.filter(pk=made[50].pk).update(enabled=False)
    made[51].delete()
    with django_assert_max_num_queries(10):
        first = schedule_rows.first_due(10, now)
    assert [schedule for schedule, _due in first] == made[52:62]
    assert first[0][1] == now + timedelta(seconds=52)
    assert len(schedule_rows.first_due(100, now)) == 28


def test_the_dashboard_costs_the_same_queries_whatever_there_is(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get("/admin/").status_code == 200
        return len(captured)

    factories.run(schedule=factories.schedule())
    # What it keeps for a while is counted the first time only.
    assert queries() > queries()
    few = queries()
    for _number in range(20):
        factories.run(schedule=factories.schedule())
    # When schedules are due is computed anew once they have changed.
    assert queries() >= queries() == few


def test_each_sees_only_what_the_permissions_allow(client: Client) -> None:
    factories.run(schedule_name="Secret run")
    factories.schedule(name="Secret schedule")
    client.force_login(factories.user())
    page = client.get("/admin/").content.decode()
    assert "Secret" not in page
    assert "Ask an administrator" in page
    assert "/admin/scheduling/" not in page


def test_the_sidebar_leads_to_every_page_that_the_person_may_see(client: Client, admin_client: Client) -> None:
    page = admin_client.get("/admin/").content.decode()
    for address in ("schedule", "run", "tag", "schedulerinstance"):
        assert f'href="/admin/scheduling/{address}/"' in page
        assert admin_client.get(f"/admin/scheduling/{address}/").status_code == 200
    assert admin_client.get("/admin/auth/user/").status_code == 200


def test_times_are_shown_in_the_viewers_zone(admin_client: Client) -> None:
    moment = timezone.now().replace(month=1, day=2, hour=12, minute=34)
    factories.run(queued_at=moment)
    admin_client.cookies["newss_zone"] = "Asia%2FKolkata"
    assert "18:04" in admin_client.get("/admin/scheduling/run/").content.decode()
    admin_client.cookies["newss_zone"] = "No/Where"
    assert "12:34" in admin_client.get("/admin/scheduling/run/").content.decode()


def test_no_page_holds_a_script_of_its_own(admin_client: Client) -> None:
    """Unfold's own templates hold none either; with `script-src 'self'` (and Alpine's eval) all pages work."""
    import re

    run = factories.run(schedule=factories.schedule())
    for address in ("/admin/", "/admin/scheduling/schedule/", "/admin/scheduling/run/", run.get_absolute_url()):
        page = admin_client.get(address).content.decode()
        assert not re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", page), address
        assert not re.findall(r"\son[a-z]+=", page), address


def ended(status: RunStatus, minutes_ago: float, seconds: float = 5, **values: object) -> object:
    at = timezone.now() - timedelta(minutes=minutes_ago)
    return factories.run(
        **{
            "status": status,
            "queued_at": at,
            "started_at": at,
            "finished_at": at + timedelta(seconds=seconds),
            **values,
        }
    )


@time_machine.travel("2026-03-04 15:00:00+00:00", tick=False)
def test_the_figures_compare_today_with_yesterday_by_now(admin_client: Client) -> None:
    ended(RunStatus.SUCCEEDED, 10)
    ended(RunStatus.PARTIAL, 20)
    ended(RunStatus.FAILED, 30)
    ended(RunStatus.SKIPPED, 30, started_at=None)
    ended(RunStatus.SUCCEEDED, 24 * 60 + 10)
    # Yesterday after this time of day: compared with nothing yet.
    ended(RunStatus.SUCCEEDED, 23 * 60)
    runs = admin_client.get("/admin/").context["figures"][0]
    assert (runs.value, runs.detail, runs.change) == ("4", "33 % succeeded, 1 partial", "+3 against yesterday by now")


def test_the_failing_sources_are_compared_with_yesterday_by_now(admin_client: Client) -> None:
    now = timezone.now()
    for number, (failures, statuses) in enumerate([(1, ["ok"]), (2, ["ok", "failed"]), (0, ["failed", "ok"]), (1, [])]):
        source = Source.objects.create(
            name=f"S{number}",
            url=f"http://127.0.0.11/{number}",
            consecutive_failures=failures,
            last_failure_class="timeout" if failures else "",
            last_polled_at=now,
        )
        for hours, status in zip((30, 26), statuses, strict=False):
            failed = {"failure_class": "timeout", "error": "No answer in time."} if status == "failed" else {}
            started_at = now - timedelta(hours=hours)
            source.results.create(
                run=factories.run(), source_name=source.name, status=status, started_at=started_at, **failed
            )
    healthy = admin_client.get("/admin/").context["figures"][2]
    assert (healthy.value, healthy.detail, healthy.is_better) == ("1 of 4", "3 failing", False)
    assert healthy.change == "+2 failing against yesterday by now"


def test_the_median_lag_counts_from_due_time_and_jitter_to_the_start() -> None:
    window = figures.Window.today()
    due = timezone.now()
    for lag in (1, 2, 9):
        factories.run(
            cause=Cause.SCHEDULE,
            schedule=factories.schedule(),
            scheduled_for=due - timedelta(minutes=1),
            not_before=due,
            queued_at=window.end - timedelta(microseconds=1),
            started_at=due + timedelta(seconds=lag),
            finished_at=due + timedelta(seconds=20),
            status=RunStatus.SUCCEEDED,
        )
    assert figures.median_lag(window) == 2.0
    assert figures.median_lag(window.day_before) is None


def test_a_schedule_that_fails_again_and_again_is_said_with_its_error_and_since_when(admin_client: Client) -> None:
    failing, well = factories.schedule(name="Broken one"), factories.schedule(name="Good one")
    ended(RunStatus.FAILED, 90, schedule=failing, outcome="Old trouble.")
    ended(RunStatus.SUCCEEDED, 60, schedule=failing)
    first = ended(RunStatus.FAILED, 50, schedule=failing, outcome="The disk is full.")
    newest = ended(RunStatus.FAILED, 40, schedule=failing, outcome="The disk is full.")
    ended(RunStatus.SUCCEEDED, 40, schedule=well)
    ScheduleState.objects.create(schedule=failing, failures_in_row=2)
    ScheduleState.objects.create(schedule=well, failures_in_row=0)
    ((error, (one,)),) = admin_client.get("/admin/").context["failing"]
    assert (error, one.schedule, one.run, one.in_row) == ("The disk is full.", failing, newest, 2)
    assert one.since == first.queued_at  # type: ignore[attr-defined]


def test_a_failing_source_needs_attention(admin_client: Client) -> None:
    Source.objects.create(
        name="Broken Press",
        url="http://127.0.0.14/feed",
        consecutive_failures=3,
        last_failure_class="server_error",
        last_polled_at=timezone.now(),
    )
    page = admin_client.get("/admin/").content.decode()
    assert "Needs attention" in page
    assert "3 times in a row" in page


def test_lanes_show_each_schedule_with_its_runs_as_blocks() -> None:
    often, seldom = factories.schedule(name="Often"), factories.schedule(name="Seldom")
    for minutes in range(60, 0, -1):
        ended(RunStatus.SUCCEEDED, minutes, schedule=often, schedule_name="Often")
    bad = ended(RunStatus.FAILED, 30.5, schedule=often, schedule_name="Often")
    old = ended(RunStatus.SUCCEEDED, 12 * 60, 3600, schedule=seldom, schedule_name="Seldom")
    ended(RunStatus.SUCCEEDED, 26 * 60, schedule=seldom, schedule_name="Seldom")
    drawn = lanes.draw()
    assert [lane.name for lane in drawn.lanes] == ["Often", "Seldom"]
    first, second = drawn.lanes
    # Sixty-one runs within an hour are told apart by six minutes; none is lost, and the bad one is to be seen.
    assert len(first.blocks) <= 11
    assert sum(block.count for block in first.blocks) == 61
    assert [block.run_id for block in first.blocks if block.status == RunStatus.FAILED] == [bad.pk]  # type: ignore[attr-defined]
    (block,) = second.blocks
    assert block.run_id == old.pk  # type: ignore[attr-defined]
    assert block.x == pytest.approx(lanes.WIDTH / 2, abs=1)
    assert block.width == pytest.approx(lanes.WIDTH / 24, abs=1)


def test_a_block_never_leaves_the_drawing_to_the_left() -> None:
    ended(RunStatus.SUCCEEDED, 24 * 60 + 20, 1800)
    (block,) = lanes.draw().lanes[0].blocks
    assert block.x == 0
    assert block.width < lanes.WIDTH / 24


def test_new_articles_are_counted_by_hour_and_source(admin_client: Client) -> None:
    press = Source.objects.create(name="Press", url="http://127.0.0.11/feed")
    other = Source.objects.create(name="Other", url="http://127.0.0.12/feed")
    for number in range(3):
        article = Article.objects.create(url=f"http://127.0.0.11/{number}", url_hash=f"{number:064}", title="x")
        ArticleSource.objects.create(article=article, source=press, item_key=f"{number:064}")
        ArticleSource.objects.create(article=article, source=other, item_key=f"{number:064}")
    chart = admin_client.get("/admin/").context["chart"]
    assert chart["legend"] == [("Press", 0, 3)]
    (piece,) = chart["bars"][-1]["pieces"]
    assert piece["height"] == chart["height"]


@pytest.mark.parametrize(("zone", "label"), [("UTC", "11:00"), ("Asia/Kolkata", "17:00"), ("Asia/Kathmandu", "17:00")])
def test_the_chart_counts_by_hours_of_the_viewers_zone(admin_client: Client, zone: str, label: str) -> None:
    source = Source.objects.create(name="Press", url="http://127.0.0.11/feed.rss")
    moments = [datetime(2026, 3, 4, 10, 40, tzinfo=UTC), datetime(2026, 3, 4, 11, 50, tzinfo=UTC)]
    for number, moment in enumerate(moments):
        article = Article.objects.create(
            url=f"http://127.0.0.11/{number}", url_hash=f"{number:064}", title="x", created_at=moment
        )
        ArticleSource.objects.create(article=article, source=source, item_key=f"{number:064}")
    with time_machine.travel(datetime(2026, 3, 4, 13, 50, tzinfo=UTC), tick=False):
        admin_client.cookies["newss_zone"] = zone
        bars = admin_client.get("/admin/").context["chart"]["bars"]
    assert sum(len(bar["pieces"]) for bar in bars) == 2
    assert next(bar for bar in bars if bar["label"] == label)["pieces"]


def test_hours_that_are_over_are_counted_once(admin_client: Client) -> None:
    source = Source.objects.create(name="Press", url="http://127.0.0.11/feed.rss")
    article = Article.objects.create(
        url="http://127.0.0.11/1", url_hash="1", title="x", created_at=timezone.now() - timedelta(hours=3)
    )
    ArticleSource.objects.create(article=article, source=source, item_key="1")
    totals = []
    for _request in range(2):
        with CaptureQueriesContext(connection) as captured:
            totals.append(admin_client.get("/admin/").context["chart"]["total"])
    (counting,) = [query["sql"] for query in captured if "scrapers_articlesource" in query["sql"]]
    assert totals == [1, 1]
    recently = re.search(r"created_at\" >= '(\S+?)[T ](\d\d)", counting)
    assert recently is not None
    assert datetime.fromisoformat(f"{recently[1]}T{recently[2]}+00:00") >= timezone.now() - timedelta(hours=3)


def test_the_strip_asks_more_often_while_something_runs_and_costs_few_queries(admin_client: Client) -> None:
    scheduler()
    answer = admin_client.get("/admin/dashboard/strip/")
    assert answer["Newss-Next"] == "5"
    assert "active on alpha" in answer.content.decode()
    factories.run(status=RunStatus.RUNNING, claim_token="t", started_at=timezone.now())
    with CaptureQueriesContext(connection) as captured:
        assert admin_client.get("/admin/dashboard/strip/")["Newss-Next"] == "2"
    assert len(captured) <= 6


def test_the_rest_of_the_dashboard_is_asked_for_by_itself(admin_client: Client) -> None:
    factories.run(schedule_name="Front pages", started_at=timezone.now(), status=RunStatus.RUNNING, claim_token="t")
    answer = admin_client.get("/admin/dashboard/live/")
    assert answer["Newss-Next"] == "10"
    assert "Front pages" in answer.content.decode()


@pytest.mark.parametrize("part", ["live", "strip"])
def test_the_live_parts_are_for_those_who_may_see_the_page(client: Client, part: str) -> None:
    factories.run(schedule_name="Secret run", status=RunStatus.RUNNING, claim_token="t", started_at=timezone.now())
    assert client.get(f"/admin/dashboard/{part}/").status_code == 302
    client.force_login(factories.user())
    assert "Secret" not in client.get(f"/admin/dashboard/{part}/").content.decode()


def test_large_figures_have_the_separators_of_the_language_and_addresses_have_none(admin_client: Client) -> None:
    now = timezone.now()
    run = factories.run(pk=12_345, status=RunStatus.SUCCEEDED, queued_at=now, started_at=now, finished_at=now)
    Source.objects.bulk_create(
        Source(name=f"Outlet {n}", url=f"https://outlet{n}.example/feed", last_polled_at=now, last_success_at=now)
        for n in range(1_234)
    )
    page = admin_client.get("/admin/", headers={"accept-language": "de"}).content.decode()
    assert "1.234 von 1.234" in page
    assert run.get_absolute_url() in page and "/12345/" in page
    page = admin_client.get("/admin/scheduling/run/", headers={"accept-language": "de"}).content.decode()
    assert "#12345" in page and "12.345" not in page
