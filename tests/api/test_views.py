"""The views that start and cancel runs: for browsers and for who asks in JSON."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from scheduling.models import Cause, Run, RunStatus, Tag
from tests.factories import run, schedule

JSON = {"Accept": "application/json"}


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def page(one: Run) -> str:
    return f"/admin/scheduling/run/{one.pk}/change/"


def test_run_now_sends_a_browser_to_the_run_and_says_what_it_waits_for(client: Client, person: User) -> None:
    one = schedule(name="Mornings", job="echo", parameters={"text": "x"}, enabled=False)
    answer = client.post(f"/schedules/{one.pk}/run/")
    made = Run.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page(made))
    assert (made.schedule, made.cause, made.requested_by, made.parameters) == (one, Cause.MANUAL, person, {"text": "x"})
    assert "was started. Waits for a scheduler: none is running." in said(answer)


def test_run_now_tells_of_the_run_in_json(client: Client) -> None:
    answer = client.post(f"/schedules/{schedule().pk}/run/", headers=JSON)
    made = Run.objects.get()
    assert answer.status_code == 202
    assert answer.json()["run"] == made.pk
    assert answer.json()["url"] == f"http://testserver{page(made)}"
    assert "runapscheduler" in answer.json()["waits_for"]


def test_a_double_click_is_one_run(client: Client) -> None:
    one = schedule()
    answers = [client.post(f"/schedules/{one.pk}/run/", {"request_key": "k"}) for _ in range(2)]
    made = Run.objects.get()
    assert [answer["Location"] for answer in answers] == [page(made)] * 2
    assert "already on its way" in said(answers[1])
    for _ in range(2):
        client.post("/runs/start/", {"job": "noop", "request_key": "other"})
    assert Run.objects.count() == 2


def test_a_form_starts_a_job_with_the_fields_of_its_form(client: Client) -> None:
    tags = [Tag.objects.create(name=name) for name in ("a", "b")]
    fields = {"job": "run_all_scrapers", "tags": [tag.pk for tag in tags], "query": "tide", "limit": "", "next": "/"}
    answer = client.post("/runs/start/", fields)
    made = Run.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, page(made))
    assert made.parameters == {"sources": [], "tags": [tag.pk for tag in tags], "query": "tide", "limit": None}


def test_parameters_may_come_as_json_in_a_form_or_as_a_json_body(client: Client) -> None:
    client.post("/runs/start/", {"job": "echo", "parameters": '{"text": "one"}'})
    answer = client.post(
        "/runs/start/", {"job": "echo", "parameters": {"text": "two"}}, content_type="application/json", headers=JSON
    )
    assert answer.status_code == 202
    assert {one.parameters["text"] for one in Run.objects.all()} == {"one", "two"}


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "job"),
        ({"job": "dig"}, "job"),
        ({"job": "echo", "txet": "x"}, "txet"),
        ({"job": "sleep", "seconds": "-1"}, "seconds"),
        ({"job": "echo", "parameters": "[]"}, "parameters"),
        ({"job": "echo", "request_key": "x" * 65}, "request_key"),
    ],
)
def test_what_is_wrong_is_named_and_a_browser_comes_back_to_where_it_was(
    client: Client, fields: dict[str, str], wrong: str
) -> None:
    if wrong == "parameters":
        fields = {**fields, "parameters": "[1]"}
    answer = client.post("/runs/start/", fields, headers=JSON)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [wrong]
    answer = client.post("/runs/start/", {**fields, "next": "/admin/scheduling/run/"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/scheduling/run/")
    assert said(answer).startswith(f"{wrong}: ")
    assert client.post("/runs/start/", {**fields, "next": "https://elsewhere.example/"})["Location"] == "/admin/"
    assert not Run.objects.exists()


def test_an_unknown_key_of_a_json_body_is_named(client: Client) -> None:
    answer = client.post("/runs/start/", {"jbo": "x"}, content_type="application/json", headers=JSON)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["jbo"])


def test_a_queued_run_is_cancelled_at_once_and_a_running_one_is_asked(client: Client, person: User) -> None:
    queued, running = run(), run(status=RunStatus.RUNNING, started_at=timezone.now(), claim_token="t")
    answer = client.post(f"/runs/{queued.pk}/cancel/")
    assert (answer.status_code, answer["Location"]) == (302, page(queued))
    assert "was cancelled" in said(answer)
    for _ in range(2):
        answer = client.post(f"/runs/{running.pk}/cancel/", headers=JSON)
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
    queued.refresh_from_db()
    running.refresh_from_db()
    assert queued.status == RunStatus.CANCELLED
    assert running.cancel_requested_by == person


def test_an_ended_run_cannot_be_cancelled_and_says_so(client: Client) -> None:
    ended = run(status=RunStatus.SUCCEEDED, finished_at=timezone.now())
    answer = client.post(f"/runs/{ended.pk}/cancel/", headers=JSON)
    assert answer.status_code == 409
    assert "already ended: succeeded" in answer.json()["detail"]
    answer = client.post(f"/runs/{ended.pk}/cancel/", headers={"Referer": f"http://testserver{page(ended)}"})
    assert answer["Location"] == f"http://testserver{page(ended)}"
    assert "already ended" in said(answer)


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("/schedules/{schedule}/run/", "scheduling.run_schedule"),
        ("/runs/start/", "scheduling.start_run"),
        ("/runs/{run}/cancel/", "scheduling.cancel_run"),
    ],
)
def test_every_view_asks_for_login_permission_csrf_and_post(
    client: Client, person: User, path: str, permission: str
) -> None:
    queued = run()
    path = path.format(schedule=schedule().pk, run=queued.pk)
    fields = {"job": "noop"}
    assert client.get(path).status_code == 405
    assert Client().post(path, fields)["Location"].startswith("/admin/login/?next=")
    assert Client().post(path, fields, headers=JSON).json()["detail"].startswith("Log in first")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(person)
    assert strict.post(path, fields).status_code == 403
    assert strict.post(path, fields, headers=JSON).json().keys() == {"detail", "errors"}
    person.user_permissions.clear()
    answer = client.post(path, fields, headers=JSON)
    assert answer.status_code == 403
    assert permission in answer.json()["detail"]
    assert client.post(path, fields).status_code == 403
    assert list(Run.objects.active()) == [queued]


@pytest.mark.parametrize("path", ["/schedules/4711/run/", "/runs/4711/cancel/"])
def test_what_does_not_exist_is_a_404(client: Client, path: str) -> None:
    assert client.post(path).status_code == 404
    assert client.post(path, headers=JSON).json()["errors"] == {}
