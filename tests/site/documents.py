"""What stands at which path of an outlet. A document is made once for each state of its stories, then kept."""

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from tests.site import feeds, pages
from tests.site.outlets import FEED_TYPES, Outlet
from tests.site.publishing import PublishedStory, Site

_STORY_PREFIX: Final = "/2026/11/"
_MEDIA_PREFIX: Final = "/media/"
_SECTION_PREFIX: Final = "/section/"
_HTML: Final = "text/html; charset=utf-8"
_XML: Final = "application/xml; charset=utf-8"
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Document:
    """A body with its type and the instant of its last change; the validator and the packed form follow from it."""

    body: bytes
    content_type: str
    modified: datetime

    @cached_property
    def etag(self) -> str:
        """Return the validator; a weak one, since the packed and the plain form share it."""
        return f'W/"{hashlib.sha256(self.body).hexdigest()[:20]}"'

    @cached_property
    def packed(self) -> bytes:
        """Return the body packed with gzip, the same bytes each time."""
        return gzip.compress(self.body, mtime=0)


class Documents:
    """Every document of every outlet, as of the site's clock."""

    def __init__(self, site: Site, crawl_delay: float | None = None) -> None:
        """Serve the stories of `site`; `crawl_delay` is in seconds and goes into robots.txt."""
        self._site = site
        self._crawl_delay = crawl_delay
        self._epoch = datetime.fromtimestamp(site.epoch, UTC)
        self._kept: dict[tuple[str, str], tuple[object, Document]] = {}

    def get(self, outlet: Outlet, path: str) -> Document | None:
        """Return the document at a path without its query, or None if there is none (yet)."""
        stories = self._site.stories(outlet)
        if path.startswith(_STORY_PREFIX):
            return self._story(outlet, path, stories)
        render = self._renderers(outlet, stories).get(path)
        if render is None and path.startswith(_MEDIA_PREFIX):
            slug = path.removeprefix(_MEDIA_PREFIX).removesuffix(".svg")
            render = (lambda: pages.render_picture(slug), "image/svg+xml") if slug.replace("-", "").isalnum() else None
        if render is None:
            return None
        make, content_type = render
        modified = feeds.last_change(stories) if stories else self._epoch
        return self._keep(outlet, path, (len(stories), modified, len(render)), make, content_type, modified)

    def _story(self, outlet: Outlet, path: str, stories: list[PublishedStory]) -> Document | None:
        slug = path.removeprefix(_STORY_PREFIX)
        place = next((i for i, story in enumerate(stories) if story.slug == slug), None)
        if place is None:
            return None
        story, earlier = stories[place], stories[place + 1 :]
        base = self._site.base(outlet)
        state = (story.updated, story.extra)
        return self._keep(
            outlet, path, state, lambda: pages.render_story(story, base, earlier), _HTML, story.updated
        )

    def _renderers(
        self, outlet: Outlet, stories: list[PublishedStory]
    ) -> dict[str, tuple[Callable[[], str], str]]:
        base = self._site.base(outlet)
        table: dict[str, tuple[Callable[[], str], str]] = {
            "/": (lambda: pages.render_home(outlet, base, stories), _HTML),
            "/robots.txt": (lambda: feeds.render_robots(outlet, base, self._crawl_delay), _TEXT),
            "/about": (lambda: pages.render_notice(outlet, base, "About us", ABOUT), _HTML),
            "/private/staff": (lambda: pages.render_notice(outlet, base, "Staff", PRIVATE), _HTML),
            outlet.feed_path: (
                lambda: feeds.render_feed(outlet, base, stories),
                f"{FEED_TYPES[outlet.feed]}; charset=utf-8",
            ),
        }
        if outlet.sitemaps:
            table["/sitemap.xml"] = (lambda: feeds.render_sitemap(base, stories), _XML)
            table["/news-sitemap.xml"] = (lambda: feeds.render_news_sitemap(outlet, stories), _XML)
        for section in {story.story.section for story in stories}:
            table[pages.section_path(section)] = (_section(outlet, base, stories, section), _HTML)
        return table

    def _keep(
        self,
        outlet: Outlet,
        path: str,
        state: object,
        make: Callable[[], str],
        content_type: str,
        modified: datetime,
    ) -> Document:
        known = self._kept.get((outlet.key, path))
        if known is None or known[0] != state:
            known = (state, Document(make().encode(), content_type, modified))
            self._kept[outlet.key, path] = known
        return known[1]


ABOUT: Final = "This outlet is part of the sample news site of NEWSS. Its people, places and events are invented."
PRIVATE: Final = "You were asked not to come here."


def _section(outlet: Outlet, base: str, stories: list[PublishedStory], section: str) -> Callable[[], str]:
    """Bind the loop variable: a lambda in the loop would see the last section only."""
    chosen = [story for story in stories if story.story.section == section]
    return lambda: pages.render_home(outlet, base, chosen, section)
