"""`POST /api/v1/search/start`: a run is a committed row, what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from scheduling.models import Cause, InstanceState, Run, RunStatus, SchedulerInstance, Tag
from scrapers.models import Source

Post = Callable[..., Any]


@pytest.fixture
def source(db: None) -> Source:
    return Source.objects.create(name="The Harbour Courier", url="http://127.0.0.11/feed.rss")


def test_a_search_is_a_committed_run_that_says_what_it_waits_for(post: Post, person: User, source: Source) -> None:
    answer = post("search/start", {"query": "harbour", "limit": 3})
    assert answer.status_code == 202
    run = Run.objects.get()
    assert answer.json() == {
        "run": run.pk,
        "url": f"http://testserver/admin/scheduling/run/{run.pk}/change/",
        "status": "queued",
        "new": True,
        "waits_for": "Waits for a scheduler: none is running. Start one with: python manage.py runapscheduler",
    }
    assert (run.job, run.cause, run.requested_by, run.status) == (
        "run_all_scrapers",
        Cause.API,
        person,
        RunStatus.QUEUED,
    )
    assert run.parameters == {"sources": [], "tags": [], "query": "harbour", "limit": 3}


def test_with_a_scheduler_the_run_waits_only_to_be_started(post: Post, source: Source) -> None:
    SchedulerInstance.objects.create(host="here", pid=1, process_started=0, state=InstanceState.ACTIVE)
    assert post("search/start", {}).json()["waits_for"] == "Waits to be started by the scheduler."


def test_sources_and_tags_are_named_by_number_or_by_name(post: Post, source: Source) -> None:
    tag = Tag.objects.create(name="2024")
    assert post("search/start", {"sources": [source.name], "tags": ["2024"]}).status_code == 202
    assert post("search/start", {"sources": [source.pk, str(source.pk)], "tags": [tag.pk]}).status_code == 202
    for run in Run.objects.all():
        assert (run.parameters["sources"], run.parameters["tags"]) == ([source.pk], [tag.pk])


def test_every_unknown_source_and_tag_is_named(post: Post, source: Source) -> None:
    answer = post("search/start", {"sources": ["Nowhere", source.name, "Nobody"], "tags": [4711]})
    assert answer.status_code == 422
    errors = answer.json()["errors"]
    assert errors["sources"] == ["There is no “Nowhere” here.", "There is no “Nobody” here."]
    assert "4711" in errors["tags"][0]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"souces": []}, "souces"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"limit": 2**31}, "limit"),
        ({"query": 5}, "query"),
        ({"query": '"open'}, "query"),
        ({"sources": "The Harbour Courier"}, "sources"),
        ({"sources": [None]}, "sources.0"),
        ({"tags": [[1]]}, "tags.0"),
        ({"request_key": ""}, "request_key"),
        ({"request_key": "x" * 65}, "request_key"),
        ([], "body"),
        ('"text"', "body"),
    ],
)
def test_a_bad_value_or_an_unknown_key_is_named(post: Post, body: Any, field: str) -> None:
    answer = post("search/start", body)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]
    assert field in answer.json()["detail"]
    assert not Run.objects.exists()


def test_the_same_request_key_twice_is_one_run(post: Post, source: Source) -> None:
    first, second = (post("search/start", {"request_key": "monday"}).json() for _ in range(2))
    assert first["run"] == second["run"]
    assert (first["new"], second["new"]) == (True, False)
    assert Run.objects.count() == 1


def test_a_request_without_login_permission_or_token_starts_nothing(post: Post, person: User) -> None:
    def start(client: Client, **headers: str) -> Any:
        return client.post("/api/v1/search/start", {}, content_type="application/json", headers=headers)

    assert start(Client()).status_code == 401
    strict = Client(enforce_csrf_checks=True)
    assert start(strict).status_code == 401
    strict.force_login(person)
    assert start(strict).status_code == 403
    strict.get("/admin/login/")
    token = strict.get("/api/v1/docs").context["csrf_token"]
    assert start(strict, **{"X-CSRFToken": str(token)}).status_code == 202
    person.user_permissions.clear()
    answer = post("search/start", {})
    assert answer.status_code == 403
    assert answer.json()["detail"] == "Your account lacks the permission “scheduling.start_run”."
    assert Run.objects.count() == 1
