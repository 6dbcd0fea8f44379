"""The pages that ask before they act: pause, hold, backfill; and follow-ups in the form."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from scheduling.admin import trigger_text
from scheduling.models import Backfill, Cause, FollowUp, Hold, Run, RunStatus
from tests import factories
from tests.scheduling.test_admin_schedules import form_of

LIST = "/admin/scheduling/schedule/"


def pause_page(*schedules: Any) -> str:
    return f"{reverse('admin:scheduling_schedule_pause')}?ids={','.join(str(one.pk) for one in schedules)}"


@pytest.mark.django_db
def test_a_schedule_is_paused_with_reason_and_end_and_looks_it(admin_client: Client, admin_user: Any) -> None:
    schedule = factories.schedule()
    admin_client.cookies["newss_zone"] = "Asia%2FTokyo"
    data = {"reason": "moving house", "until_0": "2999-07-01", "until_1": "09:00:00"}
    assert admin_client.post(pause_page(schedule), data)["Location"] == LIST
    schedule.refresh_from_db()
    assert (schedule.paused_by, schedule.pause_reason) == (admin_user, "moving house")
    assert schedule.paused_until.isoformat() == "2999-07-01T00:00:00+00:00"
    page = admin_client.get(LIST).content.decode()
    assert "moving house" in page
    assert "newss-off" in page
    assert "moving house" in admin_client.get(schedule.get_absolute_url()).content.decode()
    admin_client.post(reverse("admin:scheduling_schedule_resume", args=[schedule.pk]))
    schedule.refresh_from_db()
    assert not schedule.is_paused()


@pytest.mark.django_db
def test_a_pause_that_ends_in_the_past_is_refused_at_its_field(admin_client: Client) -> None:
    schedule = factories.schedule()
    answer = admin_client.post(pause_page(schedule), {"reason": "x", "until_0": "2001-01-01", "until_1": "09:00"})
    assert set(answer.context["form"].errors) == {"until"}
    schedule.refresh_from_db()
    assert not schedule.is_paused()


@pytest.mark.django_db
def test_many_are_paused_and_resumed_at_once(admin_client: Client) -> None:
    schedules = [factories.schedule(), factories.schedule()]
    chosen = {"_selected_action": [schedule.pk for schedule in schedules]}
    page = admin_client.post(LIST, {"action": "pause_many", **chosen})["Location"]
    admin_client.post(page, {"reason": "x"})
    assert all(schedule.__class__.objects.get(pk=schedule.pk).is_paused() for schedule in schedules)
    admin_client.post(LIST, {"action": "resume_many", **chosen})
    assert not any(schedule.__class__.objects.get(pk=schedule.pk).is_paused() for schedule in schedules)


@pytest.mark.django_db
def test_while_everything_is_held_every_page_says_so_by_whom_and_why(admin_client: Client) -> None:
    admin_client.post(reverse("admin:scheduling_hold"), {"reason": "database moves", "hold": "1"})
    schedule = factories.schedule()
    run = factories.run()
    for address in ("/admin/", LIST, schedule.get_absolute_url(), run.get_absolute_url(), "/admin/auth/user/"):
        page = admin_client.get(address).content.decode()
        assert "Everything is held by admin" in page, address
        assert "database moves" in page, address
    admin_client.post(reverse("admin:scheduling_hold"), {"release": "1"})
    assert Hold.objects.current() is None
    assert "Everything is held" not in admin_client.get("/admin/").content.decode()


@pytest.mark.django_db
def test_a_backfill_is_shown_before_it_is_started(admin_client: Client, admin_user: Any) -> None:
    schedule = factories.schedule(trigger_kind="crontab", crontab="0 * * * *", timezone="Asia/Kolkata")
    address = reverse("admin:scheduling_schedule_backfill", args=[schedule.pk])
    assert admin_client.get(address).status_code == 200
    # In the schedule's zone, where it is five and a half hours later than in UTC.
    window = {
        "window_start_0": "2026-01-05",
        "window_start_1": "10:30:00",
        "window_end_0": "2026-01-05",
        "window_end_1": "13:30:00",
    }
    data = {**window, "which": "missing", "order": "oldest", "at_once": "2"}
    page = admin_client.post(address, data).content.decode()
    assert "What would run: 3" in page
    assert not Run.objects.exists()
    answer = admin_client.post(address, {**data, "_start": "1"})
    backfill = Backfill.objects.get()
    assert answer["Location"].endswith(f"?backfill__id__exact={backfill.pk}")
    assert (backfill.at_once, backfill.requested_by) == (2, admin_user)
    runs = Run.objects.filter(cause=Cause.BACKFILL).order_by("scheduled_for")
    assert [run.scheduled_for.strftime("%H:%M") for run in runs if run.scheduled_for] == ["05:30", "06:30", "07:30"]
    assert "3" in admin_client.get(answer["Location"]).content.decode()
    admin_client.post("/admin/scheduling/backfill/", {"action": "cancel_many", "_selected_action": [backfill.pk]})
    assert not Run.objects.exclude(status=RunStatus.CANCELLED).exists()


@pytest.mark.django_db
def test_a_backfill_of_the_future_is_refused_at_its_field(admin_client: Client) -> None:
    schedule = factories.schedule()
    address = reverse("admin:scheduling_schedule_backfill", args=[schedule.pk])
    data = {
        "window_start_0": "2999-01-05",
        "window_start_1": "10:30",
        "window_end_0": "2999-01-06",
        "window_end_1": "10:30",
        "which": "missing",
        "order": "oldest",
        "at_once": "1",
    }
    assert set(admin_client.post(address, data).context["form"].errors) == {"window_start"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "permission"),
    [
        ("/admin/scheduling/schedule/pause/?ids={pk}", "scheduling.pause_schedule"),
        ("/admin/scheduling/schedule/{pk}/backfill/", "scheduling.add_backfill"),
        ("/admin/scheduling/schedule/hold/", "scheduling.hold_everything"),
    ],
)
def test_each_step_needs_its_permission(client: Client, address: str, permission: str) -> None:
    address = address.format(pk=factories.schedule().pk)
    client.force_login(factories.user("scheduling.view_schedule", "scheduling.change_schedule"))
    assert client.get(address).status_code == 403
    assert client.post(address, {"reason": "x", "hold": "1"}).status_code == 403
    assert Hold.objects.current() is None
    client.force_login(factories.user(permission))
    assert client.get(address).status_code == 200


@pytest.mark.django_db
def test_a_follow_up_is_set_in_the_form_and_a_circle_is_refused(admin_client: Client) -> None:
    first = factories.schedule(name="First")
    second = factories.schedule(name="Second", job="echo", parameters={"text": ""})
    FollowUp.objects.create(predecessor=second, successor=first)
    rows = {
        "follows-TOTAL_FORMS": "1",
        "follows-INITIAL_FORMS": "0",
        "follows-0-predecessor": str(first.pk),
        "follows-0-on": "success",
    }
    answer = admin_client.post(second.get_absolute_url(), {**form_of(name="Second"), **rows})
    assert "circle" in answer.content.decode()
    assert FollowUp.objects.count() == 1
    FollowUp.objects.all().delete()
    answer = admin_client.post(second.get_absolute_url(), {**form_of(name="Second"), **rows})
    assert answer.status_code == 302
    assert FollowUp.objects.get().predecessor == first


@pytest.mark.django_db
def test_a_run_again_whose_job_is_gone_says_why(admin_client: Client) -> None:
    now = timezone.now()
    run = factories.run(job="vanished", status=RunStatus.FAILED, started_at=now - timedelta(seconds=1), finished_at=now)
    answer = admin_client.post(reverse("admin:scheduling_run_again", args=[run.pk]), follow=True)
    assert "There is no job “vanished”" in answer.content.decode()
    assert Run.objects.count() == 1


numbers = st.integers(1, 10_000)
parts = st.one_of(
    st.builds(lambda seconds: {"kind": "interval", "interval_seconds": seconds}, numbers),
    st.builds(
        lambda count, unit: {
            "kind": "calendar",
            "calendar_count": count,
            "calendar_unit": unit,
            "calendar_at": "06:30",
            "calendar_first_day": "2026-01-05",
        },
        numbers,
        st.sampled_from(["days", "weeks", "months", "years"]),
    ),
    st.builds(lambda minute: {"kind": "crontab", "crontab": f"{minute} 6 * * 1-5"}, st.integers(0, 59)),
    st.builds(lambda day: {"kind": "date", "run_at": f"{day} 06:30"}, st.dates().map(str)),
)


@pytest.mark.anydb
@given(st.lists(parts, max_size=5))
def test_combined_triggers_survive_being_shown_and_typed_again(stored: list[dict[str, Any]]) -> None:
    assert trigger_text.parts_from_text(trigger_text.parts_to_text(stored)) == stored


@pytest.mark.anydb
@given(st.lists(st.tuples(st.times(), st.times()).map(lambda pair: [f"{one:%H:%M}" for one in pair]), max_size=5))
def test_blackouts_survive_being_shown_and_typed_again(stored: list[list[str]]) -> None:
    assert trigger_text.times_from_text(trigger_text.times_to_text(stored)) == stored


@pytest.mark.django_db
def test_a_schedule_runs_once_with_other_parameters_and_stays_as_it_is(admin_client: Client) -> None:
    schedule = factories.schedule(job="echo", parameters={"text": "usual"}, concurrency_policy="allow")
    address = reverse("admin:scheduling_schedule_run_with", args=[schedule.pk])
    assert 'value="usual"' in admin_client.get(address).content.decode()
    for _click in range(2):
        answer = admin_client.post(address, {"text": "special", "request_key": "k1"})
    run = Run.objects.get()
    assert answer["Location"] == run.get_absolute_url()
    assert run.parameters == {"text": "special"}
    schedule.refresh_from_db()
    assert schedule.parameters == {"text": "usual"}
    page = admin_client.get(f"{address}?set={run.pk}").content.decode()
    assert "text: special" in page
    assert 'value="special"' in page


@pytest.mark.django_db
def test_other_parameters_that_are_wrong_are_said_at_their_field(admin_client: Client) -> None:
    schedule = factories.schedule(job="sleep", parameters={"seconds": 0})
    address = reverse("admin:scheduling_schedule_run_with", args=[schedule.pk])
    assert set(admin_client.post(address, {"seconds": "-1"}).context["form"].errors) == {"seconds"}
    assert not Run.objects.exists()


@pytest.mark.django_db
def test_running_with_other_parameters_needs_the_permission_to_run(client: Client) -> None:
    schedule = factories.schedule()
    client.force_login(factories.user("scheduling.change_schedule", "scheduling.view_schedule"))
    address = reverse("admin:scheduling_schedule_run_with", args=[schedule.pk])
    assert client.post(address).status_code == 403
