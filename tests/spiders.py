"""Spiders as people have them, for the tests of that kind of source."""

from __future__ import annotations

import os
import time
from typing import Any

import scrapy


class Tides(scrapy.Spider):
    name = "tides"
    custom_settings = {"ROBOTSTXT_OBEY": False, "USER_AGENT": "Mozilla", "CONCURRENT_REQUESTS_PER_DOMAIN": 16}

    def parse(self, response: Any) -> Any:
        print("noise on standard output")
        if getattr(self, "hang", ""):
            time.sleep(60)
        if getattr(self, "die", ""):
            os._exit(7)
        for link in response.css("a::attr(href)").getall():
            yield response.follow(link, self.story)

    def story(self, response: Any) -> Any:
        yield {
            "url": response.url,
            "title": response.css("h1::text").get(),
            "text": response.css("p::text").getall() if getattr(self, "full", "") else "",
            "author": f"Ann {os.environ.get('SECRET_KEY', 'Bo')}",
            "date": "2026-11-20T10:00:00+01:00",
        }


class NoSpider:
    pass


class Lister(scrapy.Spider):
    """Yields what a listing links to, for NEWSS to fetch."""

    name = "lister"

    def parse(self, response: Any) -> Any:
        for teaser in response.css("article.teaser"):
            yield {"url": response.urljoin(teaser.css("a::attr(href)").get()), "title": teaser.css("a::text").get()}
        for link in response.css("a[rel=next]"):
            yield response.follow(link, self.parse)
