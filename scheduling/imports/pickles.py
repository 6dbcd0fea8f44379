"""Reading APScheduler's pickled jobs without executing foreign code: only triggers, times and zones are made.

A pickle names what it wants built; here such a name is looked up in a short list, and everything else is refused before
it is imported.
"""

from __future__ import annotations

import importlib
import io
import pickle
from typing import Any
from zoneinfo import ZoneInfo

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
    ("zoneinfo", "ZoneInfo"),
}
"""Names that are given out as they are: none of them does anything but make a value."""
TRIGGERS = ("apscheduler.triggers.", "scheduling.triggers.")
"""Packages whose own classes may be made."""


class Unreadable(ValueError):
    """The pickle is damaged, or names something that is not made here; the message says what."""


class Combined:
    """A stand-in for APScheduler's AndTrigger (`all_of`) or OrTrigger.

    Those would import whatever class their state names for a part; here a part is looked up as everything else is.
    """

    all_of = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.jitter = state.get("jitter")
        self.triggers = []
        for reference, inner in state["triggers"]:
            module, _colon, name = reference.partition(":")
            made = look_up(module, name).__new__(look_up(module, name))
            made.__setstate__(inner)
            self.triggers.append(made)

    def __str__(self) -> str:
        return f"{'and' if self.all_of else 'or'}[{', '.join(map(str, self.triggers))}]"


class AllOf(Combined):
    """The stand-in for an AndTrigger."""

    all_of = True


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return look_up(module, name)


def look_up(module: str, name: str) -> Any:
    """Return what a pickle names, if it is one of the few things that are made here; raises `Unreadable`."""
    if (module, name) == ("builtins", "getattr"):
        return _attribute
    if module == "apscheduler.triggers.combining":
        return AllOf if name == "AndTrigger" else Combined
    if (module, name) in PLAIN:
        return getattr(importlib.import_module(module), name)
    if f"{module}.".startswith(TRIGGERS):
        found = vars(importlib.import_module(module)).get(name)
        # Only what the module defines itself, and only classes: not what it imports, not its functions.
        if isinstance(found, type) and found.__module__ == module:
            return found
    raise Unreadable(_("it contains %(name)s, which is not read") % {"name": f"{module}.{name}"})


def _attribute(owner: Any, name: str) -> Any:
    """Stand in for `getattr`, by which a pickled time zone names the function that makes it: for nothing else."""
    if owner is not ZoneInfo or name != "_unpickle":
        raise Unreadable(_("it contains %(name)s, which is not read") % {"name": f"getattr {name}"})
    return ZoneInfo._unpickle  # type: ignore[attr-defined]


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
