"""A Scrapy spider with trafilatura in its callback: `python -m benchmarks.collecting.peers.scrapy DATABASE_URL SITE`.

It obeys robots.txt, asks a host as often at once as NEWSS does, waits for nobody, and stores in batches.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import scrapy
import trafilatura
from scrapy.crawler import CrawlerProcess

from benchmarks.collecting.peers.common import Rows, addresses_in, listings, measure

SETTINGS = {
    "ROBOTSTXT_OBEY": True,
    "CONCURRENT_REQUESTS": 64,
    "CONCURRENT_REQUESTS_PER_DOMAIN": 4,
    "DOWNLOAD_DELAY": 0,
    "COOKIES_ENABLED": False,
    "RETRY_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_LEVEL": "ERROR",
}


class News(scrapy.Spider):
    """From the feeds and sitemaps to stored articles."""

    name = "news"

    def __init__(self, site: dict[str, Any], rows: Rows, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._site, self._rows = site, rows

    async def start(self) -> AsyncIterator[scrapy.Request]:
        for url in listings(self._site):
            yield scrapy.Request(url, callback=self.parse)

    def parse(self, response: Any) -> Iterator[scrapy.Request]:
        for url in addresses_in(response.body):
            yield scrapy.Request(url, callback=self.page)

    def page(self, response: Any) -> None:
        found = trafilatura.bare_extraction(
            response.text, url=response.url, include_comments=False, with_metadata=True
        )  # fmt: skip
        if found is not None:
            self._rows.add(response.url, found.title, found.text, found.author, found.date)


def collect(site: dict[str, Any], rows: Rows) -> None:
    process = CrawlerProcess(SETTINGS)
    process.crawl(News, site=site, rows=rows)
    process.start()


if __name__ == "__main__":
    measure(collect)
