"""Names of authors, as feeds and pages write them."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MAIL = re.compile(r"\S+@\S+\.\S+")
_RSS_AUTHOR = re.compile(r"^\s*\S+@\S+\s*\(([^)]+)\)\s*$")
_MAX_LENGTH = 100


def clean_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names without mail addresses, spaces too many, and repetitions, in their order."""
    found: dict[str, str] = {}
    for raw in names:
        # RSS 2.0 wants "mail@example.org (Name)".
        match = _RSS_AUTHOR.match(raw)
        name = " ".join(_MAIL.sub(" ", match[1] if match else raw).replace("\0", "").split()).strip(" ,;<>()")
        if name and len(name) <= _MAX_LENGTH and not name.lower().startswith(("http://", "https://")):
            found.setdefault(name.casefold(), name)
    return tuple(found.values())
