"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection
from django.utils import translation
from hypothesis import settings
from pytest_django import DjangoDbBlocker

from tests.databases import migrate_once
from tests.shared import LONG, SHORT
from tests.zygote import Zygote, child_environment

settings.register_profile("short", max_examples=SHORT, derandomize=True, deadline=None)
settings.register_profile("long", max_examples=LONG, deadline=None)
settings.load_profile("short")

TESTS = Path(__file__).resolve().parent
LONGEST = (("tests/browser/",), ("tests/scrapers/test_newsworld",), ("tests/chaos/", "tests/test_demo.py"))
"""What takes longest, in groups for one worker each; what a group needs (a browser) is started once."""


def pytest_report_header() -> str:
    """Tell on which database the suite runs."""
    return f"database: {'postgresql' if os.environ.get('TEST_DATABASE_URL') else 'sqlite'}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Let each worker of a whole run begin to import elsewhere: what one has compiled, the others find on the disk.

    In a fresh clone each would otherwise compile all tests, asserts rewritten, at the same time: five seconds each.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker and [Path(argument).resolve() for argument in session.config.args] == [TESTS]:
        files = sorted(TESTS.rglob("test_*.py"))
        first = int(worker["workerid"].removeprefix("gw")) * len(files) // worker["workercount"]
        for file in [*files[first:], *files[:first]]:
            import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip on PostgreSQL what does not depend on the database; begin with what takes longest, to end together."""
    items[:] = longest_first(items, getattr(config, "workerinput", {}).get("workercount", 1))
    if os.environ.get("TEST_DATABASE_URL"):
        for item in items:
            if item.get_closest_marker("anydb"):
                item.add_marker(pytest.mark.skip(reason="does not depend on the database"))


def pytest_collection_finish() -> None:
    """Let the garbage collector never look again through what was imported and collected."""
    gc.collect()
    gc.freeze()


def longest_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return the tests in an order in which each worker begins with some that take long.

    `--dist worksteal` gives each worker an equal part, one after the other, and what is stolen is taken from an end.
    """
    first: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, group in enumerate(LONGEST):
        first[number % workers] += [item for item in items if item.nodeid.startswith(group)]
    others = iter([item for item in items if not item.nodeid.startswith(sum(LONGEST, ()))])
    ordered: list[pytest.Item] = []
    for worker, mine in enumerate(first):
        part = (len(items) - len(ordered)) // (workers - worker)
        ordered += [*mine, *islice(others, max(0, part - len(mine)))]
    return [*ordered, *others]


@pytest.fixture(scope="session", autouse=True)
def _preloaded_forkserver() -> None:
    """Let the processes that extract text start in milliseconds, whichever test is the first to start one."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["scrapers.source_settings.page_rules"])


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


@pytest.fixture(scope="session")
def zygote(django_db_setup: None) -> Iterator[Zygote]:
    """Return what starts commands on the test database in milliseconds."""
    started = Zygote(child_environment())
    yield started
    started.close()


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Forget the language of a test's last request, as the next request of a server would."""
    yield
    translation.deactivate()


@pytest.fixture
def on_postgresql() -> bool:
    """Tell whether the suite runs on PostgreSQL."""
    return connection.vendor == "postgresql"
