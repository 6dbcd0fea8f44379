"""What the peers share: the site, the rows that they store, their figures. Runs in a peer's own environment."""

from __future__ import annotations

import json
import resource
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psycopg2
from psycopg2.extras import execute_values

BATCH = 100
_TABLE = "CREATE TABLE peer_article (url text PRIMARY KEY, title text, text text, authors text, published text)"
_INSERT = "INSERT INTO peer_article VALUES %s ON CONFLICT DO NOTHING"


class Rows:
    """Articles in a table of the same database, stored in batches."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._waiting: list[tuple[str, str, str, str, str]] = []
        self.count = 0
        self.first_at: float | None = None
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(_TABLE)

    def add(self, url: str, title: Any, text: Any, authors: Any, published: Any) -> None:
        """Store an article that has a text."""
        if not text:
            return
        self._waiting.append((url, str(title or ""), str(text), str(authors or ""), str(published or "")))
        self.count += 1
        self.first_at = self.first_at or time.perf_counter()
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Store what waits."""
        if self._waiting:
            with self._connection, self._connection.cursor() as cursor:
                execute_values(cursor, _INSERT, self._waiting)
            self._waiting = []

    def texts(self, urls: list[str]) -> dict[str, str]:
        """Return the texts that were stored for some addresses."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("SELECT url, text FROM peer_article WHERE url = ANY(%s)", [urls])
            return dict(cursor.fetchall())


def listings(site: dict[str, Any]) -> list[str]:
    """Return the addresses to begin with: the feed of each other host, the sitemap of the others."""
    return [f"{host}/{'sitemap' if number % 2 else 'feed'}.xml" for number, host in enumerate(site["hosts"])]


def addresses_in(body: bytes) -> list[str]:
    """Return the addresses of pages that a feed or sitemap lists."""
    root = ElementTree.fromstring(body)
    items = [item.findtext("link") for item in root.iter("item")]
    return [url for url in items or [entry.text for entry in root.iter() if entry.tag.endswith("}loc")] if url]


def pages_of(site: dict[str, Any]) -> list[str]:
    """Return the addresses of all pages, asked for from the site, for peers that read no feeds themselves."""
    found = []
    for url in listings(site):
        with urllib.request.urlopen(url, timeout=30) as answer:
            found += addresses_in(answer.read())
    return found


def server_cpu(site: dict[str, Any]) -> float:
    """Return the processor seconds that the site's server has taken."""
    with urllib.request.urlopen(f"{site['hosts'][0]}/_stats", timeout=30) as answer:
        return float(json.loads(answer.read())["server_cpu_s"])


def measure(collect: Callable[[dict[str, Any], Rows], None]) -> None:
    """Run a peer by its command line (DATABASE_URL SITE) and print its figures as JSON."""
    url, path = sys.argv[1:]
    site = json.loads(Path(path).read_text())
    rows = Rows(url)
    before = server_cpu(site)
    began, cpu = time.perf_counter(), time.process_time()
    collect(site, rows)
    rows.flush()
    figures = {
        "seconds": round(time.perf_counter() - began, 3),
        "first_article_s": round(rows.first_at - began, 3) if rows.first_at else None,
        "cpu_s": round(time.process_time() - cpu, 2),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
        "server_cpu_s": round(server_cpu(site) - before, 2),
        "pages": rows.count,
        "texts": rows.texts(list(site["truth"])),
    }
    print(json.dumps(figures), flush=True)
