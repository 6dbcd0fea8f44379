"""The job `call_procedure`: heavy work that the database does itself, by a stored procedure of PostgreSQL.

Only what the installation names in `NEWSS_PROCEDURES` can be called; arguments are handed over as parameters, never as
text of the statement. On SQLite there are no procedures, and the form says so.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import Error, connections
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduling.database import has_procedures, one_line
from scheduling.jobs.context import RunContext
from scheduling.jobs.forms import JobForm
from scheduling.jobs.registry import JobError, JobResult, job

POLL_SECONDS = 0.2
"""Seconds between two looks whether the run was asked to stop."""
CONNECTION_CHECK = "2s"
"""How often the server looks whether the caller still lives: the procedure of a run that was killed ends with it."""
MOST_ARGUMENTS = 50
UNDEFINED = "42883"
"""PostgreSQL's code for a function or procedure that does not exist with such arguments."""


def why_not(procedure: str) -> str:
    """Return in a sentence why a procedure cannot be called in this installation; empty if it may."""
    if not has_procedures():
        return _("SQLite has no stored procedures; this job needs PostgreSQL.")
    if procedure not in settings.NEWSS_PROCEDURES:
        known = ", ".join(settings.NEWSS_PROCEDURES) or "–"
        return _("The procedure “%(name)s” is not allowed in this installation; NEWSS_PROCEDURES allows: %(known)s") % {
            "name": procedure,
            "known": known,
        }
    return ""


class ProcedureForm(JobForm):
    """The parameters of `call_procedure`."""

    procedure = forms.CharField(
        label=gettext_lazy("procedure"), help_text=gettext_lazy("Its name, with the schema where it needs one.")
    )
    arguments = forms.JSONField(
        label=gettext_lazy("arguments"),
        required=False,
        initial=[],
        help_text=gettext_lazy(
            "A JSON list in the order of its parameters; lists and objects are handed over as JSON."
        ),
    )

    def clean_procedure(self) -> str:
        """Refuse what the installation does not name."""
        procedure = str(self.cleaned_data["procedure"])
        if why := why_not(procedure):
            raise ValidationError(why)
        return procedure

    def clean_arguments(self) -> list[Any]:
        """Refuse anything but a short list."""
        given = self.cleaned_data["arguments"] or []
        if not isinstance(given, list) or len(given) > MOST_ARGUMENTS:
            raise ValidationError(_("Give a JSON list of at most %(most)d values.") % {"most": MOST_ARGUMENTS})
        return given


def describe(parameters: dict[str, Any]) -> str:
    """Return in words what would be called."""
    arguments = ", ".join(json.dumps(value, ensure_ascii=False) for value in parameters.get("arguments") or [])
    return f"{parameters.get('procedure', '')}({arguments})"


@job("call_procedure", label=gettext_lazy("Call a stored procedure"), form=ProcedureForm, describe=describe)
def call_procedure(context: RunContext, *, procedure: str, arguments: list[Any]) -> JobResult:
    """Call a procedure and wait for its end.

    1. It has a connection of its own, outside any transaction, so that it may commit as it goes.
    2. What it raises as a notice becomes a log line; the values that it gives back become the run's summary.
    3. When the run is asked to stop, the server is asked to cancel the call. When the run is killed, the server
       notices that nobody is there any more.
    """
    if why := why_not(procedure):
        raise JobError(why, retry=False)
    own: Any = connections.create_connection("default")
    own.inc_thread_sharing()
    done = threading.Event()
    try:
        own.ensure_connection()
        own.connection.notices = _Notices(context)
        names = ".".join(own.ops.quote_name(part) for part in procedure.split("."))
        places = ", ".join(["%s"] * len(arguments))
        values = [json.dumps(value) if isinstance(value, list | dict) else value for value in arguments]
        watch = threading.Thread(target=_cancel_when_asked, args=(context, own.connection, done), daemon=True)
        with own.cursor() as cursor:
            cursor.execute("SELECT set_config('client_connection_check_interval', %s, false)", [CONNECTION_CHECK])
            watch.start()
            cursor.execute(f"CALL {names}({places})", values)
            row = cursor.fetchone() if cursor.description else None
            columns = [column.name for column in cursor.description or []]
    except Error as error:
        context.check_cancelled()
        is_unknown = getattr(error.__cause__, "pgcode", None) == UNDEFINED
        raise JobError(
            _("The procedure failed: %(error)s") % {"error": one_line(error)}, retry=not is_unknown
        ) from error
    finally:
        done.set()
        own.close()
    given_back = dict(zip(columns, map(_plain, row), strict=True)) if row else {}
    return JobResult(_("%(call)s ended.") % {"call": f"{procedure}()"}, summary=given_back)


class _Notices:
    """Takes psycopg2's notices (an object with `append` is all that it asks for) and logs them."""

    def __init__(self, context: RunContext) -> None:
        self._context = context

    def append(self, notice: str) -> None:
        """Log one notice, e.g. "NOTICE:  42 rows"."""
        self._context.log(notice.strip())


def _cancel_when_asked(context: RunContext, raw: Any, done: threading.Event) -> None:
    """Ask the server to cancel the call once the run is asked to stop, again until it has ended."""
    while not done.wait(POLL_SECONDS):
        if context.cancelled and not raw.closed:
            raw.cancel()


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
