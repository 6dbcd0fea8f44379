"""One index less to write for each run on PostgreSQL: nobody looks for request keys by LIKE."""

from collections.abc import Callable
from typing import Any

from django.db import migrations

NAME = "scheduling_run_request_key_729977df_like"
"""The index that Django makes on PostgreSQL for a unique field of text."""


def execute(statement: str) -> Callable[[Any, Any], None]:
    """Return a function that executes a statement on PostgreSQL alone."""

    def run(_apps: Any, editor: Any) -> None:
        if editor.connection.vendor == "postgresql":
            editor.execute(statement)

    return run


class Migration(migrations.Migration):
    """Drop the index; undone, make it again."""

    dependencies = [("scheduling", "0003_lean_run_indexes")]

    operations = [
        migrations.RunPython(
            execute(f"DROP INDEX IF EXISTS {NAME}"),
            execute(f"CREATE INDEX IF NOT EXISTS {NAME} ON scheduling_run (request_key varchar_pattern_ops)"),
        )
    ]
