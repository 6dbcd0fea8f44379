"""Types of fields that the API's bodies share."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any

from django.utils.translation import gettext as _
from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

Positive = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
"""A whole number from 1."""
Natural = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
"""A whole number from 0."""
RowId = Annotated[int, Field(ge=1, le=2**63 - 1)]
"""The number of a row in an address."""


def _id_or_name(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError(_("Give a number or a name."))
    return value


IdOrName = Annotated[
    int | str,
    PlainValidator(_id_or_name),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]}),
]
"""How a row is named in a body: by its number or by its name."""


def _without_zone(at: time) -> time:
    if at.tzinfo is not None:
        raise ValueError(_("Give a time of day like 06:30 as text, without an offset: it is in the trigger's zone."))
    return at


TimeOfDay = Annotated[time, AfterValidator(_without_zone)]
"""A time of day in a zone that is told elsewhere."""
RequestKey = Annotated[
    str, Field(min_length=1, max_length=64, description="Chosen by the asking side; the same key twice is one run.")
]
