"""`POST /api/v1/schedule/create` and the reading endpoints of schedules and runs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from scheduling.api.triggers import FIELDS
from scheduling.models import ConcurrencyPolicy, Run, Schedule, Tag
from scrapers.models import Source
from tests.factories import run, schedule

Post = Callable[..., Any]
EVERY_MINUTE = {"kind": "interval", "interval_seconds": 60}
DAILY = {
    "kind": "calendar",
    "calendar_count": 1,
    "calendar_unit": "days",
    "calendar_at": "06:30",
    "calendar_first_day": "2026-01-01",
}


def body(**values: Any) -> dict[str, Any]:
    return {"name": "Mornings", "job": "run_all_scrapers", "trigger": EVERY_MINUTE, **values}


def test_a_schedule_is_saved_with_its_trigger_and_parameters(post: Post, person: User) -> None:
    source = Source.objects.create(name="Courier", url="http://127.0.0.11/feed.rss")
    tag = Tag.objects.create(name="daily")
    answer = post(
        "schedule/create",
        body(
            parameters={"sources": ["Courier"], "query": "tide"},
            trigger={"kind": "crontab", "crontab": "30 6 * * 1-5", "timezone": "Europe/Berlin", "jitter_seconds": 5},
            tags=["daily"],
            concurrency_policy="allow",
        ),
    )
    assert answer.status_code == 201, answer.json()
    made = Schedule.objects.get()
    assert answer.json() == {
        "schedule": made.pk,
        "url": f"http://testserver/admin/scheduling/schedule/{made.pk}/change/",
        "trigger_words": made.words(),
        "next_run": made.next_run().isoformat().replace("+00:00", "Z"),
        "waits_for": "Waits for a scheduler: none is running. Start one with: python manage.py runapscheduler",
    }
    assert (made.crontab, made.timezone, made.jitter_seconds) == ("30 6 * * 1-5", "Europe/Berlin", 5)
    assert made.parameters == {"sources": [source.pk], "tags": [], "query": "tide", "limit": None}
    assert list(made.tags.all()) == [tag]
    assert made.concurrency_policy == ConcurrencyPolicy.ALLOW
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.is_addition()) == (person, str(made.pk), True)


@pytest.mark.parametrize(
    "trigger",
    [
        EVERY_MINUTE,
        {"kind": "date", "run_at": "2999-01-01T06:00:00Z"},
        {"kind": "manual"},
        {"kind": "crontab", "crontab": "@hourly", "start_at": "2999-01-01T06:00:00+01:00"},
        {
            "kind": "calendar",
            "calendar_count": 2,
            "calendar_unit": "weeks",
            "calendar_at": "06:30",
            "calendar_first_day": "2025-01-01",
            "blackout_dates": ["2099-12-24"],
            "blackout_times": [["01:00", "04:00"]],
            "max_runs": 3,
        },
        {"kind": "any_of", "parts": [EVERY_MINUTE, {"kind": "crontab", "crontab": "0 6 * * *"}]},
        {
            "kind": "all_of",
            "parts": [{"kind": "crontab", "crontab": "0 * * * *"}, {"kind": "crontab", "crontab": "* 6 * * *"}],
        },
    ],
    ids=lambda trigger: trigger["kind"],
)
def test_every_kind_of_trigger_comes_back_as_it_was_given(post: Post, client: Client, trigger: dict[str, Any]) -> None:
    answer = post("schedule/create", body(trigger=trigger))
    assert answer.status_code == 201, answer.json()
    told = client.get(f"/api/v1/schedules/{answer.json()['schedule']}").json()["trigger"]
    assert told["kind"] == trigger["kind"]
    again = post("schedule/create", body(name="Again", trigger=told))
    assert again.status_code == 201, again.json()
    first, second = Schedule.objects.order_by("pk")
    for field in FIELDS:
        assert getattr(first, field) == getattr(second, field)
    for field, value in trigger.items():
        assert str(told[field]).startswith(str(value)) or field == "start_at"


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"nmae": "x"}, "nmae"),
        ({"name": ""}, "name"),
        ({"job": "dig"}, "job"),
        ({"parameters": {"limt": 1}}, "parameters.limt"),
        ({"parameters": {"limit": 0}}, "parameters.limit"),
        ({"parameters": {"query": ["a"]}}, "parameters.query"),
        ({"parameters": {"sources": ["Nowhere"]}}, "parameters.sources"),
        ({"parameters": []}, "parameters"),
        ({"tags": ["nowhere"]}, "tags"),
        ({"executor": "moon"}, "executor"),
        ({"trigger": None}, "trigger"),
        ({"trigger": {}}, "trigger"),
        ({"trigger": {"kind": "often"}}, "trigger"),
        ({"trigger": {"kind": "interval"}}, "trigger.interval_seconds"),
        ({"trigger": {"kind": "interval", "interval_seconds": 0}}, "trigger.interval_seconds"),
        ({"trigger": {"kind": "interval", "interval_seconds": 60, "crontab": "* * * * *"}}, "trigger.crontab"),
        ({"trigger": {"kind": "crontab", "crontab": "61 * * * *"}}, "trigger.crontab"),
        ({"trigger": {"kind": "crontab", "crontab": ""}}, "trigger.crontab"),
        ({"trigger": {"kind": "any_of", "parts": [{"kind": "interval"}]}}, "trigger.parts"),
        ({"trigger": {"kind": "date", "run_at": "2001-01-01T00:00:00Z"}}, "trigger.run_at"),
        ({"trigger": {"kind": "date", "run_at": "2999-01-01T00:00:00"}}, "trigger.run_at"),
        ({"trigger": {**DAILY, "calendar_at": "06:30+02:00"}}, "trigger.calendar_at"),
        ({"trigger": {**DAILY, "calendar_at": 23400}}, "trigger.calendar_at"),
        ({"trigger": {**EVERY_MINUTE, "end_at": "9999-12-31T23:59:59-12:00"}}, "trigger.end_at"),
        ({"trigger": {**EVERY_MINUTE, "timezone": "Europe/Atlantis"}}, "trigger.timezone"),
        (
            {"trigger": {**EVERY_MINUTE, "start_at": "2999-01-02T00:00:00Z", "end_at": "2999-01-01T00:00:00Z"}},
            "trigger.end_at",
        ),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_saved(post: Post, values: dict[str, Any], field: str) -> None:
    answer = post("schedule/create", body(**values))
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]
    assert not Schedule.objects.exists()


def test_everything_wrong_is_told_at_once(post: Post) -> None:
    answer = post(
        "schedule/create",
        body(parameters={"limit": -1}, tags=["x"], trigger={"kind": "crontab", "crontab": "never", "timezone": "No"}),
    )
    assert set(answer.json()["errors"]) == {"parameters.limit", "tags", "trigger.crontab", "trigger.timezone"}


def test_a_name_that_is_taken_is_refused_also_when_two_ask_at_once(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    assert post("schedule/create", body()).status_code == 201
    assert list(post("schedule/create", body()).json()["errors"]) == ["name"]
    checked = Schedule.full_clean
    calls: list[Schedule] = []

    def look_too_early(self: Schedule, *arguments: Any, **options: Any) -> None:
        calls.append(self)
        if len(calls) > 1:
            checked(self, *arguments, **options)

    monkeypatch.setattr(Schedule, "full_clean", look_too_early)
    answer = post("schedule/create", body())
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["name"])
    assert Schedule.objects.count() == 1


def test_a_disabled_schedule_says_that_it_waits_to_be_enabled(post: Post) -> None:
    told = post("schedule/create", body(enabled=False)).json()
    assert told["next_run"] is None
    assert "disabled" in told["waits_for"]


def test_the_list_of_schedules_is_paged_and_costs_no_query_a_row(
    client: Client, django_assert_max_num_queries: Any
) -> None:
    tag = Tag.objects.create(name="daily")
    for number in range(12):
        schedule(name=f"S{number:02}", job="run_all_scrapers", parameters={"tags": [tag.pk]}).tags.add(tag)
    with django_assert_max_num_queries(8):
        told = client.get("/api/v1/schedules?limit=10&offset=1").json()
    assert told["count"] == 12
    assert [item["name"] for item in told["items"]] == [f"S{number:02}" for number in range(1, 11)]
    assert told["items"][0]["parameters_words"] == "tag daily"
    assert told["items"][0]["tags"] == ["daily"]
    assert client.get("/api/v1/schedules?limit=1000").json()["errors"].keys() == {"limit"}


def test_a_run_tells_how_it_stands(client: Client, person: User) -> None:
    one = run(job="run_all_scrapers", requested_by=person, not_before=timezone.now() + timedelta(hours=1))
    told = client.get(f"/api/v1/runs/{one.pk}").json()
    assert (told["id"], told["status"], told["requested_by"]) == (one.pk, "queued", person.get_username())
    assert "scheduler" in told["waits_for"]
    assert "traceback" not in told


@pytest.mark.parametrize("path", ["runs/4711", "schedules/4711"])
def test_what_does_not_exist_is_said(client: Client, path: str) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 404
    assert "4711" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("schedules", "scheduling.view_schedule"),
        ("schedules/1", "scheduling.view_schedule"),
        ("runs/1", "scheduling.view_run"),
        ("schedule/create", "scheduling.add_schedule"),
    ],
)
def test_every_endpoint_asks_for_its_permission(client: Client, person: User, path: str, permission: str) -> None:
    def ask(asking: Client) -> Any:
        if "create" in path:
            return asking.post(f"/api/v1/{path}", body(), content_type="application/json")
        return asking.get(f"/api/v1/{path}")

    assert ask(Client()).status_code == 401
    person.user_permissions.clear()
    answer = ask(client)
    assert answer.status_code == 403
    assert permission in answer.json()["detail"]
    assert not Schedule.objects.exists()
    assert not Run.objects.exists()
