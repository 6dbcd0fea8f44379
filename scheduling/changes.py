"""How a change reaches the scheduler.

Triggers in the database note each change of a schedule (`ScheduleChange`, migration 0002). This module is only the
bell: PostgreSQL's LISTEN/NOTIFY, or SQLite's `PRAGMA data_version` polled each 100 ms, which other connections'
commits raise. What changed is read from the notes; a bell that rings too often costs little.
"""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import re
import select
import threading
from collections.abc import Callable, Collection
from typing import Any

from django.db import connection, connections

from scheduling import migrations
from scheduling.database import DatabaseAway, one_line

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
"""Seconds between two looks at SQLite's data version."""
RETRY_SECONDS = 1.0
"""Seconds before a lost connection is tried again."""
CHANNEL = "newss"
KINDS = frozenset({"schedule", "run", "hold"})
"""What PostgreSQL's triggers say has changed; SQLite cannot tell, so there it may be any."""


class Bell(threading.Thread):
    """A thread that calls `ring(kinds)` soon after another connection has committed something."""

    def __init__(self, ring: Callable[[Collection[str]], None]) -> None:
        """Take what to call with the kinds of what may have changed (of `KINDS`)."""
        super().__init__(name="bell", daemon=True)
        self._ring = ring
        self._ended = threading.Event()
        self._wake_read, self._wake_write = os.pipe()

    def run(self) -> None:
        """Listen until `stop()`; a lost connection is made anew, and rings, since something may have been missed."""
        listen = self._listen_postgresql if connection.vendor == "postgresql" else self._watch_sqlite
        while not self._ended.is_set():
            try:
                own: Any = connections.create_connection("default")
                try:
                    listen(own)
                finally:
                    own.close()
            except (DatabaseAway, OSError) as error:
                logger.warning("Changes cannot be heard; trying again in %s s: %s", RETRY_SECONDS, one_line(error))
                self._ended.wait(RETRY_SECONDS)

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        os.write(self._wake_write, b"x")
        self.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _listen_postgresql(self, own: Any) -> None:
        own.ensure_connection()
        raw = own.connection
        raw.autocommit = True
        with own.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        self._ring(KINDS)
        while not self._ended.is_set():
            select.select([raw, self._wake_read], [], [])
            with own.wrap_database_errors:
                raw.poll()
            if raw.notifies:
                kinds = {notify.payload for notify in raw.notifies}
                raw.notifies.clear()
                self._ring(kinds)

    def _watch_sqlite(self, own: Any) -> None:
        known = -1
        with own.cursor() as cursor:
            while not self._ended.is_set():
                version = cursor.execute("PRAGMA data_version").fetchone()[0]
                if version != known:
                    known = version
                    self._ring(KINDS)
                self._ended.wait(POLL_SECONDS)


def missing_triggers() -> set[str]:
    """Return the triggers of the migrations that the database lacks or that were switched off there."""
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        present = {str(row[0]) for row in cursor.fetchall()}
    wanted = "\n".join(_statements())
    return set(re.findall(r"CREATE TRIGGER (\w+)", wanted)) - present


def create_triggers() -> None:
    """Create the triggers of the migrations that are missing, as after a restore of tables and data alone."""
    missing = missing_triggers()
    with connection.cursor() as cursor:
        for statement in _statements():
            names = set(re.findall(r"CREATE TRIGGER (\w+)", statement))
            if connection.vendor == "postgresql":
                cursor.execute(re.sub(r"CREATE (FUNCTION|TRIGGER)", r"CREATE OR REPLACE \1", statement))
            elif names & missing:
                cursor.execute(statement)


def _statements() -> list[str]:
    """Return the statements by which the migrations create triggers on this database (their `…_UP` constants)."""
    prefix = "POSTGRESQL" if connection.vendor == "postgresql" else "SQLITE"
    found: list[str] = []
    for module in pkgutil.iter_modules(migrations.__path__):
        for name, value in vars(importlib.import_module(f"{migrations.__name__}.{module.name}")).items():
            if name.startswith(prefix) and name.endswith("UP"):
                found += [value] if isinstance(value, str) else value
    return found
