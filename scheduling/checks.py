"""System checks of scheduling's settings; each has a stable id, the fault and what to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from scheduling.conf import Retention

SHORTEST_LEASE_SECONDS = 4.0


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that the numbers among the settings are in range (scheduling.E001 to E004)."""
    found: list[CheckMessage] = []
    for name in ("NEWSS_EXECUTOR_THREADS", "NEWSS_EXECUTOR_PROCESSES"):
        value = getattr(settings, name)
        if value < 1:
            found.append(Error(f"{name} is {value}.", hint="Set it to 1 or more parallel runs.", id="scheduling.E001"))
    if settings.NEWSS_GRACE_SECONDS < 0:
        found.append(
            Error(
                f"NEWSS_GRACE_SECONDS is {settings.NEWSS_GRACE_SECONDS}.",
                hint="Set it to 0 or more seconds.",
                id="scheduling.E002",
            )
        )
    if settings.NEWSS_LEASE_SECONDS < SHORTEST_LEASE_SECONDS:
        found.append(
            Error(
                f"NEWSS_LEASE_SECONDS is {settings.NEWSS_LEASE_SECONDS}.",
                hint=f"Set it to {SHORTEST_LEASE_SECONDS} or more: a busy leader must have time for a heartbeat.",
                id="scheduling.E004",
            )
        )
    for name in (f"NEWSS_KEEP_{name.upper()}" for name in Retention.__annotations__):
        if getattr(settings, name) < 0:
            found.append(
                Error(
                    f"{name} is {getattr(settings, name)}.",
                    hint="Set it to 0 (keep all) or more.",
                    id="scheduling.E003",
                )
            )
    return found
