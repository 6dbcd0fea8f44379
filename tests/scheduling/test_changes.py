"""The bell: what it says has changed, and whom the engine lets look for it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection, Iterator

import pytest

from scheduling.changes import KINDS, Bell
from scheduling.engine import Engine
from scheduling.models import Hold, Run, Schedule
from tests import factories

SECONDS = 30.0
Heard = Callable[[], set[str]]


@pytest.fixture
def heard(transactional_db: None) -> Iterator[Heard]:
    """Return what waits for the bell's next ring and tells its kinds; it has rung once, for what came before."""
    rings: queue.Queue[set[str]] = queue.Queue()
    bell = Bell(lambda kinds: rings.put(set(kinds)))
    bell.start()
    try:
        assert rings.get(timeout=SECONDS) == set(KINDS)
        yield lambda: rings.get(timeout=SECONDS)
    finally:
        bell.stop()


def test_the_bell_says_whether_a_schedule_a_run_or_a_hold_has_changed(heard: Heard, on_postgresql: bool) -> None:
    def rings_for(change: Callable[[], object], kind: str) -> None:
        change()
        # SQLite cannot tell what it was.
        assert heard() == ({kind} if on_postgresql else set(KINDS))

    rings_for(factories.schedule, "schedule")
    rings_for(lambda: Schedule.objects.update(interval_seconds=7), "schedule")
    rings_for(factories.running, "run")
    rings_for(Run.objects.get().cancel, "run")
    rings_for(Hold.objects.hold, "hold")
    rings_for(Hold.objects.release, "hold")
    rings_for(Schedule.objects.all().delete, "schedule")


def test_progress_of_a_run_does_not_ring_on_postgresql(heard: Heard, on_postgresql: bool) -> None:
    if not on_postgresql:
        pytest.skip("SQLite rings for every write")
    run = factories.running()
    assert heard() == {"run"}
    Run.objects.filter(pk=run.pk).update(progress_done=1)
    Hold.objects.hold()
    assert heard() == {"hold"}


class Looks:
    """Stands for the scheduler and the dispatcher: notes who was told to look."""

    def __init__(self, name: str, told: list[str]) -> None:
        self._name, self._told = name, told

    def ring(self) -> None:
        self._told.append(self._name)


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("kinds", "who"),
    [
        ({"schedule"}, ["scheduler"]),
        ({"run"}, ["dispatcher"]),
        ({"hold"}, ["scheduler", "dispatcher"]),
        ({"schedule", "run"}, ["scheduler", "dispatcher"]),
        (KINDS, ["scheduler", "dispatcher"]),
    ],
)
def test_a_change_lets_only_those_look_whom_it_concerns(
    monkeypatch: pytest.MonkeyPatch, kinds: Collection[str], who: list[str]
) -> None:
    told: list[str] = []
    engine = Engine()
    monkeypatch.setattr(engine, "_scheduler", Looks("scheduler", told))
    monkeypatch.setattr(engine, "_dispatcher", Looks("dispatcher", told), raising=False)
    engine._ring(kinds)
    assert told == who
