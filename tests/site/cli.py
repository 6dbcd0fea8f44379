"""The site from a shell: options, one line when it serves, one line when it cannot, an end at the first signal."""

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Sequence

from tests.site.outlets import CONTROL_ADDRESS, DEFAULT_PORT
from tests.site.publishing import Site
from tests.site.serving import Service, bind


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code: 0, or 1 if the port or a value cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        sockets = bind(options.port)
    except (OSError, OverflowError) as error:
        print(f"tests.site: {_reason(error, options.port)}", file=sys.stderr)
        return 1
    port = sockets[0].getsockname()[1]
    try:
        site = Site(
            port=port,
            start=options.start,
            reveal=options.reveal,
            show_all=options.all,
            epoch=options.epoch,
            update_after=options.update_after,
        )
    except ValueError as error:
        print(f"tests.site: {error}", file=sys.stderr)
        return 1
    service = Service(site, slow=options.slow, crawl_delay=options.crawl_delay)
    asyncio.run(_serve(service, sockets))
    return 0


async def _serve(service: Service, sockets: Sequence[socket.socket]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = await service.start(sockets)
    control = f"http://{CONTROL_ADDRESS}:{service.site.port}"
    print(f"Sample news site: see {control}/outlets (go on later with --epoch {service.site.epoch})", flush=True)
    await stop.wait()
    await runner.cleanup()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.site", description="Serve the sample news site.")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="one port for all addresses; 0: a free one")
    parser.add_argument("--start", type=int, default=8, help="stories of each outlet that are out at the start")
    parser.add_argument("--reveal", type=float, default=20.0, metavar="SECONDS", help="then one more each SECONDS")
    parser.add_argument("--all", action="store_true", help="all stories are out at the start")
    parser.add_argument("--epoch", type=float, metavar="UNIXTIME", help="the start, to go on after a restart")
    parser.add_argument("--update-after", type=float, metavar="SECONDS", help="update one story an outlet by then")
    parser.add_argument("--slow", type=float, default=3.0, metavar="SECONDS", help="how slow the Slow Gazette is")
    parser.add_argument("--crawl-delay", type=float, metavar="SECONDS", help="put a Crawl-delay into robots.txt")
    return parser


def _reason(error: OSError | OverflowError, port: int) -> str:
    if isinstance(error, OverflowError):
        return f"port {port} does not exist; choose one up to 65535"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use; end what uses it or choose another with --port"
        case errno.EACCES:
            return f"port {port} needs rights that this process lacks; choose one above 1023 with --port"
        case errno.EADDRNOTAVAIL:
            return "this system does not answer on all of 127.0.0.0/8 (Linux does); add 127.0.0.10 to .16 to loopback"
        case _:
            return f"cannot listen on port {port}: {os.strerror(error.errno or 0)}"
