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
    import psycopg2

    own = psycopg2.connect(server.replace("/newss?", "/postgres?"))
    own.autocommit = True
    with own.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    own.close()
    return server.replace("/newss?", f"/{name}?")
