"""One request on the wire: over addresses that may be asked, within the limits of time and size.

Whether a host may be asked at all, and when, is decided before (`hosts.py`). Raises `CollectError` and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from scrapers import conf
from scrapers.fetch.answers import Raw, Tally, wire_of
from scrapers.fetch.body import ACCEPT_ENCODING, read_limited, too_big
from scrapers.fetch.failures import CollectError, FailureClass, classify
from scrapers.fetch.safety import check_name, safe_socket

logger = logging.getLogger(__name__)

_RESOURCE_HEADERS = ("Content-Type", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials")


class Wire:
    """The connections of one process and event loop; an async context manager."""

    async def __aenter__(self) -> Self:
        """Open the connections' pool."""
        timeout = aiohttp.ClientTimeout(
            total=None, connect=conf.connect_seconds(), sock_read=conf.silence_seconds(), ceil_threshold=1e9
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=safe_socket),
            timeout=timeout,
            headers={"User-Agent": conf.user_agent(), "Accept-Encoding": ACCEPT_ENCODING},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=16 * 1024,
            max_field_size=32 * 1024,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        tally: Tally,
        answered: Callable[[], None],
        truncate_at: int | None = None,
        proxy: str = "",
    ) -> Raw:
        """Make one request now; `answered` is called when the headers are there.

        Of a body beyond `truncate_at` bytes the rest is left away; without it, one beyond the limit is an error.
        """
        host = urlsplit(url).hostname or ""
        tally.requests += 1
        try:
            if proxy:
                # The connector sees the proxy's address alone.
                await check_name(host)
            async with (
                asyncio.timeout(conf.total_seconds()),
                self._session.get(
                    URL(url, encoded=True), headers=headers, allow_redirects=False, proxy=proxy or None
                ) as response,
            ):
                answered()
                raw = Raw(response.status, response.headers)
                if 200 <= response.status < 300:
                    limit = truncate_at or conf.max_bytes()
                    if truncate_at is None and (response.content_length or 0) > limit:
                        raise too_big(host, limit)
                    raw.body, received = await read_limited(
                        response.content.iter_any(),
                        response.headers.get("Content-Encoding", ""),
                        limit,
                        host=host,
                        truncate=truncate_at is not None,
                    )
                    tally.bytes_received += received
        except CollectError:
            raise
        except Exception as error:
            failure = classify(error, host)
            if failure.failure is FailureClass.INTERNAL:
                logger.exception("Fetching from %s failed for a reason of our own.", host)
            raise failure from error
        return raw

    async def resource(
        self, url: str, method: str, headers: Mapping[str, str], data: bytes | None, *, proxy: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        """Return (status, headers, body) of what a rendered page asks for, whatever the status."""
        host = urlsplit(url).hostname or ""
        try:
            if proxy:
                await check_name(host)
            async with (
                asyncio.timeout(conf.total_seconds()),
                self._session.request(
                    method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=data,
                    allow_redirects=False,
                    proxy=proxy or None,
                ) as response,
            ):
                packing = response.headers.get("Content-Encoding", "")
                body, _received = await read_limited(response.content.iter_any(), packing, conf.max_bytes(), host=host)
                given = {name: response.headers[name] for name in _RESOURCE_HEADERS if name in response.headers}
                return response.status, given, body
        except CollectError:
            raise
        except Exception as error:
            raise classify(error, host) from error

    async def answers(self, url: str) -> bool:
        """Tell whether an address answers, with any status."""
        try:
            async with (
                asyncio.timeout(conf.connect_seconds()),
                self._session.head(URL(wire_of(url), encoded=True), allow_redirects=False),
            ):
                return True
        except Exception as error:
            logger.info("The control address %s does not answer: %s", url, classify(error, url).sentence)
            return False
