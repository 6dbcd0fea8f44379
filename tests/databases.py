"""One migration for all workers of a run: the first that needs a database migrates it, the others copy what it made.

Migrating takes a processor five seconds, copying some hundredths of one.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection


def migrate_once(notes: Path, worker: str, workers: int) -> None:
    """Let the database of this worker, one of so many, be made so; `notes` is a file of this run of the suite.

    What is copied is a database that no test works on. Who takes the last copy removes it; a worker that comes later,
    for one that crashed, migrates. (Where a worker had no test that needs one, it stays until the next run.)
    """
    migrate = connection.creation.create_test_db

    def create(**options: Any) -> str:
        with notes.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            source, *users = file.read().split() or [""]
            if not source:
                name = str(migrate(**options))
                source = _copy(name, "migrated")
                file.write(f"{source} {worker}")
            elif len(users) < workers:
                name = _copy(source, worker)
                file.write(f" {worker}")
            else:
                return str(migrate(**options))
            if len(users) + 1 == workers:
                connection.creation._destroy_test_db(source, verbosity=0)
        _use(name)
        return name

    connection.creation.create_test_db = create


def _copy(source: str, suffix: str) -> str:
    """Copy a database; return the name of the copy."""
    _use(source)
    connection.creation.clone_test_db(suffix, verbosity=0)
    return str(connection.creation.get_test_db_clone_settings(suffix)["NAME"])


def _use(name: str) -> None:
    """Let the connections of this process be to a database."""
    connection.close()
    settings.DATABASES[connection.alias]["NAME"] = connection.settings_dict["NAME"] = name
