"""Which time zones may be chosen: all that the zone database has.

To be asked here only: `zoneinfo.available_timezones` opens six hundred files each time, some 30 ms of a processor.
"""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all time zones; a database that is renewed counts from the next start on."""
    return frozenset(available_timezones())
