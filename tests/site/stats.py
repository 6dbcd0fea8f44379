"""What was asked of each address, when, and how much at once: politeness is tested on these figures."""

import threading
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypedDict


class RequestRecord(TypedDict):
    """One request; `time` is its start in seconds of Unix time, `status` is 0 while it is being answered."""

    time: float
    path: str
    status: int
    user_agent: str
    conditional: bool


class HostStats(TypedDict):
    """The requests of one address; `smallest_gap` is in seconds between the starts of two of them, None below two."""

    requests: list[RequestRecord]
    most_at_once: int
    smallest_gap: float | None


@dataclass(slots=True)
class _Host:
    requests: list[RequestRecord] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0


class Stats:
    """Counts requests. The server's thread writes and a test's thread reads, hence the lock."""

    def __init__(self) -> None:
        """Start with no requests."""
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def begin(self, address: str, record: RequestRecord) -> None:
        """Note that a request has started."""
        with self._lock:
            host = self._hosts.setdefault(address, _Host())
            host.requests.append(record)
            host.running += 1
            host.most_at_once = max(host.most_at_once, host.running)

    def end(self, address: str, record: RequestRecord, status: int) -> None:
        """Note how a request was answered."""
        with self._lock:
            record["status"] = status
            # A reset in between has dropped the host; the request belongs to the figures before it.
            if (host := self._hosts.get(address)) and any(known is record for known in reversed(host.requests)):
                host.running -= 1

    def reset(self) -> None:
        """Forget everything."""
        with self._lock:
            self._hosts.clear()

    def snapshot(self) -> dict[str, HostStats]:
        """Return the figures for each address that was asked for anything."""
        with self._lock:
            return {address: _figures(host) for address, host in self._hosts.items()}


def _figures(host: _Host) -> HostStats:
    starts = sorted(record["time"] for record in host.requests)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    return {
        "requests": [record.copy() for record in host.requests],
        "most_at_once": host.most_at_once,
        "smallest_gap": round(min(gaps), 4) if gaps else None,
    }
