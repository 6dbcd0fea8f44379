"""Patterns that people write: regular expressions in linear time (RE2), so that none can hang a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import re2
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MAX_LENGTH = 500
MAX_MEMORY = 8 * 2**20
"""Bytes that one compiled pattern may take."""


def validate_patterns(patterns: Iterable[str]) -> None:
    """Accept patterns that RE2 takes; raises `ValidationError` that names the first that it does not."""
    for pattern in patterns:
        if len(pattern) > MAX_LENGTH:
            raise ValidationError(_("A pattern has at most %d characters.") % MAX_LENGTH)
        try:
            _compiled(pattern)
        except re2.error as error:
            why = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
            raise ValidationError(
                _("“%(pattern)s” is no pattern (look-around and back references are not there): %(why)s")
                % {"pattern": pattern, "why": why}
            ) from error


def first_found(patterns: Sequence[str], *texts: str) -> str:
    """Return the first pattern that is found in any of the texts, whatever its case, or an empty string."""
    return next((pattern for pattern in patterns if any(_compiled(pattern).search(text) for text in texts)), "")


@lru_cache(maxsize=2000)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    return re2.compile(pattern, options)
