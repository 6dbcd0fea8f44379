"""Who a source's requests say they come from: its own headers, cookies and proxy, and which hosts may see them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit, urlunsplit

from scrapers.fetch.failures import CollectError
from scrapers.secrets import MASK, hidden_places

_PORTS = {"http": 80, "https": 443}
SHORT = 6
"""Values of fewer characters are not looked for in texts: they may stand there by chance."""


@dataclass(frozen=True)
class Identity:
    """What the requests of one source carry besides the usual.

    Headers, cookies and parameters of the address may hold secrets: they go to the `home` host (that of the source's
    address) and hosts under it alone, never elsewhere by a link or a redirect, and to http only if the source itself is
    asked by http. The values are kept out of the representation, so that no log and no traceback shows them.
    """

    home: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)

    def headers_for(self, url: str) -> dict[str, str]:
        """Return the headers that a request to this address may carry."""
        if not (self.headers or self.cookies) or not self.is_home(url):
            return {}
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        return {**self.headers, **(cookies if self.cookies else {})}

    def address_for(self, url: str) -> str:
        """Return an address as it is sent: with the parameters and hidden parts, where it may have them."""
        if not self.parameters or not self.is_home(url):
            return url
        parts, path = urlsplit(url), urlsplit(url).path
        added = []
        for name, value in self.parameters.items():
            if name in self._hidden:
                path = _place(name).sub(lambda _found, value=value: _in_path(value), path)  # type: ignore[misc]
            else:
                added.append(f"{quote_plus(name)}={quote_plus(value)}")
        return urlunsplit(parts._replace(path=path, query="&".join([*filter(None, [parts.query]), *added])))

    def shown(self, url: str) -> str:
        """Return an address as it may be seen: without parameters and hidden parts, which servers repeat in theirs."""
        url = self._without_hidden(url)
        if not self.parameters or not any(name in unquote_plus(url) for name in self.parameters):
            return url
        try:
            parts, home = urlsplit(url), self.is_home(url)
        except ValueError:
            return url

        def is_ours(pair: str) -> bool:
            name, _equals, value = map(unquote_plus, pair.partition("="))
            return name in self.parameters and (home or value == self.parameters[name])

        return urlunsplit(parts._replace(query="&".join(pair for pair in parts.query.split("&") if not is_ours(pair))))

    def _without_hidden(self, url: str) -> str:
        for name in self._hidden:
            value = self.parameters.get(name, "")
            for text in {_in_path(value), value, quote_plus(value)} if len(value) >= SHORT else ():
                url = url.replace(text, f"%7B{name}%7D")
        return url

    def masked(self, error: CollectError) -> CollectError:
        """Return an error whose sentence shows none of the values, whatever a server put into its answer."""
        for secret in self._secrets():
            for text in (secret, quote_plus(secret), _in_path(secret)):
                error.sentence = error.sentence.replace(text, MASK)
        error.args = (error.sentence,)
        return error

    @cached_property
    def _hidden(self) -> list[str]:
        """Return the names of the parameters that stand in the path of the source's address instead of behind it."""
        return hidden_places(self.home)

    def _secrets(self) -> list[str]:
        values = (*self.headers.values(), *self.cookies.values(), *self.parameters.values())
        words = [word for value in (*values, urlsplit(self.proxy).password or "") for word in (value, *value.split())]
        return sorted({word for word in words if len(word) >= SHORT}, key=len, reverse=True)

    def is_home(self, url: str) -> bool:
        """Tell whether an address belongs to the source's own host, on its own port (or the usual ones)."""
        home, there = urlsplit(self.home), urlsplit(url)
        if home.scheme == "https" and there.scheme != "https":
            return False
        ports = [parts.port or _PORTS.get(parts.scheme) for parts in (home, there)]
        if ports[0] != ports[1] and not set(ports) <= set(_PORTS.values()):
            return False
        name = (home.hostname or "").removeprefix("www.")
        host = there.hostname or ""
        return bool(name) and (host == name or (host.endswith(f".{name}") and not name.replace(".", "").isdigit()))


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"\{{{name}\}}|%7B{name}%7D", re.IGNORECASE)


def _in_path(value: str) -> str:
    return quote(value, safe="!$&'()*+,;=:@~")


ANONYMOUS = Identity()
