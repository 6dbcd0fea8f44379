"""What a job has logged and the database does not have yet, in a file that outlives the job's process.

A child process that is killed, or crashes, takes the log lines of its last half second along, which are those that
people look for. So each line also goes to a file without a name, open in the child and in its scheduler; what stands in
it at the child's end, the scheduler writes to the database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime

from scheduling.models import RunLog

Entry = tuple[datetime, int, str]
"""Time, level as in `logging`, message."""


class Spool:
    """Lines in an open file, known by its descriptor; one process writes, another reads once that one has ended."""

    def __init__(self, descriptor: int) -> None:
        """Take the descriptor of an empty file that is open for reading and writing."""
        self._descriptor = descriptor

    def append(self, entry: Entry) -> None:
        """Add a line; it then survives this process."""
        os.write(self._descriptor, _dump(entry))

    def replace(self, entries: Iterable[Entry]) -> None:
        """Keep only these lines; called when all others stand in the database."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, b"".join(map(_dump, entries)))

    def entries(self) -> list[Entry]:
        """Return the lines; one that its writer had not completed is left out."""
        data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        whole = data[: data.rfind(b"\n") + 1]
        return [(datetime.fromisoformat(at), level, text) for at, level, text in map(json.loads, whole.splitlines())]

    def missing(self, run_id: int) -> list[RunLog]:
        """Return unsaved log lines of a run that stand here and not in the database."""
        entries = self.entries()
        if not entries:
            return []
        known = set(RunLog.objects.filter(run=run_id, at__gte=entries[0][0]).values_list("at", "level", "message"))
        return RunLog.lines(run_id, [entry for entry in entries if entry not in known])


def _dump(entry: Entry) -> bytes:
    at, level, message = entry
    return json.dumps([at.isoformat(), level, message]).encode() + b"\n"
