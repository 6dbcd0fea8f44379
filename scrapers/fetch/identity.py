"""Who a source's requests say they come from: its own headers, cookies and proxy, and which hosts may see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Identity:
    """What the requests of one source carry besides the usual.

    Headers and cookies may hold secrets: they go to the `home` host (that of the source's address) and hosts under it
    alone, never elsewhere by a link or a redirect, and to http only if the source itself is asked by http. The values
    are kept out of the representation, so that no log and no traceback shows them.
    """

    home: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)

    def headers_for(self, url: str) -> dict[str, str]:
        """Return the headers that a request to this address may carry."""
        if not (self.headers or self.cookies) or not self.is_home(url):
            return {}
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        return {**self.headers, **(cookies if self.cookies else {})}

    def is_home(self, url: str) -> bool:
        """Tell whether an address belongs to the source's own host."""
        home, there = urlsplit(self.home), urlsplit(url)
        if home.scheme == "https" and there.scheme != "https":
            return False
        name = (home.hostname or "").removeprefix("www.")
        host = there.hostname or ""
        return bool(name) and (host == name or (host.endswith(f".{name}") and not name.replace(".", "").isdigit()))


ANONYMOUS = Identity()
