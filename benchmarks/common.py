"""What the benchmarks share: the machine in words, and empty databases."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime


def machine() -> str:
    """Return what a table was measured on."""
    python = f"Python {platform.python_version()}"
    return f"{python}, {os.cpu_count()} cores, {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}"


def create_database(server: str, name: str) -> str:
    """Create an empty database on a server (an address as `tests.postgres.server` yields it); return its address."""
    _execute(server, f"CREATE DATABASE {name}")
    return server.replace("/newss?", f"/{name}?")


def drop_database(server: str, name: str) -> None:
    """Drop a database, with what is yet to be written or tidied up of it: no later measure bears that."""
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    _execute(server, "CHECKPOINT")


def _execute(server: str, statement: str) -> None:
    import psycopg2

    own = psycopg2.connect(server.replace("/newss?", "/postgres?"))
    own.autocommit = True
    with own.cursor() as cursor:
        cursor.execute(statement)
    own.close()
