"""What jobs report, and what servers wrote, as both databases take it; knows no models, so everybody may use it.

A job may report anything: a mean of nothing (NaN), what a page or a program printed (NUL), a count that is an object. A
statement that the database refuses is refused again however often it is tried, and takes along whatever else it writes.
"""

from __future__ import annotations

import math
from typing import Any

MOST = 2**31 - 1
"""The largest number that a run's progress can be."""


def storable_text(value: object) -> str:
    """Return a text without what a database refuses: NUL becomes U+FFFD, half of a surrogate pair a question mark."""
    return str(value).replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def storable_json(value: Any) -> Any:
    """Return a value as JSON that a database takes: numbers that are not finite become null, what JSON lacks becomes
    text."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {storable_text(key): storable_json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable_json(one) for one in value]
    return storable_text(value)


def storable_progress(value: float) -> int:
    """Return a number as a run's progress can be: whole, neither negative nor too large."""
    return min(max(0, int(value)), MOST)


def error_words(error: BaseException) -> str:
    """Return the kind of an error and what it says, also of one that cannot tell."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}: ?"
