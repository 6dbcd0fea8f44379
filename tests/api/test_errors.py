"""The API's document, and the one shape of every error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newss_project.api import api
from scheduling.models import Run, Schedule
from tests.shared import examples

Post = Callable[..., Any]


@cache
def document() -> dict[str, Any]:
    """Return the API's document, as it is read (made when it is asked for: each worker of a run imports this)."""
    made: dict[str, Any] = json.loads(json.dumps(api.get_openapi_schema()))
    return made


def shaped(answer: Any, status: int) -> dict[str, Any]:
    """Return an error's data once it has the one shape."""
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("application/json")
    told = answer.json()
    assert set(told) == {"detail", "errors"}
    assert isinstance(told["detail"], str)
    assert told["detail"]
    assert all(isinstance(messages, list) and messages for messages in told["errors"].values())
    return told


def test_the_document_and_the_docs_are_read_without_login_and_from_here_only(db: None) -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer.json()["paths"].keys() >= {"/api/v1/search/start", "/api/v1/schedule/create", "/api/v1/runs/{run_id}"}
    page = Client().get("/api/v1/docs")
    assert page.status_code == 200
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page.content.decode())


@pytest.mark.anydb
def test_every_operation_documents_its_errors_with_the_one_shape_and_its_login(subtests: pytest.Subtests) -> None:
    for path, operations in document()["paths"].items():
        with subtests.test(path):
            documents_its_errors(operations)


def documents_its_errors(operations: dict[str, Any]) -> None:
    for operation in operations.values():
        assert operation["security"]
        assert operation["summary"]
        wrong = {status: answer for status, answer in operation["responses"].items() if int(status) >= 400}
        assert wrong.keys() >= {"401", "403", "422"}
        for answer in wrong.values():
            assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
        if "requestBody" in operation:
            (content,) = operation["requestBody"]["content"].values()
            schema = document()["components"]["schemas"][content["schema"]["$ref"].split("/")[-1]]
            assert schema["additionalProperties"] is False


@pytest.mark.anydb
def test_every_reference_of_the_document_leads_somewhere() -> None:
    for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document())):
        assert name in document()["components"]["schemas"]


def test_the_errors_that_django_answers_itself_have_the_same_shape(client: Client) -> None:
    shaped(client.get("/api/v1/nowhere"), 404)
    shaped(client.get("/api/v2/"), 404)
    answer = client.get("/api/v1/search/start")
    shaped(answer, 405)
    assert answer["Allow"] == "POST"
    shaped(Client().get("/api/v1/schedules"), 401)
    shaped(client.get("/api/v1/schedules", headers={"Host": "elsewhere.example"}), 400)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("", ""),
        ("[" * 100_000, "not JSON"),
        ('{"query": "\\u0000"}', "NUL"),
        ('{"query": "\\ud800"}', "surrogate"),
        ('{"limit": NaN}', "not finite"),
        ('{"limit": 1e999}', "not finite"),
        (f'{{"limit": {10**30}}}', "64 bits"),
        ('{"a":' * 50 + "1" + "}" * 50, "nested"),
    ],
    ids=["cut", "empty", "deep", "nul", "surrogate", "nan", "infinite", "huge", "nested"],
)
def test_a_body_that_cannot_be_stored_is_refused_with_the_reason(post: Post, text: str, words: str) -> None:
    told = shaped(post("search/start", text), 400 if text else 422)
    assert words in told["detail"]
    assert not Run.objects.exists()


def test_a_body_that_is_too_large_is_refused(post: Post, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    shaped(post("search/start", {"query": "x" * 20}), 413)


def test_an_error_that_nobody_foresaw_is_logged_and_shows_nothing_of_itself(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    with patch("scheduling.models.run_queries.RunQuerySet.start", side_effect=RuntimeError("the secret cause")):
        told = shaped(post("search/start", {}), 500)
    assert "secret" not in json.dumps(told)
    assert "the secret cause" in caplog.text


def test_a_database_that_is_away_is_said(post: Post) -> None:
    with patch("scheduling.models.run_queries.RunQuerySet.start", side_effect=OperationalError("no route")):
        shaped(post("search/start", {}), 503)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = {
    "search/start": ["sources", "tags", "query", "limit", "request_key", "x"],
    "schedule/create": ["description", "enabled", "tags", "executor", "max_retries", "misfire_grace_time", "x"],
}
TRIGGER = st.fixed_dictionaries(
    {"kind": st.sampled_from(["crontab", "interval", "date", "calendar", "any_of", "all_of", "manual", "x"])},
    optional={
        "crontab": st.sampled_from(["* * * * *", "@daily", "0 0 31 2 *", "x"]) | values,
        "interval_seconds": st.integers() | values,
        "run_at": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | values,
        "calendar_count": st.integers(0, 70_000) | values,
        "calendar_unit": st.sampled_from(["days", "weeks", "months", "years"]) | values,
        "calendar_at": st.sampled_from(["06:30", "24:00"]) | values,
        "calendar_first_day": st.dates().map(str) | values,
        "parts": st.lists(
            st.fixed_dictionaries(
                {"kind": st.sampled_from(["crontab", "interval", "date", "calendar"]) | values},
                optional={"crontab": st.just("* * * * *") | values, "interval_seconds": st.integers() | values},
            ),
            max_size=3,
        )
        | values,
        "timezone": st.sampled_from(["UTC", "Europe/Berlin", "../etc/passwd"]) | values,
        "start_at": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | values,
        "end_at": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | values,
        "jitter_seconds": st.integers() | values,
        "max_runs": st.integers() | values,
        "blackout_times": st.lists(st.lists(st.sampled_from(["01:00", "23:00", "x"]), max_size=3), max_size=2) | values,
        "blackout_dates": st.lists(st.dates().map(str), max_size=2) | values,
    },
)
CREATE = st.fixed_dictionaries(
    {
        "name": st.text(max_size=4) | values,
        "job": st.sampled_from(["run_all_scrapers", "noop", "x"]),
        "trigger": TRIGGER | values,
    },
    optional={
        "parameters": st.dictionaries(st.sampled_from(["sources", "tags", "query", "limit", "x"]), values, max_size=3)
        | values,
        **dict.fromkeys(KEYS["schedule/create"], values),
    },
)
SEARCH = st.dictionaries(st.sampled_from(KEYS["search/start"]), values, max_size=4) | values
PROPERTY = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def text_of(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body)


@PROPERTY
@given(body=SEARCH)
def test_whatever_is_asked_of_search_start_is_a_run_or_a_named_error(post: Post, body: Any) -> None:
    before = Run.objects.count()
    answer = post("search/start", text_of(body))
    if answer.status_code == 202:
        assert Run.objects.get(pk=answer.json()["run"]).job == "run_all_scrapers"
    else:
        told = shaped(answer, 400 if answer.status_code == 400 else 422)
        assert answer.status_code == 400 or told["errors"]
        assert Run.objects.count() == before


@PROPERTY
@given(body=CREATE)
def test_whatever_is_asked_of_schedule_create_is_a_working_schedule_or_a_named_error(post: Post, body: Any) -> None:
    before = Schedule.objects.count()
    answer = post("schedule/create", text_of(body))
    if answer.status_code == 201:
        made = Schedule.objects.get(pk=answer.json()["schedule"])
        assert made.problem() == ""
        made.delete()
    else:
        told = shaped(answer, 400 if answer.status_code == 400 else 422)
        assert answer.status_code == 400 or told["errors"]
        assert Schedule.objects.count() == before
