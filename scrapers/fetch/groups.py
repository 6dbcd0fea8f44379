"""Which hosts share their slots and cool-downs: those that a person gave the same name, and with `NEWSS_GROUP_HOSTS`
those of one registrable domain.

What a registrable domain is, the Public Suffix List says: `bbc.co.uk`, and `someone.github.io`, whose neighbours are
strangers. Addresses of IP and names without a domain stand alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scrapers import conf
from scrapers.extract.addresses import registrable_domain

if TYPE_CHECKING:
    from scrapers.models import Host


def group_name(host: Host) -> str:
    """Return the name of the group that a host belongs to: the chosen one, its domain, or its own origin."""
    return host.chosen_group or (registrable_domain(host.host) if conf.group_hosts() else "") or host.origin
