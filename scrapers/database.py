"""The one thread of a run through which its async code reaches the database.

On PostgreSQL its commits do not wait for the disk: each is kept in its order, so that all are safe at the latest when
the end of the run is. A server that crashes meanwhile forgets the last instants as a whole, articles together with the
poll that brought them, and the next poll brings them again. A process that dies loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, models, transaction

TRIES = 3
"""How often a function is called whose transaction the database gave up for the sake of another's."""
#: The classes of PostgreSQL's errors: deadlocks, and what is beyond a limit of the server.
_ROLLED_BACK, _BEYOND_LIMITS = "40", "54"

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThread:
    """Runs functions that use the ORM, one after another, on one connection of its own."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="collect-database")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the thread and return its result.

        It is carried out even if the caller is cancelled meanwhile: half of a write helps nobody. After a deadlock it
        is called again, so it begins anew whenever it is called.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._executor, lambda: _call(function, *args, **kwargs)))

    async def close(self) -> None:
        """End the thread, when all it was given is done, and its connection."""
        await self.run(_close)
        self._executor.shutdown()


def update_rows(model: type[models.Model], rows: Mapping[Any, Mapping[str, Any]]) -> None:
    """Give rows, by their primary keys, values of their own for the same fields, all in one statement.

    Django's `bulk_update` takes more time for one field than an UPDATE of its own for each row. Rows are locked in the
    order of their keys, so that two processes never wait for one another.
    """
    if not rows:
        return
    meta = model._meta
    key = meta.pk
    assert key is not None
    fields = [meta.get_field(name) for name in next(iter(rows.values()))]
    # A list of values has no types of its own; a database that is strict about them is told those of the columns.
    strict = connection.features.requires_casted_case_in_updates
    sets = ", ".join(
        f'"{field.column}" = CAST(v.column{place} AS {field.cast_db_type(connection)})'  # type: ignore[union-attr]
        if strict
        else f'"{field.column}" = v.column{place}'  # type: ignore[union-attr]
        for place, field in enumerate(fields, 2)
    )
    places = ", ".join([f"({', '.join(['%s'] * (len(fields) + 1))})"] * len(rows))
    values: list[Any] = []
    for primary, row in sorted(rows.items()):
        values += [primary, *(field.get_db_prep_save(row[field.name], connection) for field in fields)]  # type: ignore[union-attr]
    with transaction.atomic():
        if connection.features.has_select_for_no_key_update:
            # As weak as the lock of an UPDATE: rows that refer to these may be inserted meanwhile.
            locked = model._base_manager.select_for_update(no_key=True).filter(pk__in=rows)
            list(locked.order_by("pk").values_list("pk"))
        with connection.cursor() as cursor:
            table = f'"{meta.db_table}"'
            cursor.execute(
                f'UPDATE {table} SET {sets} FROM (VALUES {places}) AS v WHERE {table}."{key.column}" = v.column1',
                values,
            )


def is_refusal(error: DatabaseError) -> bool:
    """Tell whether the database refuses what it was given, and would at each further try; else it does not answer."""
    # What is beyond PostgreSQL's limits is told as an error of operation.
    return not isinstance(error, OperationalError) or _state(error).startswith(_BEYOND_LIMITS)


def _call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    tries = TRIES
    while True:
        tries -= 1
        try:
            if connection.connection is None:
                _open()
            return function(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            if tries and _state(error).startswith(_ROLLED_BACK):
                # Another run wrote the same in another order, and was let go first.
                continue
            # The server may be gone; the next call then begins with a new connection.
            connection.close()
            raise


def _state(error: BaseException) -> str:
    """Return PostgreSQL's code of an error (SQLSTATE); empty where there is none."""
    return str(getattr(error.__cause__, "pgcode", None) or "")


def _open() -> None:
    connection.ensure_connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit TO off")


def _close() -> None:
    # Looked up in the thread: each has its own connection behind this name.
    connection.close()
