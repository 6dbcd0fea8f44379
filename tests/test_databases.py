"""One worker of a run migrates, the others copy what it made, and nothing is left over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import databases
from tests.databases import migrate_once

pytestmark = pytest.mark.anydb


class Server:
    """What holds the databases of all workers of a run."""

    def __init__(self) -> None:
        self.databases: list[str] = []
        self.migrated: list[str] = []


class Worker:
    """The connection of one worker, and its `creation`."""

    def __init__(self, server: Server, name: str) -> None:
        self.alias = "default"
        self.settings_dict = {"NAME": ""}
        self.creation = self
        self._server, self._name = server, name

    def close(self) -> None: ...

    def create_test_db(self, **_options: Any) -> str:
        self._server.migrated.append(self._name)
        self._server.databases.append(self._name)
        self.settings_dict["NAME"] = self._name
        return self._name

    def get_test_db_clone_settings(self, suffix: str) -> dict[str, str]:
        return {"NAME": f"{self.settings_dict['NAME']}_{suffix}"}

    def clone_test_db(self, suffix: str, verbosity: int) -> None:
        assert self.settings_dict["NAME"] in self._server.databases
        self._server.databases.append(self.get_test_db_clone_settings(suffix)["NAME"])

    def _destroy_test_db(self, name: str, verbosity: int) -> None:
        self._server.databases.remove(name)


def begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, name: str, workers: int) -> str:
    """Let a worker make its database; return the one that it works on."""
    connection = Worker(server, name)
    with monkeypatch.context() as patch:
        patch.setattr(databases, "connection", connection)
        patch.setattr(databases, "settings", SimpleNamespace(DATABASES={"default": connection.settings_dict}))
        migrate_once(tmp_path / "notes", name, workers)
        used = connection.creation.create_test_db()
    assert connection.settings_dict["NAME"] == used
    return used


def test_the_first_migrates_and_each_has_a_database_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Server()
    used = [begin(monkeypatch, tmp_path, server, name, 3) for name in ("gw1", "gw0", "gw2")]
    assert server.migrated == ["gw1"]
    assert len(set(used)) == 3
    assert sorted(server.databases) == sorted(used), "what was copied is gone with the last copy"


def test_a_worker_in_place_of_one_that_crashed_migrates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Server()
    used = [begin(monkeypatch, tmp_path, server, name, 2) for name in ("gw0", "gw1", "gw2")]
    assert server.migrated == ["gw0", "gw2"]
    assert sorted(server.databases) == sorted(used)


def test_a_run_of_one_worker_leaves_no_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = Server()
    assert [begin(monkeypatch, tmp_path, server, "gw0", 1)] == server.databases == ["gw0"]
