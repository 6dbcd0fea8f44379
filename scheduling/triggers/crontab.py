"""Crontab expressions with the meaning of Debian's cron, as cronsim has it.

Day of month and day of week both restricted: either fires. Sunday is 0 or 7. A time that a change of clock skips
fires right after the gap; one that comes twice fires once (expressions with `*` in minute or hour go on by elapsed
time).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from scheduling.triggers.base import ScheduleTrigger
from scheduling.triggers.pattern import MACROS, expand

FIELDS: dict[str, tuple[int, str, str]] = {
    "second": (0, "second", "0–59"),
    "minute": (1, "minute", "0–59"),
    "hour": (2, "hour", "0–23"),
    "day-of-month": (3, "day of the month", "1–31, L (the last day) or LW (the last weekday)"),
    "month": (4, "month", "1–12 or JAN–DEC"),
    "day-of-week": (5, "day of the week", "0–7 (0 and 7 are Sunday), SUN–SAT, 5#3 (the third Friday) or 5L (the last)"),
}


def validate_crontab(expression: str) -> None:
    """Raise a `ValidationError` that says in words what is wrong with an expression."""
    text = expand(expression)
    if text.lower() == "@reboot":
        raise ValidationError(_("@reboot has no due time; give times, or start the run by hand."), code="crontab")
    if text.startswith("@"):
        known = ", ".join(MACROS)
        raise ValidationError(
            _("%(text)s is not known; use one of %(known)s."), code="crontab", params={"text": text, "known": known}
        )
    parts = text.split()
    if len(parts) not in (5, 6):
        raise ValidationError(
            _(
                "A crontab expression has five fields (minute, hour, day of the month, month, day of the week), "
                "or six with seconds first; this one has %(count)d."
            ),
            code="crontab",
            params={"count": len(parts)},
        )
    try:
        first = next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValidationError(_bad_field(str(error), parts), code="crontab") from error
    if first is None:
        raise ValidationError(_("This expression never fires: no such date exists."), code="crontab")


def _bad_field(message: str, parts: list[str]) -> str:
    """Turn cronsim's "Bad hour" into a sentence with the value and what is allowed."""
    name = message.removeprefix("Bad ")
    if name not in FIELDS:
        return _("This is not a crontab expression: %(message)s.") % {"message": message}
    index, words, allowed = FIELDS[name]
    value = (parts if len(parts) == 6 else ["0", *parts])[index]
    if name == "day-of-month" and _is_day_of_month(value):
        return _("This expression never fires: none of its months has a day %(value)s.") % {"value": value}
    return _(
        "The field for the %(field)s cannot be “%(value)s”: use %(allowed)s, lists (1,2), ranges (1-5) and steps (*/5)."
    ) % {
        "field": words,
        "value": value,
        "allowed": allowed,
    }


def _is_day_of_month(value: str) -> bool:
    """Tell whether a field is right by itself, so that only the months beside it make it wrong."""
    try:
        CronSim(f"0 0 {value} * *", datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError:
        return False
    return True


class CrontabTrigger(ScheduleTrigger):
    """Due times of a crontab expression in a time zone."""

    def __init__(
        self, expression: str, zone: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> None:
        """Raise `CronSimError` for an expression that `validate_crontab` would refuse."""
        super().__init__(start=start, end=end)
        self.expression = expand(expression)
        self.zone = zone
        CronSim(self.expression, datetime(2024, 1, 1, tzinfo=UTC))

    def _after(self, moment: datetime) -> datetime | None:
        for local in CronSim(self.expression, moment.astimezone(ZoneInfo(self.zone))):
            due = local.astimezone(UTC)
            # In the hour that a change of clock repeats, cronsim counts wall-clock time and may step back.
            if due > moment:
                return due
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "expression": self.expression, "zone": self.zone}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.expression = state["expression"]
        self.zone = state["zone"]

    def __str__(self) -> str:
        return f"crontab[{self.expression}, {self.zone}]"
