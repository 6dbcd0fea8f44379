"""The admin of schedules: list, switch, buttons, form, preview, permissions."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_apscheduler.models import DjangoJob

from scheduling.jobs import registry
from scheduling.models import (
    Cause,
    FollowUp,
    InstanceState,
    Run,
    RunStatus,
    Schedule,
    SchedulerInstance,
    ScheduleState,
    Tag,
)
from tests import factories

pytestmark = pytest.mark.django_db

LIST = "/admin/scheduling/schedule/"
ADD = f"{LIST}add/"
FIELDS = {
    "name": "Morning",
    "enabled": "on",
    "job": "echo",
    "job_shown": "echo",
    "parameter-text": "hello",
    "description": "",
    "trigger_kind": "crontab",
    "crontab": "30 6 * * 1-5",
    "interval_seconds_count": "",
    "interval_seconds_unit": "60",
    "timezone": "Europe/Berlin",
    "jitter_seconds_count": "0",
    "jitter_seconds_unit": "1",
    "executor": "threads",
    "concurrency_policy": "forbid",
    "queue_limit": "10",
    "catch_up": "once",
    "catch_up_limit": "10",
    "misfire_grace_time_count": "60",
    "misfire_grace_time_unit": "1",
    "max_retries": "0",
    "retry_delay_seconds_count": "1",
    "retry_delay_seconds_unit": "60",
    "retry_delay_max_seconds_count": "1",
    "retry_delay_max_seconds_unit": "3600",
    "retry_failed": "on",
    "retry_timed_out": "on",
    "rerun_lost": "on",
    "kill_after_seconds_count": "30",
    "kill_after_seconds_unit": "1",
    "follows-TOTAL_FORMS": "0",
    "follows-INITIAL_FORMS": "0",
}


def form_of(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**FIELDS, **changes}.items() if value is not None}


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def errors(response: Any) -> dict[str, Any]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_the_list_says_what_runs_when_and_how_it_went(admin_client: Client) -> None:
    schedule = factories.schedule(name="Front pages", job="echo", parameters={"text": "hello"}, interval_seconds=900)
    now = timezone.now()
    factories.run(schedule=schedule, status=RunStatus.PARTIAL, started_at=now, finished_at=now, outcome="One failed.")
    page = admin_client.get(LIST).content.decode()
    for words in ("Front pages", "Every 15 minutes", "Echo", "text: hello", "partial", "One failed.", "Run now"):
        assert words in page


def test_the_list_costs_the_same_queries_whatever_its_rows(admin_client: Client) -> None:
    def rows(count: int) -> None:
        for _number in range(count):
            schedule = factories.schedule()
            for minute in range(3):
                factories.run(schedule=schedule, queued_at=timezone.now() - timedelta(minutes=minute))

    SchedulerInstance.objects.create(host="here", pid=1, process_started=1.0, state=InstanceState.ACTIVE)
    rows(2)
    few = queries(admin_client, LIST)
    rows(20)
    assert queries(admin_client, LIST) == few <= 12


def test_the_next_run_is_the_schedulers_own_while_it_is_alive(admin_client: Client) -> None:
    from scheduling.admin.schedule_rows import next_runs

    schedule = factories.schedule(interval_seconds=3600)
    stored = timezone.now() + timedelta(minutes=7)
    DjangoJob.objects.create(id=schedule.job_id, next_run_time=stored, job_state=b"")
    assert next_runs([schedule])[schedule.pk] == schedule.next_run()
    SchedulerInstance.objects.create(host="here", pid=1, process_started=1.0, state=InstanceState.ACTIVE)
    assert next_runs([schedule])[schedule.pk] == stored
    schedule.enabled = False
    assert next_runs([schedule])[schedule.pk] is None


def test_only_the_newest_runs_of_each_schedule_become_bars() -> None:
    from scheduling.admin.past_runs import last_runs

    one, other = factories.schedule(), factories.schedule()
    start = timezone.now() - timedelta(days=1)
    for minute in range(25):
        factories.run(schedule=one, queued_at=start + timedelta(minutes=minute))
    factories.run(schedule=other, queued_at=start)
    found = last_runs([one, other], count=20)
    assert [run.queued_at for run in found[one.pk]] == [
        start + timedelta(minutes=minute) for minute in range(24, 4, -1)
    ]
    assert len(found[other.pk]) == 1


def test_the_switch_changes_that_one_field_and_nothing_else(admin_client: Client) -> None:
    schedule = factories.schedule()
    before = Schedule.objects.values().get(pk=schedule.pk)
    address = reverse("admin:scheduling_schedule_enabled", args=[schedule.pk])
    answer = admin_client.post(address, {"enabled": "0"}, headers={"accept": "application/json"})
    after = Schedule.objects.values().get(pk=schedule.pk)
    assert answer.json()["enabled"] is False
    assert "Disabled" in answer.json()["next"]
    assert {key for key in after if after[key] != before[key]} == {"enabled", "version"}
    assert LogEntry.objects.get().get_change_message() == "Disabled."
    # Without JavaScript it returns to the list as it was filtered.
    answer = admin_client.post(address, {"enabled": "1", "next": f"{LIST}?q=x"})
    assert answer["Location"] == f"{LIST}?q=x"
    assert Schedule.objects.get().enabled


@pytest.mark.anydb
def test_the_switch_leads_to_no_other_site(admin_client: Client) -> None:
    schedule = factories.schedule()
    address = reverse("admin:scheduling_schedule_enabled", args=[schedule.pk])
    assert admin_client.post(address, {"enabled": "0", "next": "https://evil.example/"})["Location"] == LIST


def test_run_now_commits_a_run_and_shows_it_and_a_double_click_is_one(admin_client: Client, admin_user: Any) -> None:
    schedule = factories.schedule(job="echo", parameters={"text": "hello"})
    address = reverse("admin:scheduling_schedule_run", args=[schedule.pk])
    data = {f"request_key-{schedule.pk}": "k1"}
    first, second = admin_client.post(address, data), admin_client.post(address, data)
    run = Run.objects.get()
    assert first["Location"] == second["Location"] == run.get_absolute_url()
    assert (run.cause, run.requested_by, run.parameters) == (Cause.MANUAL, admin_user, {"text": "hello"})
    page = admin_client.get(run.get_absolute_url()).content.decode()
    assert "Waits for a scheduler" in page


@pytest.mark.anydb
@pytest.mark.parametrize("name", ["run", "enabled"])
def test_buttons_answer_to_post_only(admin_client: Client, name: str) -> None:
    schedule = factories.schedule()
    address = reverse(f"admin:scheduling_schedule_{name}", args=[schedule.pk])
    assert admin_client.get(address).status_code == 405
    assert not Run.objects.exists()


@pytest.mark.anydb
@pytest.mark.parametrize(("name", "permission"), [("run", "run_schedule"), ("enabled", "change_schedule")])
def test_buttons_are_refused_and_not_shown_without_their_permission(client: Client, name: str, permission: str) -> None:
    schedule = factories.schedule()
    address = reverse(f"admin:scheduling_schedule_{name}", args=[schedule.pk])
    client.force_login(factories.user("scheduling.view_schedule"))
    assert client.post(address).status_code == 403
    assert address not in client.get(LIST).content.decode()
    client.force_login(factories.user("scheduling.view_schedule", f"scheduling.{permission}"))
    assert address in client.get(LIST).content.decode()
    assert client.post(address).status_code == 302


def test_actions_on_many_need_their_permission(client: Client) -> None:
    schedules = [factories.schedule(), factories.schedule()]
    chosen = {"_selected_action": [schedule.pk for schedule in schedules]}
    client.force_login(factories.user("scheduling.view_schedule", "scheduling.run_schedule"))
    client.post(LIST, {"action": "disable_many", **chosen})
    assert Schedule.objects.filter(enabled=True).count() == 2
    client.post(LIST, {"action": "run_many", **chosen})
    assert Run.objects.count() == 2
    client.force_login(factories.user("scheduling.view_schedule", "scheduling.change_schedule"))
    client.post(LIST, {"action": "disable_many", **chosen})
    assert not Schedule.objects.filter(enabled=True).exists()


def test_a_schedule_is_made_with_its_jobs_parameters_as_fields(admin_client: Client) -> None:
    page = admin_client.get(f"{ADD}?job=echo").content.decode()
    assert 'name="parameter-text"' in page
    answer = admin_client.post(ADD, form_of())
    assert answer.status_code == 302, errors(answer)
    schedule = Schedule.objects.get()
    assert (schedule.parameters, schedule.crontab, schedule.timezone) == (
        {"text": "hello"},
        "30 6 * * 1-5",
        "Europe/Berlin",
    )


@pytest.mark.once
def test_an_interval_is_typed_in_units(admin_client: Client) -> None:
    data = form_of(trigger_kind="interval", interval_seconds_count="15", interval_seconds_unit="60")
    admin_client.post(ADD, data)
    schedule = Schedule.objects.get()
    assert schedule.interval_seconds == 900
    page = admin_client.get(schedule.get_absolute_url()).context["adminform"].form["interval_seconds"].as_widget()
    assert 'value="15"' in page
    assert '<option value="60" selected>' in page


@pytest.mark.anydb
@pytest.mark.parametrize("field", ["interval_seconds", "time_limit_seconds", "misfire_grace_time"])
@pytest.mark.parametrize("count", ["24856", "9" * 30])
def test_a_span_that_cannot_be_stored_is_refused_at_its_field_as_it_was_typed(
    admin_client: Client, field: str, count: str
) -> None:
    data = form_of(trigger_kind="interval", interval_seconds_count="15")
    answer = admin_client.post(ADD, {**data, f"{field}_count": count, f"{field}_unit": "86400"})
    assert errors(answer) == {field: ["Give at most 24855 days."]}
    assert f'value="{count}"' in answer.content.decode()


@pytest.mark.once
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_times_are_typed_and_shown_in_the_schedules_zone_wherever_the_viewer_is(
    admin_client: Client, zone: str
) -> None:
    admin_client.cookies["newss_zone"] = "Asia%2FTokyo"
    data = form_of(trigger_kind="date", timezone=zone, run_at_0="2999-07-01", run_at_1="06:30:00")
    admin_client.post(ADD, data)
    schedule = Schedule.objects.get()
    expected = {
        "Europe/Berlin": datetime(2999, 7, 1, 4, 30, tzinfo=UTC),
        "America/New_York": datetime(2999, 7, 1, 10, 30, tzinfo=UTC),
    }
    assert schedule.run_at == expected[zone]
    page = admin_client.get(schedule.get_absolute_url()).content.decode()
    assert 'value="06:30:00"' in page


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"crontab": "61 * * * *"}, "crontab"),
        ({"crontab": ""}, "crontab"),
        ({"trigger_kind": "interval"}, "interval_seconds"),
        ({"trigger_kind": "date", "run_at_0": "2001-02-30", "run_at_1": "10:00"}, "run_at"),
        ({"trigger_kind": "date", "run_at_0": "2001-01-01", "run_at_1": "10:00"}, "run_at"),
        ({"timezone": "Europe/Berlim"}, "timezone"),
        ({"name": ""}, "name"),
        ({"name": "Taken"}, "name"),
        ({"job": "sleep", "job_shown": "sleep", "parameter-seconds": "-1"}, "parameter-seconds"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    admin_client: Client, changes: dict[str, str], field: str
) -> None:
    factories.schedule(name="Taken")
    answer = admin_client.post(ADD, form_of(description="A note that I typed.", **changes))
    assert set(errors(answer)) == {field}
    assert "A note that I typed." in answer.content.decode()
    assert Schedule.objects.count() == 1


@pytest.mark.anydb
def test_choosing_another_job_shows_its_fields_and_saves_nothing(admin_client: Client) -> None:
    answer = admin_client.post(ADD, form_of(job="sleep", name="Half typed", _choose_job="1"))
    page = answer.content.decode()
    assert 'name="parameter-seconds"' in page
    assert 'name="parameter-text"' not in page
    assert 'value="Half typed"' in page
    assert not errors(answer)
    assert not Schedule.objects.exists()


@pytest.mark.anydb
def test_saving_with_the_fields_of_another_job_shows_the_right_ones_first(admin_client: Client) -> None:
    answer = admin_client.post(ADD, form_of(job="sleep"))
    assert set(errors(answer)) == {"job"}
    form = answer.context["adminform"].form
    assert (
        admin_client.post(
            ADD, {**form_of(job="sleep"), "job_shown": form["job_shown"].value(), "parameter-seconds": "1"}
        ).status_code
        == 302
    )
    assert Schedule.objects.get().parameters == {"seconds": 1.0}


def test_save_and_run_now_leads_to_the_run(admin_client: Client) -> None:
    answer = admin_client.post(ADD, form_of(_run_now="1"))
    run = Run.objects.get()
    assert answer["Location"] == run.get_absolute_url()
    assert run.schedule_name == "Morning"


@pytest.mark.anydb
def test_save_and_run_now_needs_the_permission_to_run(client: Client) -> None:
    client.force_login(factories.user("scheduling.add_schedule", "scheduling.view_schedule"))
    assert client.post(ADD, form_of(_run_now="1")).status_code == 403
    assert not Run.objects.exists()


@pytest.mark.anydb
def test_the_preview_says_words_and_next_times_and_saves_nothing(admin_client: Client) -> None:
    address = reverse("admin:scheduling_schedule_preview")
    page = admin_client.post(address, form_of(name="")).content.decode()
    assert "At 06:30 on Monday through Friday, Europe/Berlin" in page
    assert page.count("06:30:00") >= 5
    assert not Schedule.objects.exists()


@pytest.mark.anydb
def test_the_preview_says_what_is_wrong_with_the_trigger(admin_client: Client) -> None:
    address = reverse("admin:scheduling_schedule_preview")
    page = admin_client.post(address, form_of(crontab="61 * * * *")).content.decode()
    assert "newss-error" in page
    assert "61" in page


@pytest.mark.anydb
def test_the_preview_needs_the_permission_to_edit(client: Client) -> None:
    client.force_login(factories.user("scheduling.view_schedule"))
    assert client.post(reverse("admin:scheduling_schedule_preview"), form_of()).status_code == 403


@pytest.mark.anydb
def test_those_who_may_only_look_see_the_parameters_in_words(client: Client) -> None:
    schedule = factories.schedule(job="echo", parameters={"text": "hello"})
    client.force_login(factories.user("scheduling.view_schedule"))
    page = client.get(schedule.get_absolute_url()).content.decode()
    assert "text: hello" in page
    assert 'name="_save"' not in page


@pytest.mark.anydb
def test_those_who_may_only_look_see_the_job_and_the_trigger_in_words_and_no_empty_fields(client: Client) -> None:
    schedule = factories.schedule(job="run_all_scrapers", interval_seconds=900, blackout_times=[["01:00", "04:00"]])
    client.force_login(factories.user("scheduling.view_schedule"))
    page = client.get(schedule.get_absolute_url()).content.decode()
    assert "Collect news" in page and "run_all_scrapers" not in page
    assert "Every 15 minutes" in page and "01:00-04:00" in page
    assert "Crontab expression" not in page and "Triggers combined" not in page


def test_a_schedule_whose_job_is_gone_says_so_and_can_be_opened(admin_client: Client) -> None:
    schedule = factories.schedule()
    Schedule.objects.filter(pk=schedule.pk).update(job="vanished")
    assert "not registered" in admin_client.get(LIST).content.decode()
    assert "vanished (not registered here)" in admin_client.get(schedule.get_absolute_url()).content.decode()


@pytest.mark.once
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {
                "trigger_kind": "calendar",
                "calendar_count": "2",
                "calendar_unit": "weeks",
                "calendar_at": "06:30:00",
                "calendar_first_day": "2026-01-05",
            },
            "2 weeks",
        ),
        ({"trigger_kind": "any_of", "parts": "30 6 * * 1-5\nevery 2 hours"}, "Every 2 hours"),
        ({"blackout_times": "01:00-04:00, 12:00-13:00", "blackout_dates": "2999-12-24, 2999-12-25"}, "never"),
        ({"max_runs": "3"}, "ends after 3 runs"),
    ],
)
def test_every_kind_of_trigger_is_typed_without_json_and_shown_as_typed(
    admin_client: Client, changes: dict[str, str], words: str
) -> None:
    answer = admin_client.post(ADD, form_of(**changes))
    assert answer.status_code == 302, errors(answer)
    schedule = Schedule.objects.get()
    assert words in schedule.words()
    form = admin_client.get(schedule.get_absolute_url()).context["adminform"].form
    again = {name: form[name].value() for name in ("parts", "blackout_times", "blackout_dates")}
    assert again["parts"] == changes.get("parts", "")
    assert again["blackout_times"] == changes.get("blackout_times", "")
    assert again["blackout_dates"] == changes.get("blackout_dates", "")


@pytest.mark.anydb
def test_a_part_that_makes_no_sense_is_said_at_the_triggers(admin_client: Client) -> None:
    answer = admin_client.post(ADD, form_of(trigger_kind="all_of", parts="every 2 hours\nevery full moon"))
    assert set(errors(answer)) == {"parts"}
    assert "every full moon" in answer.content.decode()


@pytest.mark.anydb
def test_the_form_of_a_new_schedule_proposes_sane_defaults_and_shows_what_they_mean(admin_client: Client) -> None:
    answer = admin_client.get(ADD)
    assert "Every 15 minutes" in answer.content.decode()
    form = answer.context["adminform"].form
    assert form["misfire_grace_time"].value() == 60
    assert form["jitter_seconds"].value() == 0
    assert form["interval_seconds"].value() == 900


def names(client: Client, query: str) -> list[str]:
    return [schedule.name for schedule in client.get(f"{LIST}?{query}").context["cl"].result_list]


def test_the_list_is_filtered_by_pause_last_result_and_job(admin_client: Client, admin_user: Any) -> None:
    now = timezone.now()
    paused, failed, well = (factories.schedule(name=name) for name in ("Paused", "Failed", "Well"))
    paused.pause(admin_user, "x")
    for schedule, status in ((failed, RunStatus.FAILED), (well, RunStatus.FAILED), (well, RunStatus.SUCCEEDED)):
        factories.run(schedule=schedule, status=status, started_at=now, finished_at=now)
    assert names(admin_client, "paused=1") == ["Paused"]
    assert names(admin_client, "paused=0") == ["Failed", "Well"]
    assert names(admin_client, "last=bad") == ["Failed"]
    assert names(admin_client, "last=succeeded") == ["Well"]
    assert names(admin_client, "last=never") == ["Paused"]
    assert names(admin_client, "job=echo") == []


def test_the_list_is_sorted_by_last_and_next_run_and_by_failures(admin_client: Client) -> None:
    now = timezone.now()
    for hours, name in ((1, "B"), (3, "A"), (2, "C")):
        schedule = factories.schedule(name=name)
        factories.run(schedule=schedule, queued_at=now - timedelta(hours=hours))
        DjangoJob.objects.create(id=schedule.job_id, next_run_time=now + timedelta(hours=hours), job_state=b"")
        ScheduleState.objects.create(schedule=schedule, failures_in_row=hours)
    # Columns: 1 schedule, 2 what, 3 last runs, 4 last result, 5 next run (0 is the box to select with).
    assert names(admin_client, "o=-4") == ["B", "C", "A"]
    assert names(admin_client, "o=5") == ["B", "C", "A"]
    assert names(admin_client, "o=3") == ["A", "C", "B"]


@pytest.mark.anydb
def test_the_preview_warns(admin_client: Client) -> None:
    address = reverse("admin:scheduling_schedule_preview")
    data = form_of(trigger_kind="interval", interval_seconds_count="1", interval_seconds_unit="1")
    page = admin_client.post(address, data).content.decode()
    assert "newss-warning" in page


@pytest.mark.anydb
@pytest.mark.parametrize(
    "job", [job.name for job in registry if job.name == "echo" or not job.function.__module__.startswith("tests.")]
)
def test_every_job_can_be_chosen_in_the_form(admin_client: Client, job: str) -> None:
    for answer in (admin_client.get(f"{ADD}?job={job}"), admin_client.post(ADD, form_of(job=job, _choose_job="1"))):
        form = answer.context["adminform"].form
        fields = {f"parameter-{name}" for name in registry.get(job).form.base_fields}
        assert fields <= set(form.fields)
        assert form["job_shown"].value() == job


def test_rows_that_are_too_many_to_list_are_searched_by_typing(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduling.admin.fields.LISTED", 2)
    tags = [Tag.objects.create(name=name) for name in ("daily", "science", "sport")]
    schedule = factories.schedule(job="run_all_scrapers", parameters={"sources": [], "tags": [tags[1].pk]})
    widget = admin_client.get(schedule.get_absolute_url()).context["adminform"].form["parameter-tags"].as_widget()
    assert "science" in widget
    assert "daily" not in widget
    address = re.search(r'data-ajax--url="([^"]+)"', widget)
    assert address
    answer = admin_client.get(f"{html.unescape(address[1])}&term=s")
    assert [row["text"] for row in answer.json()["results"]] == ["science", "sport"]
    data = {
        **form_of(name=schedule.name, job="run_all_scrapers", job_shown="run_all_scrapers"),
        "parameter-tags": [str(tags[0].pk), str(tags[2].pk)],
    }
    assert admin_client.post(schedule.get_absolute_url(), data).status_code == 302
    schedule.refresh_from_db()
    assert schedule.parameters["tags"] == [tags[0].pk, tags[2].pk]


@pytest.mark.anydb
def test_choices_are_for_those_who_may_see_schedules_and_the_rows(client: Client) -> None:
    address = reverse("admin:scheduling_schedule_choices")
    tags = {"job": "run_all_scrapers", "field": "tags"}
    client.force_login(factories.user("scheduling.view_schedule"))
    assert client.get(address, tags).status_code == 403
    client.force_login(factories.user("scheduling.view_tag"))
    assert client.get(address, tags).status_code == 403
    client.force_login(factories.user("scheduling.view_schedule", "scheduling.view_tag"))
    assert client.get(address, tags).status_code == 200
    for nonsense in ({}, {"job": "vanished", "field": "x"}, {"job": "echo", "field": "text"}):
        assert client.get(address, nonsense).status_code == 404


def test_the_list_is_searched_by_what_the_jobs_would_do(admin_client: Client) -> None:
    factories.schedule(name="First", job="echo", parameters={"text": "harbour"})
    factories.schedule(name="Second", job="echo", parameters={"text": "airport"})
    page = admin_client.get("/admin/scheduling/schedule/?q=harbour").content.decode()
    assert "First" in page and "Second" not in page


def act(client: Client, action: str, *schedules: Schedule) -> Any:
    keys = [schedule.pk for schedule in schedules]
    data = {"action": action, "_selected_action": keys}
    return client.post("/admin/scheduling/schedule/", data, follow=True)


def undo(client: Client, page: str) -> Any:
    """Press the button *Undo* of the message on a page."""
    form = re.search(r'<form method="post" action="([^"]+)" class="newss-undo">(.*?)</form>', page, re.DOTALL)
    assert form, "the message offers Undo"
    values = re.findall(r'name="(\w+)" value="([^"]*)"', form[2])
    return client.post(form[1], dict(values), follow=True)


def test_enabling_disabling_and_pausing_many_can_be_undone(admin_client: Client) -> None:
    on, off = factories.schedule(name="On"), factories.schedule(name="Off", enabled=False)
    page = act(admin_client, "disable_many", on, off).content.decode()
    assert not Schedule.objects.filter(enabled=True).exists()
    undo(admin_client, page)
    assert list(Schedule.objects.filter(enabled=True)) == [on], "only what was changed is changed back"
    off.pause(None, "an older reason")
    address = f"/admin/scheduling/schedule/pause/?ids={on.pk},{off.pk}"
    page = admin_client.post(address, {"reason": "a new one"}, follow=True).content.decode()
    assert Schedule.objects.paused(timezone.now()).count() == 2
    undo(admin_client, page)
    assert list(Schedule.objects.paused(timezone.now())) == [off]


def test_undo_needs_the_permission_of_what_it_does(client: Client) -> None:
    schedule = factories.schedule()
    client.force_login(factories.user("scheduling.view_schedule"))
    for name in ("switch_back", "resume_many"):
        address = reverse(f"admin:scheduling_schedule_{name}")
        assert client.post(address, {"ids": str(schedule.pk), "enabled": "0"}).status_code == 403
        assert client.get(address).status_code == 405
    schedule.refresh_from_db()
    assert schedule.enabled


def test_a_duplicate_is_a_disabled_copy_under_a_free_name(admin_client: Client) -> None:
    first = factories.schedule(name="First")
    schedule = factories.schedule(name="Front pages", job="echo", parameters={"text": "x"}, interval_seconds=77)
    schedule.tags.add(Tag.objects.create(name="daily"))
    FollowUp.objects.create(predecessor=first, successor=schedule)
    schedule.pause(None, "held")
    page = act(admin_client, "duplicate_many", schedule)
    copy = Schedule.objects.get(name="Front pages (copy)")
    assert page.redirect_chain[-1][0] == copy.get_absolute_url()
    assert (copy.enabled, copy.is_paused()) == (False, False)
    assert (copy.job, copy.parameters, copy.interval_seconds) == ("echo", {"text": "x"}, 77)
    assert [tag.name for tag in copy.tags.all()] == ["daily"]
    assert [one.predecessor for one in copy.follows.all()] == [first]
    act(admin_client, "duplicate_many", first, schedule)
    assert set(Schedule.objects.values_list("name", flat=True)) >= {"First (copy)", "Front pages (copy 2)"}


def test_chosen_schedules_are_exported_as_a_file_that_can_be_imported(admin_client: Client) -> None:
    from scrapers.transfer import Fate, from_text, load

    kept, other = factories.schedule(name="Kept", job="echo", parameters={"text": "x"}), factories.schedule()
    answer = act(admin_client, "export_schedules", kept)
    data = from_text(answer.content.decode())
    assert [entry["name"] for entry in data["schedules"]] == ["Kept"]
    Schedule.objects.all().delete()
    assert [line.fate for line in load(data)] == [Fate.NEW]
    assert Schedule.objects.get().parameters == {"text": "x"}
    assert other.name not in answer.content.decode()


def test_an_edit_asks_the_database_for_no_check_constraint(admin_client: Client) -> None:
    schedule = factories.schedule(job="echo")
    data = form_of(name=schedule.name, trigger_kind="interval", interval_seconds_count="7")
    admin_client.post(schedule.get_absolute_url(), data)
    with CaptureQueriesContext(connection) as captured:
        answer = admin_client.post(schedule.get_absolute_url(), {**data, "interval_seconds_count": "8"})
    assert answer.status_code == 302
    assert not [query["sql"] for query in captured if "_check" in query["sql"]]


@pytest.mark.once
@pytest.mark.parametrize(
    "values", [{"parameters": [1]}, {"parameters": "x"}, {"trigger_kind": "crontab", "crontab": "boom"}]
)
def test_what_was_broken_past_the_form_is_told_in_words_and_breaks_no_page(
    admin_client: Client, values: dict[str, Any]
) -> None:
    schedule = factories.schedule(job="echo")
    Schedule.objects.update(**values)
    schedule.refresh_from_db()
    assert schedule.problem()
    for address in ("/admin/", LIST, schedule.get_absolute_url(), "/api/v1/schedules"):
        assert admin_client.get(address).status_code == 200


def test_the_fields_of_a_follow_up_name_themselves_also_in_a_row_that_is_added(admin_client: Client) -> None:
    follow_up = FollowUp.objects.create(predecessor=factories.schedule(), successor=factories.schedule())
    page = admin_client.get(follow_up.successor.get_absolute_url()).content.decode()
    for row in ("0", "__prefix__"):
        for field, label in (("predecessor", "After"), ("on", "When")):
            (tag,) = re.findall(rf'<select name="follows-{row}-{field}"[^>]*>', page)
            assert f'aria-label="{label}"' in tag


def test_what_was_typed_over_an_older_version_is_saved_only_when_saved_again(admin_client: Client) -> None:
    schedule = factories.schedule(name="Morning", job="echo", parameters={"text": "hello"})
    page = reverse("admin:scheduling_schedule_change", args=[schedule.pk])

    def shown(content: bytes) -> str:
        found = re.search(r'name="version_shown"\s+value="(\d+)"', content.decode())
        assert found
        return found[1]

    opened = shown(admin_client.get(page).content)
    Schedule.objects.filter(pk=schedule.pk).update(description="somebody else's")
    mine = form_of(description="mine", version_shown=opened)
    looked = admin_client.post(page, {**mine, "_preview": "1"})
    assert shown(looked.content) == opened, "looking at the preview does not hide what was changed"
    refused = admin_client.post(page, mine)
    assert "was changed while the page was open" in refused.content.decode()
    schedule.refresh_from_db()
    assert schedule.description == "somebody else's"
    assert admin_client.post(page, {**mine, "version_shown": shown(refused.content)}).status_code == 302
    schedule.refresh_from_db()
    assert schedule.description == "mine"
