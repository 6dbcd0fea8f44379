"""A host's delay and its requests at once, shared by tasks and by processes."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scrapers.database import DatabaseThread
from scrapers.fetch import slots as module
from scrapers.fetch.slots import HostSlots, Slots, create_lanes
from scrapers.models import Host, HostLane
from tests.zygote import Zygote

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def host() -> Host:
    made = Host.objects.create(scheme="http", host="h.example", port=80)
    create_lanes([made], 4)
    return made


def with_slots(host: Host, delay: float, work: Any, concurrency: int = 4) -> Any:
    async def main() -> Any:
        database = DatabaseThread()
        slots = Slots(database)
        try:
            return await work(slots, slots.add(host, delay, concurrency))
        finally:
            await slots.close()
            await database.close()

    return asyncio.run(main())


class Watch:
    """Notes when requests start and how many are under way."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.now = self.most = 0

    async def request(self, slots: Slots, mine: HostSlots, seconds: float, connect: float = 0.0) -> None:
        async with slots.request(mine) as slot:
            await asyncio.sleep(connect)
            self.starts.append(time.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)
            slot.answered()
            await asyncio.sleep(seconds)
            self.now -= 1

    @property
    def smallest_gap(self) -> float:
        return min(b - a for a, b in pairwise(self.starts))


def test_with_a_delay_requests_follow_one_another_however_long_connecting_takes(host: Host) -> None:
    watch = Watch()

    async def work(slots: Slots, mine: HostSlots) -> None:
        connects = [0.15, 0.0, 0.1, 0.0, 0.05, 0.0]
        await asyncio.gather(*(watch.request(slots, mine, 0.01, connect) for connect in connects))

    with_slots(host, 0.2, work)
    assert watch.most == 1
    assert watch.smallest_gap >= 0.2


def test_without_a_delay_as_many_as_allowed_are_under_way(host: Host) -> None:
    watch = Watch()

    async def work(slots: Slots, mine: HostSlots) -> None:
        await asyncio.gather(*(watch.request(slots, mine, 0.05) for _ in range(12)))

    with_slots(host, 0.0, work)
    assert watch.most == 4


def test_without_a_delay_a_request_costs_no_statement_of_its_own(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    original = module._execute
    monkeypatch.setattr(module, "_execute", lambda sql, **values: statements.append(sql) or original(sql, **values))
    watch = Watch()

    async def work(slots: Slots, mine: HostSlots) -> None:
        for _ in range(20):
            await watch.request(slots, mine, 0.0)

    with_slots(host, 0.0, work)
    assert len(watch.starts) == 20
    assert len(statements) == 2, "one to take the lane, one to give it back"


def test_requests_that_begin_together_take_their_lanes_in_one_statement(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    original = module._execute
    monkeypatch.setattr(module, "_execute", lambda sql, **values: statements.append(sql) or original(sql, **values))
    watch = Watch()

    async def work(slots: Slots, mine: HostSlots) -> None:
        await asyncio.gather(*(watch.request(slots, mine, 0.05) for _ in range(4)))

    with_slots(host, 0.0, work)
    assert watch.most == 4
    assert len(statements) == 2, "one to take all lanes, one to give them back"


def test_the_lane_of_robots_txt_serves_the_next_request_where_there_is_no_delay(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    original = module._execute
    monkeypatch.setattr(module, "_execute", lambda sql, **values: statements.append(sql) or original(sql, **values))
    watch = Watch()

    async def work(slots: Slots, mine: HostSlots) -> None:
        async with slots.request(mine, alone=True):
            pass
        await watch.request(slots, mine, 0.0)

    with_slots(host, 0.0, work)
    assert len(statements) == 2


def test_with_a_delay_a_request_costs_two_statements(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    original = module._execute
    monkeypatch.setattr(module, "_execute", lambda sql, **values: statements.append(sql) or original(sql, **values))
    watch = Watch()

    async def work(slots: Slots, mine: HostSlots) -> None:
        for _ in range(3):
            await watch.request(slots, mine, 0.0)

    with_slots(host, 0.1, work)
    taken = [sql for sql in statements if sql in (module._TAKE, module._GIVE_BACK)]
    # A clock that is read twice may find the slot some microseconds away once: then the take is repeated.
    assert 6 <= len(taken) <= 9


def test_all_lanes_are_free_afterwards_even_after_a_cancel(host: Host) -> None:
    async def work(slots: Slots, mine: HostSlots) -> None:
        watch = Watch()
        tasks = [asyncio.create_task(watch.request(slots, mine, 30)) for _ in range(8)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with_slots(host, 0.0, work)
    assert not HostLane.objects.exclude(holder="").exists()


def test_the_lane_of_a_process_that_died_is_free_when_its_lease_ends(host: Host) -> None:
    HostLane.objects.update(holder="dead", leased_until=time.time() + 0.5)
    watch, began = Watch(), time.monotonic()
    with_slots(host, 0.1, lambda slots, mine: watch.request(slots, mine, 0.0))
    assert time.monotonic() - began >= 0.4


def test_a_request_alone_waits_for_all_others_and_keeps_them_off(host: Host) -> None:
    watch = Watch()

    async def alone(slots: Slots, mine: HostSlots) -> None:
        async with slots.request(mine, alone=True):
            assert watch.now == 0
            await asyncio.sleep(0.1)
            assert watch.now == 0

    async def work(slots: Slots, mine: HostSlots) -> None:
        others = [asyncio.create_task(watch.request(slots, mine, 0.2)) for _ in range(3)]
        await asyncio.sleep(0.05)
        await alone(slots, mine)
        await asyncio.gather(*others)

    with_slots(host, 0.0, work)


CHILD = """
import asyncio, os, time
from scrapers.database import DatabaseThread
from scrapers.fetch.slots import Slots
from scrapers.models import Host
async def main():
    database = DatabaseThread(); slots = Slots(database)
    host = await database.run(Host.objects.get)
    mine = slots.add(host, {delay}, 2)
    async def one():
        async with slots.request(mine) as slot:
            began = time.time(); slot.answered()
            await asyncio.sleep({seconds})
            print(os.getpid(), began, time.time(), flush=True)
    await asyncio.gather(*(one() for _ in range({requests})))
    await slots.close(); await database.close()
for _ in range(2):
    if os.fork() == 0:
        asyncio.run(main()); os._exit(0)
for _ in range(2):
    assert os.wait()[1] == 0
"""


InTwoProcesses = Callable[..., tuple[list[tuple[float, float]], set[int]]]


@pytest.fixture
def in_two_processes(zygote: Zygote, tmp_path: Path) -> InTwoProcesses:
    """Return a function that has requests made by two processes: (start, end) of all, and how many each made."""

    def run(delay: float, requests: int, seconds: float) -> tuple[list[tuple[float, float]], set[int]]:
        log = tmp_path / "log"
        code = CHILD.format(delay=delay, requests=requests, seconds=seconds)
        assert zygote.start(log, "shell", "--no-imports", "-c", code).wait() == 0, log.read_text()
        return read(log.read_text())

    return run


def read(printed: str) -> tuple[list[tuple[float, float]], set[int]]:
    """Return (start, end) of all requests in order, and how many each process made."""
    rows = [line.split() for line in printed.splitlines()]
    counts = Counter(process for process, _began, _ended in rows)
    assert len(counts) == 2
    return sorted((float(began), float(ended)) for _process, began, ended in rows), set(counts.values())


def test_two_processes_share_the_delay_of_a_host(host: Host, in_two_processes: InTwoProcesses) -> None:
    times, counts = in_two_processes(delay=0.2, requests=6, seconds=0.02)
    assert counts == {6}
    gaps = [after[0] - before[0] for before, after in pairwise(times)]
    assert min(gaps) >= 0.2
    assert all(after[0] >= before[1] for before, after in pairwise(times)), "one at once"


def test_two_processes_share_the_requests_at_once_of_a_host(host: Host, in_two_processes: InTwoProcesses) -> None:
    times, counts = in_two_processes(delay=0.0, requests=30, seconds=0.1)
    assert counts == {30}
    most = max(sum(began <= moment < ended for began, ended in times) for moment, _ended in times)
    assert most == 2


@pytest.mark.parametrize("field", ["next_slot_at", "leased_until"])
def test_a_time_that_a_wrong_clock_wrote_holds_no_request_up(host: Host, field: str) -> None:
    HostLane.objects.update(**{field: time.time() + 365 * 86_400})

    async def ask(slots: Slots, mine: HostSlots) -> None:
        async with asyncio.timeout(30):
            await Watch().request(slots, mine, 0)

    with_slots(host, 0.0, ask)
    with_slots(host, 0.01, ask)
