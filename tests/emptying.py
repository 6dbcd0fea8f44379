"""Emptying the database after a test that commits: only the tables that hold rows, in a few milliseconds.

Django's own way flushes every table and makes content types, permissions and groups anew: 40 to 150 ms for each such
test, of which there are hundreds. What `migrate` left stays as it is here, as long as a test did not change it.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError, connection, models, transaction
from django.test import TransactionTestCase

MADE_BY_MIGRATE: tuple[type[models.Model], ...] = (ContentType, Permission, Group, Group.permissions.through)
ROUNDS = 3
"""How often what triggers wrote while rows were deleted is deleted in its turn, before Django's own way is taken."""


def made_by_migrate() -> list[list[tuple[Any, ...]]]:
    """Return what the tables hold that `migrate` fills."""
    return [list(model._default_manager.order_by("pk").values_list()) for model in MADE_BY_MIGRATE]


class Emptying:
    """Takes the place of `TransactionTestCase._fixture_teardown`."""

    def __init__(self) -> None:
        self._made = made_by_migrate()
        kept = {model._meta.db_table for model in MADE_BY_MIGRATE}
        found = connection.introspection.django_table_names(only_existing=True, include_views=False)
        self._tables = sorted(set(found) - kept)
        self._flush = TransactionTestCase._fixture_teardown

    def after(self, case: TransactionTestCase) -> None:
        """Delete what a test left behind."""
        plain = case.available_apps is None and not case.serialized_rollback
        if not (plain and self._delete_rows() and made_by_migrate() == self._made):
            self._flush(case)
            self._made = made_by_migrate()

    def _delete_rows(self) -> bool:
        """Delete all rows but those that `migrate` made; tell whether it could be done."""
        try:
            for _ in range(ROUNDS):
                if not (used := self._used()):
                    return True
                with transaction.atomic(), connection.cursor() as cursor:
                    for table in used:
                        cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
        except DatabaseError:
            # A test may have left the database in a state in which that does not go; then as Django does it.
            connection.close()
        return False

    def _used(self) -> list[str]:
        """Return the tables that hold rows."""
        looks = (
            f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {connection.ops.quote_name(table)})"
            for table in self._tables
        )
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(looks))
            return [table for (table,) in cursor.fetchall()]
