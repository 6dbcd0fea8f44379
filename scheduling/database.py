"""The database itself: what to catch when it is away and how to tell it in a line, what it can do, and what it is not
fit for as it is set up."""

from __future__ import annotations

from pathlib import Path

import psutil
from django.conf import settings
from django.db import DataError, Error, IntegrityError, connection
from django.utils.translation import gettext as _

DatabaseAway = Error
"""The base of Django's `DatabaseError` and `InterfaceError`: a connection may fail with either."""
Refused = (DataError, IntegrityError)
"""Those of them that the same statement mostly meets again: its values are what is wrong."""
REFUSALS = 3
"""After so many of these a statement is given up; the first may have been due to what another transaction wrote."""
OLDEST_POSTGRESQL = 14
"""The oldest major version of PostgreSQL that still gets fixes."""
TIMEOUTS = ("statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout")
"""Settings of PostgreSQL by which the server ends a statement, a transaction or a connection."""
LEAST_TIMEOUT_MS = 4_999
"""Milliseconds that are too few for them; 0 is none."""
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs"}
"""File systems on which SQLite warns of broken locks; see https://www.sqlite.org/faq.html#q5"""


def one_line(error: Exception) -> str:
    """Return an error's message in one line; PostgreSQL's have several."""
    return " ".join(str(error).split())


def has_procedures() -> bool:
    """Tell whether this database has stored procedures."""
    return connection.vendor == "postgresql"


def folder() -> Path | None:
    """Return the folder that an SQLite database lies in; None for a server's."""
    return None if connection.vendor == "postgresql" else Path(str(connection.settings_dict["NAME"])).parent


def complaints() -> list[tuple[str, str]]:
    """Return what this database, as it is set up, is not fit for: (what, what to do)."""
    return _complaints_postgresql() if connection.vendor == "postgresql" else _complaints_sqlite()


def _complaints_postgresql() -> list[tuple[str, str]]:
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
        )
        version, connections = cursor.fetchone()
        cursor.execute(
            "SELECT name, setting || ' ms' FROM pg_settings WHERE name = ANY(%s) AND setting::int BETWEEN 1 AND %s",
            [list(TIMEOUTS), LEAST_TIMEOUT_MS],
        )
        short = cursor.fetchall()
    if version < OLDEST_POSTGRESQL * 10_000:
        found.append(
            (
                _("The PostgreSQL server is of version %(version)d.") % {"version": version // 10_000},
                _("Upgrade it: what NEWSS does is tested on current versions, %(oldest)d at least.")
                % {"oldest": OLDEST_POSTGRESQL},
            )
        )
    if short:
        found.append(
            (
                _("The server ends what takes a moment: %(settings)s.")
                % {"settings": ", ".join(" = ".join(one) for one in short)},
                _("Raise it for this user (ALTER ROLE … SET …): to start with thousands of schedules takes seconds."),
            )
        )
    # A run in a child process or thread has a connection and one more for its log; the scheduler itself has six.
    needed = 2 * (settings.NEWSS_EXECUTOR_PROCESSES + settings.NEWSS_EXECUTOR_THREADS) + 6
    if needed > connections:
        found.append(
            (
                _("The scheduler may need %(needed)d connections; the server allows %(allowed)d in all.")
                % {"needed": needed, "allowed": connections},
                _("Raise max_connections, or lower NEWSS_EXECUTOR_PROCESSES and NEWSS_EXECUTOR_THREADS."),
            )
        )
    return found


def _complaints_sqlite() -> list[tuple[str, str]]:
    found = []
    with connection.cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        found.append(
            (
                _("The SQLite file is in journal mode “%(mode)s”: readers and writers block each other.")
                % {"mode": mode},
                _("Put it on a local file system and let NEWSS open it once; it then sets WAL."),
            )
        )
    path = Path(str(connection.settings_dict["NAME"])).resolve()
    mounts = [disk for disk in psutil.disk_partitions(all=True) if path.is_relative_to(disk.mountpoint)]
    if mounts and (mount := max(mounts, key=lambda disk: len(disk.mountpoint))).fstype in NETWORK_FILE_SYSTEMS:
        found.append(
            (
                _("The SQLite file lies on a network file system (%(kind)s), where its locks cannot be relied on.")
                % {"kind": mount.fstype},
                _("Put it on a local disk, or use PostgreSQL."),
            )
        )
    return found
