"""The one thread of a run through which its async code reaches the database.

On PostgreSQL its commits do not wait for the disk: each is kept in its order, so that all are safe at the latest when
the end of the run is. A server that crashes meanwhile forgets the last instants as a whole, articles together with the
poll that brought them, and the next poll brings them again. A process that dies loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThread:
    """Runs functions that use the ORM, one after another, on one connection of its own."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="collect-database")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the thread and return its result.

        It is carried out even if the caller is cancelled meanwhile: half of a write helps nobody.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._executor, lambda: _call(function, *args, **kwargs)))

    async def close(self) -> None:
        """End the thread, when all it was given is done, and its connection."""
        await self.run(_close)
        self._executor.shutdown()


def _call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        if connection.connection is None:
            _open()
        return function(*args, **kwargs)
    except (OperationalError, InterfaceError):
        # The server may be gone; the next call then begins with a new connection.
        connection.close()
        raise


def _open() -> None:
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit TO off")


def _close() -> None:
    # Looked up in the thread: each has its own connection behind this name.
    connection.close()
