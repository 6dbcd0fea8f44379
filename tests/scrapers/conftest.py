"""Fixtures for tests of collecting: runs without a scheduler, small servers on loopback addresses, the sample site."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from django.utils import timezone

from scheduling.jobs import JobError, JobResult, RunContext, registry
from scheduling.models import Run, RunStatus
from scrapers.database import DatabaseThread
from scrapers.fetch.answers import Answer
from scrapers.fetch.client import Fetcher
from scrapers.models import SourceResult
from tests import factories
from tests.scrapers.newsworld import running_world, world  # noqa: F401  fixtures
from tests.site import SiteServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def _fast(settings: Any) -> None:
    """Wait for nobody, where the wait is not what is tested."""
    settings.NEWSS_HOST_DELAY_SECONDS = 0.0
    settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.0/8"]


@dataclass
class Collected:
    """What a run of the job brought."""

    run: Run
    result: JobResult | None
    error: JobError | None

    def of(self, name: str) -> SourceResult:
        """Return how a source went."""
        return SourceResult.objects.get(run=self.run, source_name=name)

    @property
    def log(self) -> str:
        """Return the run's log."""
        return "\n".join(self.run.log_lines.values_list("message", flat=True))


def running_context(**parameters: Any) -> RunContext:
    """Return the context of a claimed run of the job, with parameters as the API takes them."""
    cleaned = registry.get("run_all_scrapers").clean(parameters)
    run = factories.run(
        job="run_all_scrapers",
        status=RunStatus.RUNNING,
        claim_token="test",
        started_at=timezone.now(),
        parameters=cleaned,
    )
    return RunContext(run)


def execute(context: RunContext) -> Collected:
    """Execute the job in this process, as an executor would."""
    result, failure = None, None
    context.open()
    try:
        result = registry.get("run_all_scrapers").function(context, **context.parameters)
    except JobError as error:
        failure = error
    finally:
        context.close()
    return Collected(Run.objects.get(pk=context.run_id), result, failure)


@pytest.fixture
def collect_news() -> Callable[..., Collected]:
    """Return a function that runs the job with parameters and returns what it brought."""
    return lambda **parameters: execute(running_context(**parameters))


@pytest.fixture
def site() -> Iterator[SiteServer]:
    """The sample site with eight stories an outlet, none new while the test lasts."""
    with SiteServer(reveal=10_000, slow=0.05) as server:
        yield server


@dataclass
class Asked:
    """A request that a server got."""

    path: str
    headers: dict[str, str]


@dataclass
class LocalServer:
    """A server in a thread, on any loopback address, whose routes a test sets."""

    address: str
    routes: dict[str, Handler] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    #: Whether what was asked for with the ETag that it has is answered by 304.
    conditional: bool = False

    def url(self, path: str = "/") -> str:
        """Return an address of this server."""
        return f"http://{self.address}:{self.port}{path}"

    def answer(self, path: str, body: bytes | str = b"", status: int = 200, **headers: str) -> None:
        """Let a path answer always the same; a header's name is given with _ for -."""
        data = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def handler(request: web.Request) -> web.Response:
            if self.conditional and request.headers.get("If-None-Match", "-") == named.get("ETag"):
                return web.Response(status=304)
            return web.Response(status=status, body=data, headers={"Content-Type": "text/html", **named})

        self.routes[path] = handler

    def paths(self) -> list[str]:
        """Return what was asked for, robots.txt left out."""
        return [asked.path for asked in self.asked if asked.path != "/robots.txt"]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.path_qs, dict(request.headers)))
        handler = self.routes.get(request.path)
        return await handler(request) if handler else web.Response(status=404)


@pytest.fixture
def serve() -> Iterator[Callable[..., LocalServer]]:
    """Return a function that starts a server on a loopback address and a port (0: a free one)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runners: list[web.AppRunner] = []

    async def start(server: LocalServer) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, server.address, server.port).start()
        server.port = runner.addresses[0][1]
        runners.append(runner)

    def make(address: str = "127.0.0.1", port: int = 0) -> LocalServer:
        server = LocalServer(address, port=port)
        asyncio.run_coroutine_threadsafe(start(server), loop).result(5)
        return server

    async def stop() -> None:
        for runner in runners:
            await runner.cleanup()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    yield make
    asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def fetch() -> Callable[..., Answer]:
    """Return a function that fetches one address as a run does, or raises `CollectError`."""

    async def once(url: str, **options: Any) -> Answer:
        database = DatabaseThread()
        try:
            async with Fetcher(database) as fetcher:
                return await fetcher.fetch(url, **options)
        finally:
            await database.close()

    return lambda url, **options: asyncio.run(once(url, **options))
