"""One active scheduler: the leader lock, and the epoch that each fire transaction compares with its own.

Any number of `runapscheduler` processes may start. With PostgreSQL a session advisory lock decides which one works,
with SQLite a lock on a file beside the database; the operating system or the server frees it when its holder dies.

The installation's identity stands here too, since it differs by database: a scheduler that finds itself on a copy of
the database that it belongs to does not lead.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from abc import ABC, abstractmethod
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling import conf
from scheduling.database import DatabaseAway, one_line
from scheduling.models import Installation, InstanceState, Leadership, SchedulerInstance

logger = logging.getLogger(__name__)

ADVISORY_KEY = 0x4E45575353
"""The key of the advisory lock ("NEWSS"); PostgreSQL keeps such locks apart by database."""


class LostLeadership(RuntimeError):
    """Another scheduler process has taken over."""


class CopiedDatabase(RuntimeError):
    """The database belongs to another installation; the message says to which, and how to adopt it."""


class LeaderLock(ABC):
    """A lock that at most one process of an installation holds."""

    @abstractmethod
    def acquire(self) -> bool:
        """Try to take the lock without waiting; return whether this process holds it."""

    @abstractmethod
    def is_held(self) -> bool:
        """Tell whether this process still holds the lock."""

    @abstractmethod
    def release(self) -> None:
        """Give the lock back; does nothing when it is not held."""

    @abstractmethod
    def break_off(self) -> None:
        """Take the lock from whoever holds it, since it has gone silent (stopped, hung, on a host that is cut off).

        When it wakes up it finds the lock gone, and the epoch raised: it can neither fire nor claim.
        """


class AdvisoryLock(LeaderLock):
    """A session advisory lock of PostgreSQL on a connection of its own; it ends with that connection."""

    def __init__(self) -> None:
        self._connection: Any = None

    def acquire(self) -> bool:
        """Try to take the lock without waiting; raises `DatabaseError` when the server does not answer."""
        if self._connection is None:
            self._connection = connections.create_connection("default")
            # The main thread takes the lock, the heartbeat's thread looks after it; psycopg2's connections allow that.
            self._connection.inc_thread_sharing()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_KEY])
                return bool(cursor.fetchone()[0])
        except DatabaseAway:
            self._drop()
            raise

    def is_held(self) -> bool:
        """Ask the server over the lock's own connection; without that connection the lock is gone."""
        if self._connection is None:
            return False
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(
                    "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                    " AND ((classid::bigint << 32) | objid::bigint) = %s)",
                    [ADVISORY_KEY],
                )
                return bool(cursor.fetchone()[0])
        except DatabaseAway as error:
            logger.warning("The connection that holds the leader lock is gone: %s", one_line(error))
            self._drop()
            return False

    def release(self) -> None:
        """Give the lock back by closing its connection."""
        self._drop()

    def break_off(self) -> None:
        """End the connection that holds the lock, and those that a leader left open in mid-transaction."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                " JOIN pg_database ON pg_database.oid = database AND datname = current_database()"
                " WHERE pid <> pg_backend_pid() AND granted AND ("
                "  (locktype = 'advisory' AND ((classid::bigint << 32) | objid::bigint) = %s)"
                # Each fire and claim reads the epoch with FOR SHARE: a stopped one would hold up the take-over.
                "  OR (relation = 'scheduling_leadership'::regclass AND mode = 'RowShareLock'))",
                [ADVISORY_KEY],
            )

    def _drop(self) -> None:
        broken, self._connection = self._connection, None
        if broken is not None:
            try:
                broken.close()
            except DatabaseAway as error:
                logger.debug("Closing the leader lock's connection: %s", one_line(error))


class FileLock(LeaderLock):
    """A lock on a file beside the SQLite database; it ends with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Try to take the lock without waiting."""
        if self._file is not None:
            return True
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def is_held(self) -> bool:
        """Tell whether the locked file is still the one at its path (it may have been deleted and made anew)."""
        if self._file is None:
            return False
        try:
            return os.fstat(self._file.fileno()).st_ino == self._path.stat().st_ino
        except FileNotFoundError:
            return False

    def break_off(self) -> None:
        """Remove the file, so that the next one to be locked is another."""
        self._path.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Silence:
    """How long the leader has been silent, by this process's own clock, since those of two hosts may differ.

    Silence only counts while this process's own heartbeat comes through: a database that stands still, or a long write
    on SQLite, keeps everybody's back and says nothing about the leader.
    """

    def __init__(self) -> None:
        self._heard: tuple[int, datetime] | None = None
        self._since = time.monotonic()

    def seconds(self, beaten_at: float) -> float:
        """Return the seconds since the active process's heartbeat was seen to change; 0 when there is no such one.

        `beaten_at` is when this process's own heartbeat was last written, by `time.monotonic()`.
        """
        heard = SchedulerInstance.objects.active().values_list("pk", "heartbeat_at").first()
        is_deaf = time.monotonic() - beaten_at > 2 * conf.heartbeat_seconds()
        if heard is None or heard != self._heard or is_deaf:
            self._heard, self._since = heard, time.monotonic()
        return time.monotonic() - self._since


def leader_lock() -> LeaderLock:
    """Return the lock that fits the database."""
    if connection.vendor == "postgresql":
        return AdvisoryLock()
    name = str(connection.settings_dict["NAME"])
    return FileLock(Path(name).with_name(Path(name).name + "-leader.lock"))


def lock_is_taken() -> bool:
    """Tell whether any process holds the leader lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                " WHERE locktype = 'advisory' AND granted AND datname = current_database()"
                " AND ((classid::bigint << 32) | objid::bigint) = %s)",
                [ADVISORY_KEY],
            )
            return bool(cursor.fetchone()[0])
    probe = leader_lock()
    taken = not probe.acquire()
    probe.release()
    return taken


def server_time() -> datetime:
    """Return the clock of the database server, which for SQLite is this machine's."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            moment: datetime = cursor.fetchone()[0]
            return moment
    return timezone.now()


def identity() -> str:
    """Return by what this database is known: it changes when the database is copied, never when only its host does.

    PostgreSQL: the cluster's system identifier and the database's name; a dump restored elsewhere has another one.
    Where the database's user may not read that (some hosters forbid it), the object ids of the database and of our
    table: a restored dump gives others. SQLite: the file's real path.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT has_function_privilege('pg_catalog.pg_control_system()', 'execute')")
            if cursor.fetchone()[0]:
                cursor.execute("SELECT system_identifier, current_database() FROM pg_control_system()")
                system, name = cursor.fetchone()
                return f"postgresql:{system}/{name}"
            cursor.execute(
                "SELECT oid, 'scheduling_installation'::regclass::oid, datname FROM pg_database"
                " WHERE datname = current_database()"
            )
            database, table, name = cursor.fetchone()
        return f"postgresql:{database}.{table}/{name}"
    return f"sqlite:{Path(str(connection.settings_dict['NAME'])).resolve()}"


def why_copied() -> str:
    """Return in a sentence why this process may not lead on this database, and how to adopt it; empty if it may.

    A database without an installation yet belongs to the first process that leads on it.
    """
    known = Installation.objects.filter(pk=Installation.SINGLETON).first()
    if known is None:
        return ""
    here = Installation(environment=settings.NEWSS_ENVIRONMENT, identity=identity())
    if (known.environment, known.identity) == (here.environment, here.identity):
        return ""
    return _(
        "This database belongs to another installation: it is known as %(known)s, and this is %(here)s. Nothing is "
        "fired here. If it was copied, that is as it should be; if it was moved or renamed for good, and no scheduler "
        "works on the old one any more, adopt it: python manage.py runapscheduler --adopt"
    ) % {"known": known, "here": here}


def adopt() -> Installation:
    """Make this database the installation of this environment; the caller holds the leader lock.

    Scheduler processes that have gone silent belong to where it was copied from: they count as ended, so that what they
    ran is found lost even if their process lives on there, on this same host.
    """
    now = timezone.now()
    with transaction.atomic():
        SchedulerInstance.objects.stale(now).update(
            state=InstanceState.STOPPED, ended_at=now, note=_("Ended here when the database was adopted.")
        )
        adopted, _new = Installation.objects.update_or_create(
            pk=Installation.SINGLETON,
            defaults={"environment": settings.NEWSS_ENVIRONMENT, "identity": identity(), "adopted_at": now},
        )
    return adopted


def take_over(instance: SchedulerInstance) -> int:
    """Make this process the active one and return the new epoch; the caller holds the lock.

    1. A database that belongs to another installation is refused with `CopiedDatabase`; one without any is adopted.
    2. Whoever was active before is not any more; its silence is not this process's to judge.
    3. The epoch rises, so that no transaction of an earlier leader can commit a fire from here on.
    """
    now = timezone.now()
    with transaction.atomic():
        if why := why_copied():
            raise CopiedDatabase(why)
        if not Installation.objects.exists():
            adopt()
        Leadership.objects.get_or_create(pk=Leadership.SINGLETON)
        SchedulerInstance.objects.active().exclude(pk=instance.pk).update(state=InstanceState.LOST, ended_at=now)
        Leadership.objects.filter(pk=Leadership.SINGLETON).update(epoch=F("epoch") + 1, instance=instance)
        epoch = Leadership.objects.values_list("epoch", flat=True).get(pk=Leadership.SINGLETON)
        SchedulerInstance.objects.filter(pk=instance.pk).update(
            state=InstanceState.ACTIVE, epoch=epoch, heartbeat_at=now, ended_at=None, note=""
        )
    return epoch


def check_epoch(epoch: int) -> None:
    """Raise `LostLeadership` unless `epoch` is current, and keep it so until the transaction at hand ends."""
    share = " FOR SHARE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT epoch FROM scheduling_leadership WHERE id = %s{share}", [Leadership.SINGLETON])
        row = cursor.fetchone()
    if row is None or row[0] != epoch:
        raise LostLeadership(f"this process led epoch {epoch}, the database is at {row and row[0]}")
