"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import translation
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from tests.databases import migrate_once
from tests.shared import LONG, SHORT

settings.register_profile("short", max_examples=SHORT, derandomize=True, deadline=None)
settings.register_profile("long", max_examples=LONG, deadline=None)
settings.load_profile("short")

LONGEST = ("tests/chaos/", "tests/test_demo.py", "tests/browser/test_pages.py")


def pytest_report_header() -> str:
    """Tell on which database the suite runs."""
    return f"database: {'postgresql' if os.environ.get('TEST_DATABASE_URL') else 'sqlite'}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip on PostgreSQL what does not depend on the database; begin with what takes longest, to end together."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    if os.environ.get("TEST_DATABASE_URL"):
        for item in items:
            if item.get_closest_marker("anydb"):
                item.add_marker(pytest.mark.skip(reason="does not depend on the database"))


@pytest.fixture(autouse=True)
def _nothing_is_kept_from_the_test_before() -> None:
    """Empty the cache: a test's rows are gone after it, what pages kept of them is not."""
    cache.clear()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Let one worker migrate for all."""
    if worker := getattr(request.config, "workerinput", None):
        notes = tmp_path_factory.getbasetemp().parent / "migrated"
        migrate_once(notes, worker["workerid"], worker["workercount"])


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let tests that commit be cleared up after in milliseconds."""
    from django.test import TransactionTestCase

    from tests.emptying import Emptying

    with django_db_blocker.unblock():
        emptying = Emptying()

    def teardown(case: TransactionTestCase) -> None:
        emptying.after(case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Forget the language of a test's last request, as the next request of a server would."""
    yield
    translation.deactivate()


@pytest.fixture
def on_postgresql() -> bool:
    """Tell whether the suite runs on PostgreSQL."""
    return connection.vendor == "postgresql"
