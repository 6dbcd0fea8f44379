"""fundus, threaded as it comes: `python -m benchmarks.collecting.peers.fundus DATABASE_URL SITE`.

Its parsers are written site by site; here one takes every paragraph of a page, so that its speed is measured alone and
its texts count for nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fundus import Crawler
from fundus.parser import ArticleBody, BaseParser, ParserProxy, attribute
from fundus.parser.utility import (
    extract_article_body_with_selector,
    generic_author_parsing,
    generic_date_parsing,
)
from fundus.publishers.base_objects import Publisher
from fundus.scraping.url import RSSFeed, Sitemap
from lxml.etree import XPath

from benchmarks.collecting.peers.common import Rows, listings, measure


class Paragraphs(ParserProxy):
    class V1(BaseParser):
        _paragraphs = XPath("//p[text()]")

        @attribute
        def body(self) -> ArticleBody | None:
            return extract_article_body_with_selector(self.precomputed.doc, paragraph_selector=self._paragraphs)

        @attribute
        def authors(self) -> list[str]:
            return generic_author_parsing(self.precomputed.ld.bf_search("author"))

        @attribute
        def publishing_date(self) -> datetime | None:
            return generic_date_parsing(self.precomputed.ld.bf_search("datePublished"))

        @attribute
        def title(self) -> str | None:
            return self.precomputed.meta.get("og:title")


def collect(site: dict[str, Any], rows: Rows) -> None:
    publishers = []
    for number, (host, url) in enumerate(zip(site["hosts"], listings(site), strict=True)):
        source = Sitemap(url, languages={"en"}) if number % 2 else RSSFeed(url, languages={"en"})
        made = Publisher(name=f"Outlet {number}", domain=host, parser=Paragraphs, sources=[source])
        made.__name__, made.__group__ = f"Outlet{number}", None
        publishers.append(made)
    for article in Crawler(*publishers, delay=0.0).crawl(only_complete=False):
        if article.body is not None:
            rows.add(article.html.requested_url, article.title, article.plaintext, article.authors,
                     article.publishing_date)  # fmt: skip


if __name__ == "__main__":
    measure(collect)
