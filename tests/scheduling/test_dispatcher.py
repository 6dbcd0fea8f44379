"""The dispatcher: when it looks, and what it makes of runs that are no longer its process's."""

from __future__ import annotations

from datetime import datetime

import pytest

from scheduling import dispatcher as module
from scheduling import leader
from scheduling.dispatcher import Dispatcher
from scheduling.executors import ThreadExecutor
from scheduling.models import RunStatus, SchedulerInstance
from tests import factories
from tests.scheduling.conftest import wait_until


class Pool(ThreadExecutor):
    """Threads that do not work, and that note whom they were told to stop."""

    def __init__(self) -> None:
        super().__init__(8, lambda _run_id, _run: None)
        self.cancelled: list[int] = []

    def cancel(self, run_id: int) -> None:
        self.cancelled.append(run_id)


@pytest.fixture
def instance(transactional_db: None) -> SchedulerInstance:
    return SchedulerInstance.objects.create(host="here", pid=1, process_started=0.0)


def test_a_run_whose_end_is_written_has_a_moment_to_go_before_it_is_stopped(
    instance: SchedulerInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Pool()
    dispatcher = Dispatcher(instance, [pool], lambda: None, lambda _run_id, _run: None)
    run = factories.running(instance=instance, executor="threads")
    pool.submit(run)
    type(run).objects.filter(pk=run.pk).update(status=RunStatus.SUCCEEDED, finished_at=run.started_at, claim_token="")
    now = module.time.monotonic()
    for seconds in (0.0, 0.1, module.UNHELD_SECONDS - 0.1):
        monkeypatch.setattr(module.time, "monotonic", lambda moment=now + seconds: moment)
        dispatcher._sweep()
    assert pool.cancelled == []
    assert "no longer" not in caplog.text
    monkeypatch.setattr(module.time, "monotonic", lambda: now + module.UNHELD_SECONDS + 0.1)
    dispatcher._sweep()
    assert pool.cancelled == [run.pk]


def test_after_a_look_that_found_nothing_ends_wait_for_the_next_one_and_a_bell_does_not(
    instance: SchedulerInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALM_SECONDS", 600.0)
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 600.0)
    looks = []

    class Counting(Dispatcher):
        def _look(self, now: datetime) -> float:
            seconds = super()._look(now)
            looks.append(now)
            return seconds

    dispatcher = Counting(instance, [Pool()], lambda: None, lambda _run_id, _run: None)
    dispatcher.lead(leader.take_over(instance))
    dispatcher.start()
    try:
        wait_until(lambda: len(looks) == 1)
        dispatcher.place_is_free()
        dispatcher.ring()
        wait_until(lambda: len(looks) == 2)
    finally:
        dispatcher.stop()
    assert len(looks) <= 3, "the last one by the stop itself"
