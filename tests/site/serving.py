"""The site over HTTP: which address is asked, conditional requests, packing, faults on purpose, the control address."""

import asyncio
import errno
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final

from aiohttp import web

from tests.site.documents import Document, Documents
from tests.site.outlets import ADDRESSES, BY_ADDRESS, CONTROL_ADDRESS, OUTLETS, Outlet
from tests.site.publishing import Site
from tests.site.stats import RequestRecord, Stats

SHUTDOWN_SECONDS: Final = 0.2
"""How long answers under way may still take when the site ends; a slow one would hold a test up."""

BACKLOG: Final = 256
PORT_ATTEMPTS: Final = 50


def bind(port: int, addresses: Sequence[str] = ADDRESSES) -> list[socket.socket]:
    """Bind one port on all addresses and return the sockets; port 0 means one that is free on all. OSError if taken."""
    for attempt in range(PORT_ATTEMPTS):
        bound: list[socket.socket] = []
        try:
            for address in addresses:
                bound.append(_bind_one(address, bound[0].getsockname()[1] if bound else port))
            return bound
        except OSError as error:
            for sock in bound:
                sock.close()
            if port or error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _bind_one(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Lets a restarted site take its port back while connections of the last one time out.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        # Listening now, since two sockets with the option may share a port until one of them listens.
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


@dataclass
class Service:
    """Answers the requests of all addresses."""

    site: Site
    slow: float = 3.0
    crawl_delay: float | None = None
    stats: Stats = field(default_factory=Stats)

    def __post_init__(self) -> None:
        """Make ready what the site's stories are rendered by."""
        self._documents = Documents(self.site, self.crawl_delay)

    async def start(self, sockets: Sequence[socket.socket]) -> web.AppRunner:
        """Serve on the sockets until the returned runner is cleaned up."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        for sock in sockets:
            await web.SockSite(runner, sock, backlog=BACKLOG).start()
        return runner

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request by the address that it came in on, whatever its Host header says."""
        address: str = request.transport.get_extra_info("sockname")[0] if request.transport else ""
        if address == CONTROL_ADDRESS:
            return await self._control(request)
        record: RequestRecord = {
            "time": time.time(),
            "path": request.path_qs,
            "status": 0,
            "user_agent": request.headers.get("User-Agent", ""),
            "conditional": "If-None-Match" in request.headers or "If-Modified-Since" in request.headers,
        }
        self.stats.begin(address, record)
        status = 0
        try:
            response = await self._answer(BY_ADDRESS[address], request)
            status = response.status
            return response
        finally:
            self.stats.end(address, record, status)

    async def _answer(self, outlet: Outlet, request: web.Request) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="Only GET and HEAD.\n", headers={"Allow": "GET, HEAD"})
        if outlet.broken:
            status, text = (404, "Not found.\n") if request.path == "/robots.txt" else (500, "The press has stopped.\n")
            return web.Response(status=status, text=text)
        if outlet.slow and request.path != "/robots.txt":
            await asyncio.sleep(self.slow)
        document = self._documents.get(outlet, request.path)
        if document is None:
            return web.Response(status=404, text="There is no such page, or not yet.\n")
        return respond(document, request.headers)

    async def _control(self, request: web.Request) -> web.Response:
        match request.path:
            case "/stats":
                return web.json_response(self.stats.snapshot())
            case "/reset":
                self.stats.reset()
                return web.json_response({"reset": True})
            case "/outlets":
                return web.json_response([self._describe(outlet) for outlet in OUTLETS.values()])
            case "/update":
                return self._update(
                    request.query.get("outlet", ""), request.query.get("slug", ""), await request.text()
                )
            case _:
                paths = ["/stats", "/reset", "/outlets", "/update?outlet=KEY&slug=SLUG (POST, the paragraph as body)"]
                return web.json_response({"paths": paths}, status=200 if request.path == "/" else 404)

    def _describe(self, outlet: Outlet) -> dict[str, Any]:
        base = self.site.base(outlet)
        return {
            "key": outlet.key,
            "name": outlet.name,
            "home": f"{base}/",
            "feed": base + outlet.feed_path,
            "format": outlet.feed,
            "out": len(self.site.stories(outlet)),
            "total": self.site.total(outlet),
        }

    def _update(self, outlet: str, slug: str, text: str) -> web.Response:
        if outlet not in OUTLETS or not text.strip():
            return web.json_response({"error": f"POST a paragraph; outlet is one of {list(OUTLETS)}"}, status=400)
        try:
            story = self.site.update_story(outlet, slug, " ".join(text.split()))
        except LookupError as error:
            return web.json_response({"error": str(error)}, status=404)
        return web.json_response({"url": story.url, "updated": story.updated.isoformat()})


def respond(document: Document, headers: Any) -> web.Response:
    """Answer with the document, packed if the client takes that, or with 304 if it has it already."""
    answer = {
        "ETag": document.etag,
        "Last-Modified": format_datetime(document.modified, usegmt=True),
        "Vary": "Accept-Encoding",
        "Cache-Control": "no-cache",
    }
    if is_unchanged(document, headers.get("If-None-Match"), headers.get("If-Modified-Since")):
        return web.Response(status=304, headers=answer)
    answer["Content-Type"] = document.content_type
    if accepts_gzip(headers.get("Accept-Encoding", "")):
        return web.Response(body=document.packed, headers=answer | {"Content-Encoding": "gzip"})
    return web.Response(body=document.body, headers=answer)


def is_unchanged(document: Document, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Apply RFC 9110, 13.1: If-None-Match decides alone where it stands, by weak comparison; dates count otherwise."""
    if if_none_match is not None:
        tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        return "*" in tags or document.etag.removeprefix("W/") in tags
    if if_modified_since is None:
        return False
    try:
        since = parsedate_to_datetime(if_modified_since)
    except ValueError:
        return False  # a date that cannot be read is to be ignored
    return document.modified <= _aware(since)


def accepts_gzip(header: str) -> bool:
    """Return whether an Accept-Encoding header allows gzip: named or by `*`, and not with a weight of zero."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        coding, _, parameter = part.partition(";")
        try:
            weights[coding.strip()] = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            weights[coding.strip()] = 1.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _aware(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
