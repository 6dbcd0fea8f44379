"""The news world beside this repository, as the tests see it: real pages with known right answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scrapers.models import Source

WORLD = Path(__file__).resolve().parents[3] / "shared" / "newsworld"
FORMATS = ("rss", "atom", "json")


@dataclass
class World:
    """The running world."""

    port: int

    def control(self, path: str) -> Any:
        """Return what the control address answers."""
        with urllib.request.urlopen(f"http://127.0.3.1:{self.port}{path}", timeout=10) as answer:
            return json.load(answer)

    def fault(self, name: str) -> str:
        """Return the address of a fault."""
        return f"http://127.0.2.1:{self.port}/{name}"

    def subscribe(self, outlets: list[dict[str, Any]]) -> None:
        """Add a source for each outlet, the formats by turns."""
        for number, outlet in enumerate(outlets):
            url = f"{outlet['base']}/feed.{FORMATS[number % 3]}"
            Source.objects.create(name=f"Outlet {outlet['country']}", url=url)


@pytest.fixture(scope="session")
def running_world() -> Iterator[World]:
    """Return the world, started once: starting takes a processor two seconds."""
    with socket.socket() as probe:
        probe.bind(("127.0.3.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, WORLD / "serve.py", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert b"outlets on" in process.stdout.readline()
    yield World(port)
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture
def world(running_world: World) -> World:
    """Return the world, which remembers nothing of the tests before."""
    running_world.control("/reset")
    return running_world


def is_polite(stats: dict[str, Any]) -> None:
    """Assert that no host was asked more than once at once, nor sooner than its Crawl-delay of 1 s allows."""
    for host, figures in stats.items():
        assert figures["most_at_once"] == 1, host
        assert figures["smallest_gap"] is None or figures["smallest_gap"] >= 0.95, host
        assert all("NEWSS/" in request["ua"] for request in figures["requests"])
        assert not any(request["path"].startswith("/private") for request in figures["requests"])
