"""The one shape of every error of the API and of the views that answer in JSON: `{"detail": …, "errors": {…}}`.

An exception becomes an answer here and nowhere else; what is not foreseen is logged with its traceback and answered
by a 500 that holds none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import ninja.errors
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from ninja import NinjaAPI, Schema
from pydantic import Field

from scheduling.models import TriggerKind

logger = logging.getLogger(__name__)

WHOLE = "body"
"""The key of an error that belongs to no field."""


class Problem(Schema):
    """What every error answers."""

    detail: str = Field(description="What is wrong, in a sentence.")
    errors: dict[str, list[str]] = Field(
        description="The messages by field, such as `trigger.crontab`; empty where no field is at fault."
    )


class Conflict(Exception):
    """It cannot be done to the thing as it is now; the message says why."""


ERRORS: dict[int, type[Schema]] = dict.fromkeys((400, 401, 403, 422), Problem)
"""The errors that any endpoint with a body may answer, for the OpenAPI document."""
READ_ERRORS: dict[int, type[Schema]] = dict.fromkeys((401, 403, 422), Problem)
"""The same for an endpoint that only reads."""


def problem(status: int, detail: str = "", errors: Mapping[str, list[str]] | None = None) -> JsonResponse:
    """Return an error in its one shape; without a detail, HTTP's own words for the status stand in."""
    return JsonResponse(
        {"detail": detail or f"{HTTPStatus(status).phrase}.", "errors": dict(errors or {})}, status=status
    )


def to_response(error: Exception) -> JsonResponse | None:
    """Return the answer to an exception, None for one that nobody foresaw."""
    match error:
        case ninja.errors.ValidationError():
            return _refused(_located(error.errors))
        case ValidationError():
            return _refused(by_field(error))
        case ninja.errors.AuthenticationError():
            return problem(401, _("Log in first; this needs a session of the admin."))
        case ninja.errors.HttpError():
            cause = error.__cause__
            return problem(error.status_code, str(cause) if isinstance(cause, BadRequest) else str(error))
        case PermissionDenied():
            return problem(403, str(error))
        case Http404():
            return problem(404, str(error) or _("There is nothing here."))
        case Conflict():
            return problem(409, str(error))
        case RequestDataTooBig():
            return problem(413, _("The body is too large."))
        case SuspiciousOperation() | BadRequest():
            return problem(400, str(error))
        case OperationalError() | InterfaceError():
            logger.error("The database could not be used for a request: %s", error)
            return problem(503, _("The database cannot be used at the moment; try again later."))
    return None


def install(api: NinjaAPI) -> None:
    """Make an API answer every exception in the one shape."""

    def answer(request: HttpRequest, error: Any) -> HttpResponse:
        response = to_response(error)
        if response is None:
            logger.error("%s %s failed.", request.method, request.path, exc_info=error)
            response = problem(500, _("Something went wrong here; the server's log tells what."))
        return response

    for kind in (Exception, Http404, ninja.errors.HttpError, ninja.errors.ValidationError):
        api.add_exception_handler(kind, answer)


def by_field(error: ValidationError, prefix: str = "") -> dict[str, list[str]]:
    """Return the messages of Django's error by field, each field behind a prefix."""
    if not hasattr(error, "error_dict"):
        return {prefix.rstrip(".") or WHOLE: error.messages}
    return {
        (prefix.rstrip(".") or WHOLE) if field == NON_FIELD_ERRORS else f"{prefix}{field}": messages
        for field, messages in error.message_dict.items()
    }


def _refused(errors: dict[str, list[str]]) -> JsonResponse:
    number = len(errors)
    detail = ngettext(
        "A value cannot be accepted: %(fields)s.", "%(number)d values cannot be accepted: %(fields)s.", number
    ) % {"number": number, "fields": ", ".join(errors)}
    return problem(422, detail, errors)


def _located(found: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return pydantic's errors by the path that the asking side wrote."""
    errors: dict[str, list[str]] = {}
    for one in found:
        errors.setdefault(_path(one["loc"]), []).append(_words(one))
    return errors


def _path(location: Iterable[Any]) -> str:
    """Return a location without what only our code knows: where it was read, the argument's name, a union's tag."""
    where, *rest = [str(part) for part in location]
    parts = rest[1:] if where == "body" else rest
    if len(parts) > 1 and parts[0] == "trigger" and parts[1] in TriggerKind.values:
        del parts[1]
    return ".".join(parts) or WHOLE


def _words(one: Mapping[str, Any]) -> str:
    if one["type"] == "extra_forbidden":
        return _("Unknown key.")
    if one["type"] == "missing":
        return _("This is missing.")
    return str(one["msg"]).removeprefix("Value error, ")
