"""The local site of the benchmark: some hundred hosts on loopback addresses, served from memory by one process.

    python -m benchmarks.collecting.world --hosts N --copies N --feeds N      prints one line of JSON when it serves

Each page of `shared/data/pages` (else each story of the sample site) is served `copies` times at an address of its own.
In all copies but the first the vowels of longer words are exchanged, so that each is a story of its own of the same
length and form. Each host has a robots.txt, a feed (`/feed.xml`) and a sitemap (`/sitemap.xml`) of its pages, and
`feeds` small feeds that carry the text of their one entry (`/small/N.xml`). All but robots.txt has an ETag and is
answered by 304 to who knows it. `/_stats` tells what was asked, `/_reset` forgets it.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import itertools
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from xml.sax.saxutils import escape

from benchmarks.collecting.quality import pages
from tests.site import SiteServer
from tests.site.serving import bind

VOWELS = ["".join(order) for order in itertools.permutations("aeiou")]
STARTED = datetime.now(UTC).replace(microsecond=0)
#: Where no letters may be exchanged: what stands in tags, scripts other than JSON-LD, styles, comments, and entities.
_MARKUP = re.compile(
    r"<script(?![^>]*ld\+json)[^>]*>.*?</script>|<style.*?</style>|<!--.*?-->|<[^>]*>|&\w+;", re.DOTALL | re.IGNORECASE
)
_WORD = re.compile(r"\b[a-z]{5,}")
_STATEMENTS = re.compile(r"(<script[^>]*ld\+json[^>]*>)(.*?)(</script>)", re.DOTALL | re.IGNORECASE)
_SPOKEN = re.compile(r'("(?:headline|articleBody|description)"\s*:\s*")((?:[^"\\]|\\.)*)', re.DOTALL)
_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{4}|\\.")


@dataclass(frozen=True)
class Page:
    """A page: its HTML, its right text where that is known, and its title."""

    name: str
    html: str
    text: str
    title: str


@dataclass
class Answer:
    """The bytes that are sent for an address: in full (packed and plain), or where nothing has changed."""

    etag: bytes
    packed: bytes
    plain: bytes
    unchanged: bytes

    @classmethod
    def of(cls, body: bytes, content_type: str, *, validated: bool = True) -> Answer:
        etag = hashlib.sha256(body).hexdigest()[:20]
        tag = f'ETag: "{etag}"\r\n' if validated else ""
        packed = gzip.compress(body, 1, mtime=0)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{tag}Content-Length: "
        return cls(
            f'"{etag}"'.encode() if validated else b"-",
            f"{head}{len(packed)}\r\nContent-Encoding: gzip\r\n\r\n".encode() + packed,
            f"{head}{len(body)}\r\n\r\n".encode() + body,
            f"HTTP/1.1 304 Not Modified\r\n{tag}\r\n".encode(),
        )


@dataclass
class Stats:
    """What was asked, in numbers."""

    requests: int = 0
    unchanged: int = 0
    bytes_sent: int = 0


class World:
    """The hosts and what they answer."""

    def __init__(self, hosts: int, copies: int, feeds: int) -> None:
        self.addresses = [f"127.10.{number // 250}.{1 + number % 250}" for number in range(hosts)]
        self.sockets = bind(0, self.addresses)
        self.port = self.sockets[0].getsockname()[1]
        self.stats = Stats()
        self.answers: dict[tuple[str, str], Answer] = {}
        self.truth: dict[str, str] = {}
        self.count = 0
        found = source_pages()
        entries: dict[str, list[tuple[str, str]]] = {address: [] for address in self.addresses}
        for copy in range(copies):
            for number, page in enumerate(found):
                address = self.addresses[(number * copies + copy) % hosts]
                path = f"/news/{copy}/{number}/story.html"
                entries[address].append((path, varied_text(page.title, copy)))
                self.answers[address, path] = Answer.of(varied(page.html, copy).encode(), "text/html; charset=utf-8")
                if copy == 0 and page.text:
                    self.truth[self.url(address, path)] = page.text
                self.count += 1
        for place, address in enumerate(self.addresses):
            self._listings(address, entries[address], feeds, place, found)

    def url(self, address: str, path: str) -> str:
        return f"http://{address}:{self.port}{path}"

    def describe(self) -> dict[str, object]:
        return {
            "hosts": [f"http://{address}:{self.port}" for address in self.addresses],
            "pages": self.count,
            "truth": self.truth,
        }

    def _listings(
        self, address: str, entries: list[tuple[str, str]], feeds: int, place: int, found: list[Page]
    ) -> None:
        when = [format_datetime(STARTED - timedelta(minutes=number), usegmt=True) for number in range(len(entries))]
        rows = [(self.url(address, path), title, day, "") for (path, title), day in zip(entries, when, strict=True)]
        sitemap = "".join(f"<url><loc>{escape(url)}</loc></url>" for url, *_rest in rows)
        sitemap = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{sitemap}</urlset>'
        self.answers[address, "/robots.txt"] = Answer.of(
            b"User-agent: *\nDisallow: /private/\n", "text/plain", validated=False
        )
        self.answers[address, "/feed.xml"] = Answer.of(rss(address, rows), "application/rss+xml; charset=utf-8")
        self.answers[address, "/sitemap.xml"] = Answer.of(sitemap.encode(), "application/xml")
        for number in range(feeds):
            copy, story = divmod(place * feeds + number, len(found))
            page, copy = found[story], copy % len(VOWELS)
            day = when[0] if when else format_datetime(STARTED, usegmt=True)
            text = f"{place} {number} {varied_text(page.text, copy)[:1500]}"
            entry = (self.url(address, f"/small/{number}.html"), varied_text(page.title, copy), day, text)
            self.answers[address, f"/small/{number}.xml"] = Answer.of(rss(address, [entry]), "application/rss+xml")


class Http(asyncio.Protocol):
    """As much of HTTP/1.1 as the benchmark's clients speak: GET, kept connections, If-None-Match, gzip."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, _, self._waiting = self._waiting.partition(b"\r\n\r\n")
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        line, _, rest = head.partition(b"\r\n")
        path = line.split(b" ")[1].decode("latin-1")
        headers = dict(part.split(b":", 1) for part in rest.lower().split(b"\r\n") if b":" in part)
        stats, sent = self._world.stats, b""
        answer = self._world.answers.get((self._address, path))
        if path.startswith("/_"):
            sent = self._control(path)
        elif answer is None:
            sent = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        elif headers.get(b"if-none-match", b"").strip() == answer.etag:
            sent, stats.unchanged = answer.unchanged, stats.unchanged + 1
        else:
            sent = answer.packed if b"gzip" in headers.get(b"accept-encoding", b"") else answer.plain
        if not path.startswith("/_"):
            stats.requests += 1
            stats.bytes_sent += len(sent)
        self._transport.write(sent)
        if headers.get(b"connection", b"").strip() == b"close":
            self._transport.close()

    def _control(self, path: str) -> bytes:
        if path == "/_reset":
            self._world.stats = Stats()
        stats = self._world.stats
        figures = {"requests": stats.requests, "unchanged": stats.unchanged, "bytes": stats.bytes_sent}
        body = json.dumps(figures | {"server_cpu_s": round(time.process_time(), 2)}).encode()
        return (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )


def source_pages() -> list[Page]:
    """Return the real pages where they are here, else those of the sample site."""
    found = [
        Page(case.id, case.body.decode("utf-8", "replace"), case.texts[0], case.texts[0].partition("\n")[0][:90])
        for case in pages()
    ]
    return found or _own_pages()


def _own_pages() -> list[Page]:
    import urllib.request

    found = []
    with SiteServer(show_all=True) as site:
        for outlet in ("courier", "upland", "signal"):
            for story in site.stories(outlet):
                with urllib.request.urlopen(story.url, timeout=10) as answer:
                    html = answer.read().decode()
                found.append(Page(story.slug, html, story.text, story.title))
    return found


def varied(html: str, copy: int) -> str:
    """Return a page that tells another story of the same length and form; the first copy is the page itself."""
    if not copy:
        return html
    parts, at = [], 0
    for match in _MARKUP.finditer(html):
        parts += [varied_text(html[at : match.start()], copy), match.group()]
        at = match.end()
    parts.append(varied_text(html[at:], copy))
    return _STATEMENTS.sub(lambda match: match[1] + _SPOKEN.sub(lambda said: _said(said, copy), match[2]) + match[3],
                           _restored(html, "".join(parts)))  # fmt: skip


def _restored(html: str, changed: str) -> str:
    """Put the statements of JSON-LD back as they were: their letters are exchanged where they are spoken text alone."""
    before = iter(_STATEMENTS.findall(html))
    return _STATEMENTS.sub(lambda _match: "".join(next(before)), changed)


def _said(match: re.Match[str], copy: int) -> str:
    parts, at, text = [], 0, match[2]
    for escaped in _ESCAPE.finditer(text):
        parts += [varied_text(text[at : escaped.start()], copy), escaped.group()]
        at = escaped.end()
    return match[1] + "".join(parts) + varied_text(text[at:], copy)


def varied_text(text: str, copy: int) -> str:
    """Return a text with the vowels of its longer words exchanged, in one of 120 ways; names and months stay."""
    order = str.maketrans("aeiou", VOWELS[(copy * 7) % len(VOWELS)])
    return _WORD.sub(lambda word: word[0].translate(order), text)


def rss(address: str, rows: list[tuple[str, str, str, str]]) -> bytes:
    """Return a feed of (address, title, date, text)."""
    items = "".join(
        f"<item><title>{escape(title)}</title><link>{escape(url)}</link><guid>{escape(url)}</guid>"
        f"<pubDate>{day}</pubDate>"
        + (f"<content:encoded>{escape(f'<p>{escape(text)}</p>')}</content:encoded>" if text else "")
        + "</item>"
        for url, title, day, text in rows
    )
    head = f"<title>Outlet {address}</title><link>http://{address}/</link><description>News</description>"
    return (
        '<?xml version="1.0" encoding="utf-8"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">'
        f"<channel>{head}{items}</channel></rss>"
    ).encode()


async def serve(world: World) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Http(world), sock=sock, backlog=256) for sock in world.sockets]
    print(json.dumps(world.describe()), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main() -> None:
    """Build the world and serve it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collecting.world")
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--copies", type=int, default=20)
    parser.add_argument("--feeds", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(serve(World(options.hosts, options.copies, options.feeds)))


if __name__ == "__main__":
    main()
