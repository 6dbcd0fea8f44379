"""news-please, eight pages at once: `python -m benchmarks.collecting.peers.newsplease DATABASE_URL SITE`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from newsplease import NewsPlease

from benchmarks.collecting.peers.common import Rows, measure, pages_of

AT_ONCE = 8


def collect(site: dict[str, Any], rows: Rows) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for url, article in pool.map(read, pages_of(site)):
            if article is not None:
                rows.add(url, article.title, article.maintext, article.authors, article.date_publish)


def read(url: str) -> tuple[str, Any]:
    try:
        return url, NewsPlease.from_url(url, fetch_images=False) or None
    except Exception:  # It lets through whatever its extractors raise.
        return url, None


if __name__ == "__main__":
    measure(collect)
