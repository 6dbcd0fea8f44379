"""The admin's first page, and what all pages share."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scheduling.models import InstanceState, RunStatus, SchedulerInstance
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


def test_the_dashboard_costs_the_same_queries_whatever_there_is(admin_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get("/admin/").status_code == 200
        return len(captured)

    factories.run(schedule=factories.schedule())
    few = queries()
    for _number in range(20):
        factories.run(schedule=factories.schedule())
    assert queries() == few


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
