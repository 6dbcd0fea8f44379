"""Each worker of a run begins with some of the tests that take long."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import LONGEST, longest_first

pytestmark = pytest.mark.anydb

LONG = [f"{names[0]}::test_{number}" for names in LONGEST for number in range(2)]
SHORT = [f"tests/test_numbers.py::test_{number}" for number in range(18)]


def ordered(names: list[str], workers: int) -> list[str]:
    items: Any = [SimpleNamespace(nodeid=name) for name in names]
    return [item.nodeid for item in longest_first(items, workers)]


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 50])
def test_no_test_is_lost_or_doubled(workers: int) -> None:
    names = [*SHORT[:7], *LONG, *SHORT[7:]]
    assert sorted(ordered(names, workers)) == sorted(names)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_part_of_each_worker_begins_with_a_group_of_its_own(workers: int) -> None:
    names = ordered([*SHORT, *LONG], workers)
    size = len(names) // workers
    for worker in range(workers):
        mine = tuple(name for group in LONGEST[worker::workers] for name in group)
        part = names[worker * size : (worker + 1) * size]
        count = sum(name.startswith(mine) for name in LONG)
        assert all(name.startswith(mine) for name in part[:count])
        assert not any(name.startswith(mine) for name in part[count:])


def test_other_tests_keep_the_order_that_they_were_given() -> None:
    names = ordered([*reversed(SHORT), *LONG], 3)
    assert [name for name in names if name in SHORT] == [*reversed(SHORT)]


def test_a_group_that_is_more_than_a_worker_s_part_takes_nothing_from_the_run() -> None:
    names = [*SHORT[:1], *(f"{LONGEST[0][0]}::test_{number}" for number in range(30))]
    assert sorted(ordered(names, 3)) == sorted(names)
