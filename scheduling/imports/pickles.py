"""Reading APScheduler's pickled jobs without executing foreign code: only triggers, times and zones are made.

A pickle names what it wants built; here such a name is looked up in a short list, and everything else is refused before
it is imported.
"""

from __future__ import annotations

import importlib
import io
import pickle
from typing import Any

from django.utils.translation import gettext as _

PLAIN = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("datetime", "date"),
    ("datetime", "datetime"),
    ("datetime", "time"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("pytz", "_UTC"),
    ("pytz", "_p"),
    ("decimal", "Decimal"),
    ("uuid", "UUID"),
}
"""Names that are given out as they are: none of them does anything but make a value."""
TRIGGERS = ("apscheduler.triggers.", "scheduling.triggers.")
"""Packages whose own classes may be made."""


class Unreadable(ValueError):
    """The pickle is damaged, or names something that is not made here; the message says what."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("zoneinfo", "ZoneInfo._unpickle"), ("zoneinfo", "ZoneInfo")}:
            import zoneinfo

            return zoneinfo.ZoneInfo if name == "ZoneInfo" else zoneinfo.ZoneInfo._unpickle  # type: ignore[attr-defined]
        if (module, name) in PLAIN:
            return getattr(importlib.import_module(module), name)
        if f"{module}.".startswith(TRIGGERS):
            found = vars(importlib.import_module(module)).get(name)
            # Only what the module defines itself, and only classes: not what it imports, not its functions.
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise Unreadable(_("it contains %(name)s, which is not read") % {"name": f"{module}.{name}"})


def read_state(state: bytes) -> dict[str, Any]:
    """Return the state of an APScheduler job from its pickle; raises `Unreadable`."""
    try:
        read = _Reader(io.BytesIO(state)).load()
    except Unreadable:
        raise
    except Exception as error:
        # A damaged pickle raises whatever its opcodes stumble over.
        raise Unreadable(_("it is damaged: %(error)s") % {"error": error}) from error
    if not isinstance(read, dict) or "trigger" not in read:
        raise Unreadable(_("it is not the state of a job"))
    return read
