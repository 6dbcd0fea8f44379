"""System checks of collecting's settings; each has a stable id, the fault and what to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from scrapers import conf
from scrapers.fetch.safety import allowed_networks

_MAY_BE_ZERO = frozenset(
    {
        "NEWSS_HOST_DELAY_SECONDS",
        "NEWSS_CRAWL_DELAY_MAX_SECONDS",
        "NEWSS_EXTRACT_PROCESSES",
        "NEWSS_UNCONDITIONAL_SHARE",
        "NEWSS_KEEP_PASSED_DAYS",
        "NEWSS_KEEP_TOMBSTONES_DAYS",
        "NEWSS_KEEP_VERSIONS_DAYS",
        "NEWSS_KEEP_HOSTS_DAYS",
        "NEWSS_OFFLINE_WAIT_SECONDS",
    }
)


@register()
def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check networks (scrapers.E001), numbers (E002), switches (E003), and that servers can tell who asks (W001)."""
    found: list[CheckMessage] = []
    try:
        allowed_networks()
    except ValueError as error:
        found.append(
            Error(
                f"NEWSS_ALLOW_NETWORKS holds something that is no network: {error}.",
                hint="Separate networks by commas, e.g. NEWSS_ALLOW_NETWORKS=10.1.0.0/16,192.168.7.5/32.",
                id="scrapers.E001",
            )
        )
    for name, default in conf.DEFAULTS.items():
        value = getattr(settings, name, default)
        if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
            least = "0 or more" if name in _MAY_BE_ZERO else "more than 0"
            found.append(Error(f"{name} is {value}.", hint=f"Set it to {least}.", id="scrapers.E002"))
    for name in conf.SWITCHES:
        value = getattr(settings, name, False)
        if not isinstance(value, bool):
            found.append(Error(f"{name} is {value!r}.", hint="Set it to True or False.", id="scrapers.E003"))
    if not settings.DEBUG and not settings.NEWSS_CONTACT:
        found.append(
            Warning(
                "NEWSS_CONTACT is not set, so nobody whose server is asked can tell whom to write to.",
                hint="Set it to an address of a page or a mailbox; it becomes part of the User-Agent.",
                id="scrapers.W001",
            )
        )
    return found
