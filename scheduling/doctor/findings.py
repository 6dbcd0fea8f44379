"""What a finding is, and the round of examinations that yields them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from scheduling.database import DatabaseAway, one_line

logger = logging.getLogger(__name__)


class Severity(StrEnum):
    """How bad a finding is."""

    #: Something does not work; the command's exit code says so.
    ERROR = "error"
    #: It works, but will not for long, or not as one would expect.
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a stable id, what it is, and what to do."""

    id: str
    severity: Severity
    what: str
    remedy: str


Examination = Callable[[datetime], Iterator[Finding]]
_examinations: list[Examination] = []


def examination(function: Examination) -> Examination:
    """Register a generator of findings; it is called as `function(now)`."""
    _examinations.append(function)
    return function


def error(id_: str, what: str, remedy: str) -> Finding:
    """Return a finding of something that does not work."""
    return Finding(id_, Severity.ERROR, what, remedy)


def warning(id_: str, what: str, remedy: str) -> Finding:
    """Return a finding of something that deserves a look."""
    return Finding(id_, Severity.WARNING, what, remedy)


def examine(now: datetime | None = None) -> list[Finding]:
    """Make every examination and return what was found, errors first; one that fails is itself a finding.

    A database that cannot be reached or lacks tables is the only finding then: every other would follow from it.
    """
    from scheduling.doctor import database, machine, processes, schedules

    assert all((database, machine, processes, schedules))  # importing them registers their examinations
    now = now or timezone.now()
    if away := list(database.reachable(now)):
        return away
    found: list[Finding] = []
    for function in _examinations:
        try:
            found += function(now)
        except Exception as failure:
            logger.exception("The examination “%s” failed.", function.__name__)
            if isinstance(failure, DatabaseAway):
                connection.close()
            found.append(
                error(
                    "doctor.E000",
                    _("The examination “%(name)s” failed: %(error)s")
                    % {"name": function.__name__, "error": one_line(failure)},
                    _("The log has the traceback; please report it."),
                )
            )
    return sorted(found, key=lambda finding: (finding.severity != Severity.ERROR, finding.id))
