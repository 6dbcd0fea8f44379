"""Addresses: one story, one address. What may be fetched, and the form under which an article is known."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urljoin, urlsplit, urlunsplit

from tld import get_fld

#: Parameters that say where a reader came from, never what is to be read.
_TRACKING = re.compile(
    r"^(utm_\w+|at_(campaign|medium|custom\d|link\w*|ptr_name|bbc_team|format)|fbclid|gclid|gclsrc|dclid|gbraid|wbraid"
    r"|msclkid|yclid|twclid|ttclid|igshid|igsh|mc_cid|mc_eid|mkt_tok|_hs(enc|mi)|ns_\w+|cmpid|ocid|ito|xtor|wt_mc|wt_zmc"
    r"|ref_src|ref_url|s_cid|ncid|spm|smid|partner_id|cm_mmc|_ga|_gl|oly_anon_id|oly_enc_id|vero_id|wickedid)$",
    re.IGNORECASE,
)
_USUAL_PORTS = {"http": 80, "https": 443}
#: Reserved characters (RFC 3986) and the percent sign stay as they are: quoting them again would change the meaning.
_KEEP = "%:/?#[]@!$&'()*+,;=~-._"


def _(words: str) -> str:
    """Mark words for translation. They are translated where they are shown: extraction lives without Django."""
    return words


class AddressError(ValueError):
    """An address that cannot be asked: why, in words to be translated with a place for the address."""

    def __init__(self, words: str, address: str) -> None:
        super().__init__(words % address)
        self.words, self.address = words, address


def is_fetchable(url: str) -> bool:
    """Tell whether an address is absolute, http or https, with a host and a legal port."""
    try:
        parts = urlsplit(url)
        return parts.scheme in _USUAL_PORTS and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def to_wire(url: str) -> str:
    """Return an address in ASCII as it is sent: the host in IDNA, other characters percent-encoded, no fragment.

    What is already encoded stays exactly as it is. Raises `AddressError` (or another
    `ValueError`) for what cannot be asked.
    """
    parts = urlsplit(url.strip())
    if not is_fetchable(url.strip()):
        raise AddressError(_("not an address of http or https: %s"), repr(url[:200]))
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii():
        host = host.encode("idna").decode()
    if not re.fullmatch(r"[A-Za-z0-9._:%~-]+", host):
        raise AddressError(_("not the name of a host: %s"), repr(host[:200]))
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None or parts.port == _USUAL_PORTS[parts.scheme] else f":{parts.port}"
    path, query = quote(parts.path, safe=_KEEP) or "/", quote(parts.query, safe=_KEEP)
    return urlunsplit((parts.scheme, shown.lower() + port, path, query, ""))


def normalise(url: str) -> str:
    """Return the one form of an address: as sent, without tracking parameters.

    Idempotent. Raises `ValueError` as `to_wire` does.
    """
    parts = urlsplit(to_wire(url))
    query = parts.query
    if query and any(_TRACKING.match(name) for name, _ in parse_qsl(query, keep_blank_values=True)):
        kept = [pair for pair in query.split("&") if not _TRACKING.match(pair.partition("=")[0])]
        query = "&".join(pair for pair in kept if pair)
    return urlunsplit(parts._replace(query=query))


def site_of(host: str) -> str:
    """Return the registrable domain of a host ("news.bbc.co.uk" → "bbc.co.uk"), or the host where there is none."""
    return registrable_domain(host) or host.lower()


def registrable_domain(host: str) -> str:
    """Return the part of a host's name that somebody registered; empty for addresses of IP and names without one."""
    # By the list of public suffixes that comes with the package; nothing is fetched.
    return get_fld(f"http://{host}/", fail_silently=True) or ""


def canonical(page_url: str, link: str) -> str:
    """Return the normalised canonical address of a page: its rel=canonical where that is on the same site.

    A link to another site, to the site's front page (a common mistake) or to nothing that can be fetched is ignored.
    """
    page = normalise(page_url)
    try:
        chosen = normalise(urljoin(page_url, link.strip())) if link.strip() else page
    except ValueError:
        return page
    here, there = urlsplit(page), urlsplit(chosen)
    same_site = here.hostname == there.hostname or site_of(here.hostname or "") == site_of(there.hostname or "")
    is_front = there.path in ("", "/") and not there.query and here.path not in ("", "/")
    return chosen if same_site and not is_front else page
