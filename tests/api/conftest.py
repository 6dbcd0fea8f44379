"""Fixtures for tests of the API and of the views that start runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from tests.factories import user

EVERYTHING = (
    "scheduling.add_schedule",
    "scheduling.view_schedule",
    "scheduling.view_run",
    "scheduling.run_schedule",
    "scheduling.start_run",
    "scheduling.cancel_run",
)


@pytest.fixture
def person(db: None) -> User:
    """Return a user who may do all that the API offers."""
    return user(*EVERYTHING)


@pytest.fixture
def client(person: User) -> Client:
    """Return a logged-in client; CSRF is not its concern."""
    made = Client()
    made.force_login(person)
    return made


@pytest.fixture
def post(client: Client) -> Callable[..., HttpResponse]:
    """Return a function that posts JSON to a path of the API."""

    def send(path: str, body: Any, **options: Any) -> HttpResponse:
        return client.post(f"/api/v1/{path}", body, content_type="application/json", **options)

    return send
