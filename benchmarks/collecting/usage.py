"""What processes take: processor seconds and peak memory of a process and all below it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import psutil

SAMPLE_SECONDS = 0.2
MEMORY_EACH = 5
"""Memory is looked at in each so many samples, since that takes longer."""


@dataclass
class Usage:
    """Samples a process and all below it while the block lasts.

    `cpu_s`: processor seconds within the block; what a process took after its last sample is missing. `rss_mb`: the
    most memory at one time, what processes share counted for each; `pss_mb`: the same counted once.
    """

    pid: int
    rss_mb: float = 0.0
    pss_mb: float = 0.0
    _first: dict[tuple[int, float], float] = field(default_factory=dict)
    _last: dict[tuple[int, float], float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._sample(memory=False)
        self._first = dict(self._last)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._sample(memory=True)

    @property
    def cpu_s(self) -> float:
        return round(sum(self._last.values()) - sum(self._first.values()), 2)

    def _run(self) -> None:
        turn = 0
        while not self._ended.wait(SAMPLE_SECONDS):
            turn += 1
            self._sample(memory=turn % MEMORY_EACH == 0)

    def _sample(self, *, memory: bool) -> None:
        rss = pss = 0.0
        try:
            top = psutil.Process(self.pid)
            processes = [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                times = process.cpu_times()
                self._last[process.pid, process.create_time()] = times.user + times.system
                if memory:
                    info = process.memory_full_info()
                    rss, pss = rss + info.rss, pss + info.pss
            except psutil.NoSuchProcess:
                continue
        self.rss_mb, self.pss_mb = max(self.rss_mb, round(rss / 1e6, 1)), max(self.pss_mb, round(pss / 1e6, 1))


def tree_cpu(pid: int) -> float:
    """Return the processor seconds that a process and all below it have taken, those that have ended included."""
    total = 0.0
    top = psutil.Process(pid)
    for process in [top, *top.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def seconds(self) -> float:
        return round(time.perf_counter() - self._began, 3)
