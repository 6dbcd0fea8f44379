"""What a crontab expression means, as values: parsed once by cronsim, then shared by all that have the same one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cronsim import CronSim

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The nicknames of crontab(5), which cronsim does not know."""

LAST = CronSim.LAST
"""Among the days of the month: the last one; as the second of a pair: the last such weekday of the month."""

LAST_WORKING_DAY = CronSim.LAST_WEEKDAY
"""Among the days of the month: the last one from Monday to Friday."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """The values of the fields in rising order, and how the two day fields go together."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    """Days of the month, perhaps with `LAST` and `LAST_WORKING_DAY`."""
    months: tuple[int, ...]
    weekdays: frozenset[int | tuple[int, int]]
    """Days of the week (0 and 7 are Sunday), or pairs of one and which of the month it is (1–5 or `LAST`)."""
    both_days: bool
    """Both day fields must hold (one of them begins with `*`); otherwise either does."""
    day_fields: str
    """The three fields that choose days, as text for cronsim."""
    fixed: bool
    """Debian's cron calls it a fixed-time job: five fields, no `*` at the beginning of minute or hour."""


def expand(expression: str) -> str:
    """Return the expression with `@hourly` and the like written out and spaces folded."""
    text = " ".join(expression.split())
    return MACROS.get(text.lower(), text)


@lru_cache(maxsize=10_000)
def parse(expression: str) -> Pattern:
    """Return the values of an expanded expression. Raises `CronSimError` for one that makes no sense."""
    parsed = CronSim(expression, datetime(2024, 1, 1))  # noqa: DTZ001 — wall-clock time: only the fields matter
    parts = expression.upper().split()
    minute, hour, *day_fields = parts[-5:]
    return Pattern(
        seconds=tuple(sorted(parsed.seconds)),
        minutes=tuple(sorted(parsed.minutes)),
        hours=tuple(sorted(parsed.hours)),
        days=frozenset(parsed.days),
        months=tuple(sorted(parsed.months)),
        weekdays=frozenset(parsed.weekdays),
        both_days=parsed.day_and,
        day_fields=" ".join(day_fields),
        fixed=len(parts) == 5 and not minute.startswith("*") and not hour.startswith("*"),
    )
