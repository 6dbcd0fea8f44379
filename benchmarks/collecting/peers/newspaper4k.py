"""newspaper4k, eight pages at once: `python -m benchmarks.collecting.peers.newspaper4k DATABASE_URL SITE`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import newspaper

from benchmarks.collecting.peers.common import Rows, measure, pages_of

AT_ONCE = 8


def collect(site: dict[str, Any], rows: Rows) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for article in pool.map(read, pages_of(site)):
            if article is not None:
                rows.add(article.url, article.title, article.text, article.authors, article.publish_date)


def read(url: str) -> Any:
    article = newspaper.Article(url)
    try:
        article.download()
        article.parse()
    except Exception:  # Not its own alone: a page in Korean, say, wants a library that it does not require.
        return None
    return article


if __name__ == "__main__":
    measure(collect)
