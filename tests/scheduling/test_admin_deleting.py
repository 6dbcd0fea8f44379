"""Pages that ask before deleting: rows by name, what goes along by number, and nothing that is called "object (1)"."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from scheduling.models import Backfill, RunLog, Schedule
from scrapers.models import Source
from tests import factories

pytestmark = pytest.mark.django_db


def test_a_schedule_with_tags_is_named_and_its_links_to_tags_are_not(admin_client: Client) -> None:
    schedule = factories.schedule(name="Front pages")
    schedule.tags.create(name="daily")
    page = admin_client.get(f"/admin/scheduling/schedule/{schedule.pk}/delete/").content.decode()
    assert "Front pages" in page
    assert "object (" not in page and "relationship" not in page


@pytest.mark.parametrize("model", ["source", "tag", "group"])
def test_no_page_names_a_row_by_its_number(admin_client: Client, model: str) -> None:
    source = Source.objects.create(name="Daily", url="https://daily.example/feed")
    tag = source.tags.create(name="daily")
    factories.schedule().tags.add(tag)
    group = Group.objects.get(name="Viewer")
    group.user_set.add(factories.user())
    path = {
        "source": f"/admin/scrapers/source/{source.pk}/delete/",
        "tag": f"/admin/scheduling/tag/{tag.pk}/delete/",
        "group": f"/admin/auth/group/{group.pk}/delete/",
    }[model]
    page = admin_client.get(path)
    assert page.status_code == 200
    assert "object (" not in page.content.decode()


def test_what_goes_along_is_counted_with_separators_and_not_listed(
    admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    run = factories.run()
    RunLog.objects.bulk_create(RunLog(run=run, at=run.queued_at, message=f"Line {number}") for number in range(1_234))
    with django_assert_max_num_queries(15):
        page = admin_client.get(f"/admin/scheduling/run/{run.pk}/delete/").content.decode()
    assert "1,234" in page
    assert "Line 7" not in page


def test_of_many_rows_the_first_are_named(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduling.admin.deleting.NAMED", 2)
    keys = [factories.schedule(name=f"Schedule {number}").pk for number in range(5)]
    page = admin_client.post(
        "/admin/scheduling/schedule/", {"action": "delete_selected", "_selected_action": keys}
    ).content.decode()
    assert "Schedule 1" in page and "Schedule 2" not in page
    assert "and 3 more" in page


def test_who_may_delete_a_schedule_may_delete_what_belongs_to_it(client: Client) -> None:
    schedule = factories.schedule()
    now = timezone.now()
    Backfill.objects.create(schedule=schedule, window_start=now - timedelta(hours=1), window_end=now)
    client.force_login(factories.user("scheduling.view_schedule", "scheduling.delete_schedule"))
    assert client.post(f"/admin/scheduling/schedule/{schedule.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Schedule.objects.exists()
