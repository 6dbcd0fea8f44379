"""Feeds, sitemaps and robots.txt of an outlet as text. Every date in them is a story's; none is the clock's."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape
from typing import Any, Final

from tests.site.outlets import FEED_TYPES, Outlet
from tests.site.pages import body_html
from tests.site.publishing import PublishedStory

XML_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NEVER: Final = datetime(2026, 11, 1, tzinfo=UTC)


def render_feed(outlet: Outlet, base: str, stories: Sequence[PublishedStory]) -> str:
    """Return the feed of an outlet in its own format."""
    return {"rss": render_rss, "atom": render_atom, "json": render_json_feed}[outlet.feed](outlet, base, stories)


def last_change(stories: Sequence[PublishedStory]) -> datetime:
    """Return when the newest change among the stories was made."""
    return max((story.updated for story in stories), default=_NEVER)


def feed_link(story: PublishedStory) -> str:
    """Return the address as the feed gives it: with tracking parameters where the outlet uses them."""
    return f"{story.url}?{story.outlet.tracking}" if story.outlet.tracking else story.url


def render_rss(outlet: Outlet, base: str, stories: Sequence[PublishedStory]) -> str:
    """Return an RSS 2.0 feed; updates stand in atom:updated and dcterms:modified, since RSS has no word for them."""
    items = "\n".join(_rss_item(story) for story in stories)
    return (
        f'{XML_DECLARATION}<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"'
        ' xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:dcterms="http://purl.org/dc/terms/">\n<channel>\n'
        f"<title>{escape(outlet.name)}</title>\n<link>{base}/</link>\n"
        f"<description>{escape(outlet.tagline)}</description>\n<language>en</language>\n"
        f"<lastBuildDate>{format_datetime(last_change(stories), usegmt=True)}</lastBuildDate>\n"
        f'<atom:link href="{base}{outlet.feed_path}" rel="self" type="{FEED_TYPES["rss"]}"/>\n'
        f"{items}\n</channel>\n</rss>\n"
    )


def _rss_item(story: PublishedStory) -> str:
    lines = [
        f"<title>{escape(story.title)}</title>",
        f"<link>{escape(feed_link(story))}</link>",
        f'<guid isPermaLink="false">{_identity(story)}</guid>',
        f"<pubDate>{format_datetime(story.published, usegmt=True)}</pubDate>",
        *(f"<dc:creator>{escape(name)}</dc:creator>" for name in story.authors),
        f"<category>{escape(story.story.section)}</category>",
        *(f"<category>{escape(word)}</category>" for word in story.story.keywords),
        f"<description>{escape(story.summary)}</description>",
    ]
    if story.was_updated:
        stamp = story.updated.isoformat()
        lines += [f"<atom:updated>{stamp}</atom:updated>", f"<dcterms:modified>{stamp}</dcterms:modified>"]
    if story.story.full_in_feed:
        lines.append(f"<content:encoded><![CDATA[{body_html(story)}]]></content:encoded>")
    return "<item>\n" + "\n".join(lines) + "\n</item>"


def render_atom(outlet: Outlet, base: str, stories: Sequence[PublishedStory]) -> str:
    """Return an Atom feed (RFC 4287)."""
    entries = "\n".join(_atom_entry(story) for story in stories)
    return (
        f'{XML_DECLARATION}<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">\n'
        f"<id>tag:{outlet.domain},2026:feed</id>\n<title>{escape(outlet.name)}</title>\n"
        f"<subtitle>{escape(outlet.tagline)}</subtitle>\n<updated>{last_change(stories).isoformat()}</updated>\n"
        f'<link rel="self" type="{FEED_TYPES["atom"]}" href="{base}{outlet.feed_path}"/>\n'
        f'<link rel="alternate" type="text/html" href="{base}/"/>\n{entries}\n</feed>\n'
    )


def _atom_entry(story: PublishedStory) -> str:
    authors = "".join(f"<author><name>{escape(name)}</name></author>" for name in story.authors)
    words = "".join(f'<category term="{escape(word)}"/>' for word in (story.story.section, *story.story.keywords))
    return (
        f"<entry>\n<id>{_identity(story)}</id>\n<title>{escape(story.title)}</title>\n"
        f'<link rel="alternate" type="text/html" href="{escape(feed_link(story))}"/>\n'
        f"<published>{story.published.isoformat()}</published>\n<updated>{story.updated.isoformat()}</updated>\n"
        f'{authors}\n{words}\n<summary type="text">{escape(story.summary)}</summary>\n</entry>'
    )


def render_json_feed(outlet: Outlet, base: str, stories: Sequence[PublishedStory]) -> str:
    """Return a JSON Feed 1.1."""
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": outlet.name,
        "description": outlet.tagline,
        "home_page_url": f"{base}/",
        "feed_url": base + outlet.feed_path,
        "language": "en",
        "items": [_json_item(story) for story in stories],
    }
    return json.dumps(feed, ensure_ascii=False, indent=1)


def _json_item(story: PublishedStory) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": _identity(story),
        "url": feed_link(story),
        "title": story.title,
        "summary": story.summary,
        # The format wants a content in each item; like many outlets this one gives away no more than the standfirst.
        "content_text": story.summary,
        "date_published": story.published.isoformat(),
        "authors": [{"name": name} for name in story.authors],
        "tags": [story.story.section, *story.story.keywords],
        "language": story.language,
    }
    if story.was_updated:
        item["date_modified"] = story.updated.isoformat()
    return item


def _identity(story: PublishedStory) -> str:
    return f"tag:{story.outlet.domain},2026:{story.slug}"


def render_sitemap(base: str, stories: Sequence[PublishedStory]) -> str:
    """Return the plain sitemap: the home page and every story, each with its last change."""
    entries = [(f"{base}/", last_change(stories)), *((story.url, story.updated) for story in stories)]
    urls = "\n".join(
        f"<url><loc>{escape(url)}</loc><lastmod>{when.isoformat()}</lastmod></url>" for url, when in entries
    )
    return f'{XML_DECLARATION}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}\n</urlset>\n'


def render_news_sitemap(outlet: Outlet, stories: Sequence[PublishedStory]) -> str:
    """Return the news sitemap: title, language and publication instant of every story."""
    urls = "\n".join(
        f"<url><loc>{escape(story.url)}</loc><news:news><news:publication><news:name>{escape(outlet.name)}</news:name>"
        f"<news:language>{story.language}</news:language></news:publication>"
        f"<news:publication_date>{story.published.isoformat()}</news:publication_date>"
        f"<news:title>{escape(story.title)}</news:title></news:news></url>"
        for story in stories
    )
    return (
        f'{XML_DECLARATION}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
        f' xmlns:news="http://www.google.com/schemas/sitemap-news/0.9">\n{urls}\n</urlset>\n'
    )


def render_robots(outlet: Outlet, base: str, crawl_delay: float | None) -> str:
    """Return robots.txt; the crawl delay is in seconds and stands only where the outlet welcomes visitors."""
    if outlet.forbidden:
        return "User-agent: *\nDisallow: /\n"
    lines = ["User-agent: *", "Disallow: /private/"]
    if crawl_delay is not None:
        lines.append(f"Crawl-delay: {crawl_delay:g}")
    if outlet.sitemaps:
        lines += ["", f"Sitemap: {base}/sitemap.xml", f"Sitemap: {base}/news-sitemap.xml"]
    return "\n".join(lines) + "\n"
