"""Combined triggers and blackouts as lines of text that people type, and back: what the model stores as JSON.

What the text means is read here; whether it makes sense is judged by the model, which names each by its number.
"""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduling.triggers.calendar import CalendarUnit
from scheduling.triggers.fields import TriggerKind

SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
UNITS = {"day": CalendarUnit.DAYS, "week": CalendarUnit.WEEKS, "month": CalendarUnit.MONTHS, "year": CalendarUnit.YEARS}

_INTERVAL = re.compile(r"every\s+(?:(\d+)\s+)?(second|minute|hour|day|week)s?")
_CALENDAR = re.compile(r"every\s+(?:(\d+)\s+)?(day|week|month|year)s?\s+at\s+(\S+)\s+from\s+(\S+)")
_DATE = re.compile(r"(?:on|once)\s+(\S+)(?:\s+(?:at\s+)?(\S+))?")
_RANGE = re.compile(r"(\S+?)\s*(?:-|–|to|bis)\s*(\S+)")

PARTS_HELP = gettext_lazy(
    "One trigger a line: a crontab expression (30 6 * * 1-5), an interval (every 15 minutes), a moment "
    "(on 2026-12-24 06:30), or a calendar interval (every 2 weeks at 06:30 from 2026-01-05)."
)


def parts_from_text(text: str) -> list[dict[str, Any]]:
    """Return the parts of a combination from its lines, empty ones left out."""
    return [_part(line.strip()) for line in text.splitlines() if line.strip()]


def parts_to_text(parts: Any) -> str:
    """Return the lines of a combination's parts; what is not understood is shown as it is stored."""
    return "\n".join(_line(part) for part in parts) if isinstance(parts, list) else ""


def times_from_text(text: str) -> list[list[str]]:
    """Return pairs of times of day from text like "01:00-04:00, 12:00-13:00"."""
    pairs = []
    for piece in re.split(r"[,;\n]+", text):
        if not piece.strip():
            continue
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            raise ValidationError(_("Write “%(text)s” like 01:00-04:00.") % {"text": piece.strip()})
        pairs.append([match[1], match[2]])
    return pairs


def times_to_text(pairs: Any) -> str:
    """Return pairs of times of day as text."""
    return ", ".join("-".join(map(str, pair)) for pair in pairs) if isinstance(pairs, list) else ""


def dates_from_text(text: str) -> list[str]:
    """Return dates from text that separates them by commas, blanks or lines."""
    return [piece for piece in re.split(r"[,;\s]+", text) if piece]


def dates_to_text(dates: Any) -> str:
    """Return dates as text."""
    return ", ".join(map(str, dates)) if isinstance(dates, list) else ""


def _part(line: str) -> dict[str, Any]:
    if match := _CALENDAR.fullmatch(line.lower()):
        return {
            "kind": TriggerKind.CALENDAR.value,
            "calendar_count": int(match[1] or 1),
            "calendar_unit": UNITS[match[2]].value,
            "calendar_at": match[3],
            "calendar_first_day": match[4],
        }
    if match := _INTERVAL.fullmatch(line.lower()):
        return {"kind": TriggerKind.INTERVAL.value, "interval_seconds": int(match[1] or 1) * SECONDS[match[2]]}
    if match := _DATE.fullmatch(line):
        return {"kind": TriggerKind.DATE.value, "run_at": " ".join(filter(None, [match[1], match[2]]))}
    return {"kind": TriggerKind.CRONTAB.value, "crontab": line.removeprefix("crontab ").strip()}


def _line(part: Any) -> str:
    match part:
        case {"kind": TriggerKind.CRONTAB, "crontab": crontab}:
            return str(crontab)
        case {"kind": TriggerKind.INTERVAL, "interval_seconds": int(seconds)} if seconds > 0:
            name, size = next((name, size) for name, size in reversed(SECONDS.items()) if seconds % size == 0)
            return f"every {seconds // size} {name}s"
        case {"kind": TriggerKind.DATE, "run_at": moment}:
            return f"on {moment}"
        case {
            "kind": TriggerKind.CALENDAR,
            "calendar_count": count,
            "calendar_unit": unit,
            "calendar_at": at,
            "calendar_first_day": day,
        }:
            name = next((name for name, value in UNITS.items() if value == unit), unit)
            return f"every {count} {name}s at {at} from {day}"
    return str(part)
