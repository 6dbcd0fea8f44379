"""From a request's body to plain data that any database and any JSON field can hold."""

from __future__ import annotations

import json
import math
from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.parser import Parser

DEEPEST = 20
"""Levels of nesting that a body may have."""
LARGEST = 2**63 - 1
"""The largest whole number that both databases can hold."""


class StrictParser(Parser):
    """Ninja's parser, which refuses what Python's JSON takes but a database does not (NUL, infinity, 10**30)."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body's data; raises `BadRequest` with the reason."""
        return parse(request.body)


def parse(body: bytes | str) -> Any:
    """Return the data of a JSON text; raises `BadRequest` with the reason when it is none, or cannot be stored."""
    try:
        data = json.loads(body, parse_constant=_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest(_("The body is not JSON: %(error)s") % {"error": error}) from error
    _check(data, DEEPEST)
    return data


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadRequest(_("A number in the body is not finite: %(number)s") % {"number": text})
    return number


def _check(data: Any, levels: int) -> None:
    if levels < 0:
        raise BadRequest(_("The body is nested more than %(levels)d levels deep.") % {"levels": DEEPEST})
    match data:
        case str():
            _check_text(data)
        case int() if abs(data) > LARGEST:
            raise BadRequest(_("A number in the body has more than 64 bits."))
        case list():
            for item in data:
                _check(item, levels - 1)
        case dict():
            for key, item in data.items():
                _check_text(key)
                _check(item, levels - 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise BadRequest(_("A text in the body holds a NUL character."))
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRequest(_("A text in the body holds half a surrogate pair."))
