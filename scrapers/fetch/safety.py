"""Which network addresses may be asked; checked on exactly the address that a socket is about to connect to.

aiohttp calls `safe_socket` for each address that a name was resolved to (or that stood in the URL itself), right before
it connects. So neither a redirect nor a name that resolves to something else the second time gets past.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from typing import Any

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Public as far as Python knows, yet nobody's web server: IETF protocol assignments, Azure's wire server.
_SPECIAL = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("168.63.129.16/32"))
#: IPv6 forms that carry an IPv4 address: NAT64 (RFC 6052, RFC 8215).
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


class AddressRefused(OSError):
    """The address is in a network that must not be asked."""

    def __init__(self, address: str) -> None:
        # One text for all addresses: of several refusals for one name the connector then keeps the first, as it is.
        super().__init__(errno.EACCES, "not a public address")
        self.address = address


def is_allowed(address: str) -> bool:
    """Tell whether a connection to this IP address may be made."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in allowed_networks() if network.version == ip.version):
        return True
    mapped = _embedded(ip)
    if mapped is not None:
        return is_allowed(str(mapped))
    return _is_public(ip)


def allowed_networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the networks of `NEWSS_ALLOW_NETWORKS`; raises `ValueError` for what is none."""
    return [ipaddress.ip_network(text.strip(), strict=False) for text in settings.NEWSS_ALLOW_NETWORKS if text.strip()]


def safe_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Return a socket for an address as `getaddrinfo` gives it; raises `AddressRefused`."""
    family, kind, protocol, _, address = address_info
    if not is_allowed(address[0]):
        raise AddressRefused(address[0])
    return socket.socket(family=family, type=kind, proto=protocol)


async def check_name(host: str) -> None:
    """Refuse a host that a proxy would be asked for, if it has an address that must not be asked.

    What the proxy itself resolves a name to cannot be known here; a name that is unknown here is left to it. Raises
    `AddressRefused`.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    for *_rest, address in found:
        if not is_allowed(str(address[0])):
            raise AddressRefused(str(address[0]))


def _embedded(ip: Address) -> ipaddress.IPv4Address | None:
    if not isinstance(ip, ipaddress.IPv6Address):
        return None
    if any(ip in network for network in _NAT64):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _is_public(ip: Address) -> bool:
    # is_global alone lets multicast through; see https://docs.python.org/3/library/ipaddress.html
    special = ip.is_multicast or ip.is_reserved or ip.is_unspecified or any(ip in network for network in _SPECIAL)
    return ip.is_global and not special
