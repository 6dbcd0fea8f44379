"""The time zone of a country, for times that an outlet wrote without one."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

#: Top-level domains whose name is not the country's code of ISO 3166.
_CODES = {"uk": "GB"}


@cache
def zones_by_country() -> dict[str, tuple[str, ...]]:
    """Return the names of the zones of each country, by its code in capitals (the tz database's table)."""
    found: dict[str, tuple[str, ...]] = {}
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            code, _, name = line.split("\t")[:3]
            found[code] = (*found.get(code, ()), name)
    return found


def in_country(wall_clock: datetime, host: str) -> datetime | None:
    """Return a wall clock's instant in the country that a host's top-level domain names.

    None where it names no country, or one whose clocks do not all show the same (small islands apart, for which the
    first zone of the table, that of the most people, stands: the Canaries do not make Spain's time unknown).
    """
    ending = host.rsplit(".", 1)[-1].lower()
    zones = zones_by_country().get(_CODES.get(ending, ending.upper()), ())
    if not zones:
        return None
    instants = [wall_clock.replace(tzinfo=ZoneInfo(name)) for name in zones]
    offsets = [instant.utcoffset() for instant in instants]
    return instants[0] if offsets.count(offsets[0]) * 2 > len(offsets) or len(offsets) <= 3 else None
