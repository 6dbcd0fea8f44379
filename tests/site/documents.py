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

ABOUT: Final = "This outlet is part of the sample news site of NEWSS. Its people, places and events are invented."
PRIVATE: Final = "You were asked not to come here."


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


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a document is made, and the state of the stories it is made of: while that is equal, so is the document."""

    make: Callable[[], str]
    content_type: str
    modified: datetime
    state: object


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
        recipe = self._recipe(outlet, path)
        if recipe is None:
            return None
        known = self._kept.get((outlet.key, path))
        if known is None or known[0] != recipe.state:
            document = Document(recipe.make().encode(), recipe.content_type, recipe.modified)
            self._kept[outlet.key, path] = known = (recipe.state, document)
        return known[1]

    def _recipe(self, outlet: Outlet, path: str) -> Recipe | None:
        base, stories = self._site.base(outlet), self._site.stories(outlet)
        if path.startswith(_STORY_PREFIX):
            return _story(base, stories, path.removeprefix(_STORY_PREFIX))
        if path.startswith(_MEDIA_PREFIX):
            return self._picture(path.removeprefix(_MEDIA_PREFIX).removesuffix(".svg"), stories)
        if path.startswith(_SECTION_PREFIX):
            return self._section(outlet, stories, path)
        return self._fixed(outlet, path) or self._listing(outlet, path, stories)

    def _fixed(self, outlet: Outlet, path: str) -> Recipe | None:
        """Return what does not depend on the stories."""
        base = self._site.base(outlet)
        table: dict[str, tuple[Callable[[], str], str]] = {
            "/robots.txt": (lambda: feeds.render_robots(outlet, base, self._crawl_delay), _TEXT),
            "/about": (lambda: pages.render_notice(outlet, base, "About us", ABOUT), _HTML),
            "/private/staff": (lambda: pages.render_notice(outlet, base, "Staff", PRIVATE), _HTML),
        }
        return Recipe(*table[path], self._epoch, None) if path in table else None

    def _listing(self, outlet: Outlet, path: str, stories: list[PublishedStory]) -> Recipe | None:
        """Return what lists all stories: the home page, the feed, the sitemaps."""
        base = self._site.base(outlet)
        table: dict[str, tuple[Callable[[], str], str]] = {
            "/": (lambda: pages.render_home(outlet, base, stories), _HTML),
            outlet.feed_path: (
                lambda: feeds.render_feed(outlet, base, stories),
                f"{FEED_TYPES[outlet.feed]}; charset=utf-8",
            ),
        }
        if outlet.sitemaps:
            table["/sitemap.xml"] = (lambda: feeds.render_sitemap(base, stories), _XML)
            table["/news-sitemap.xml"] = (lambda: feeds.render_news_sitemap(outlet, stories), _XML)
        return Recipe(*table[path], self._modified(stories), _state(stories)) if path in table else None

    def _section(self, outlet: Outlet, stories: list[PublishedStory], path: str) -> Recipe | None:
        chosen = [story for story in stories if pages.section_path(story.story.section) == path]
        if not chosen:
            return None
        base, section = self._site.base(outlet), chosen[0].story.section
        return Recipe(
            lambda: pages.render_home(outlet, base, chosen, section), _HTML, self._modified(chosen), _state(chosen)
        )

    def _picture(self, slug: str, stories: list[PublishedStory]) -> Recipe | None:
        if slug not in {story.slug for story in stories}:
            return None
        return Recipe(lambda: pages.render_picture(slug), "image/svg+xml", self._epoch, None)

    def _modified(self, stories: list[PublishedStory]) -> datetime:
        return feeds.last_change(stories) if stories else self._epoch


def _story(base: str, stories: list[PublishedStory], slug: str) -> Recipe | None:
    place = next((i for i, story in enumerate(stories) if story.slug == slug), None)
    if place is None:
        return None
    story, earlier = stories[place], stories[place + 1 :]
    return Recipe(lambda: pages.render_story(story, base, earlier), _HTML, story.updated, story.extra)


def _state(stories: list[PublishedStory]) -> object:
    return [(story.slug, story.extra) for story in stories]
