"""One-off dates in words."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _


def date_words(run_at: datetime, zone: str) -> str:
    """Return a one-off date in its zone, e.g. "Once, on 24 December 2026 at 06:30"."""
    local = timezone.localtime(run_at, ZoneInfo(zone))
    return _("Once, on %(date)s at %(time)s") % {"date": date_format(local, _("j F Y")), "time": f"{local:%H:%M}"}
