"""What is out at which instant: the one place that knows the clock. It renders nothing and serves nothing.

An outlet's first stories lie spread over the two days before the epoch. Then one more comes out each `reveal` seconds,
staggered over the outlets, until all are out. Everything follows from the epoch, so a site that is restarted with the
same one goes on where it stopped, with the same dates.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zlib import crc32

from tests.site.content import Block, BlockKind, Story, load_stories, plain
from tests.site.outlets import DEFAULT_PORT, HEALTHY, OUTLETS, Outlet

BACKLOG_SECONDS: Final = 2 * 24 * 3600
"""The age of the oldest story at the epoch."""

FRESH_SECONDS: Final = 300
"""The least age of a story of the backlog: what is new comes with the clock alone."""


@dataclass(frozen=True, slots=True)
class PublishedStory:
    """A story that is out: the truth that a collector's result is compared with."""

    story: Story
    outlet: Outlet
    url: str
    published: datetime
    updated: datetime
    extra: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Return the last part of the address, by which `Site.update_story` knows the story."""
        return self.story.slug

    @property
    def title(self) -> str:
        """Return the headline."""
        return self.story.title

    @property
    def summary(self) -> str:
        """Return the standfirst."""
        return self.story.summary

    @property
    def authors(self) -> tuple[str, ...]:
        """Return the names of the authors, in the order of the byline."""
        return self.story.authors

    @property
    def language(self) -> str:
        """Return the language as a code of two letters."""
        return self.story.language

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Return the body with what updates have added to it."""
        return (*self.story.blocks, *(Block(BlockKind.PARAGRAPH, (text,)) for text in self.extra))

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """Return the texts of the body in order; captions are not part of it."""
        return tuple(plain(text) for block in self.blocks if block.kind is not BlockKind.IMAGE for text in block.texts)

    @property
    def text(self) -> str:
        """Return the body as one text, a line a paragraph."""
        return "\n".join(self.paragraphs)

    @property
    def was_updated(self) -> bool:
        """Return whether the story has changed since it came out."""
        return self.updated > self.published


@dataclass(frozen=True, slots=True)
class _Update:
    instant: float
    text: str


class Site:
    """All outlets with their stories, as of the clock."""

    def __init__(
        self,
        *,
        port: int = DEFAULT_PORT,
        start: int = 8,
        reveal: float = 20.0,
        show_all: bool = False,
        epoch: float | None = None,
        update_after: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the site.

        `start` counts the stories of each outlet that are out at the epoch, `reveal` is in seconds, `epoch` in seconds
        of Unix time (now, if not given), `update_after` in seconds after the epoch: then the story of each outlet that
        holds an update gets it. ValueError says which value is not usable.
        """
        if start < 0:
            raise ValueError(f"start must not be negative, got: {start}")
        if reveal <= 0:
            raise ValueError(f"reveal must be positive, got: {reveal}")
        self.port = port
        # Whole seconds, because RSS dates and HTTP dates have no finer grain and the truth must equal what they say.
        self.epoch = int(clock() if epoch is None else epoch)
        self._start = start
        self._reveal = reveal
        self._show_all = show_all
        self._update_after = update_after
        self._clock = clock
        self._updates: dict[tuple[str, str], tuple[_Update, ...]] = {}
        self._instants = {key: self._plan(outlet) for key, outlet in OUTLETS.items()}

    def base(self, outlet: Outlet) -> str:
        """Return the outlet's origin."""
        return outlet.base(self.port)

    def stories(self, outlet: str | Outlet) -> list[PublishedStory]:
        """Return what is out, newest first."""
        outlet = self._outlet(outlet)
        now = self._clock()
        instants = self._instants[outlet.key]
        return [
            self._publish(outlet, story, instant, now)
            for story, instant in reversed(list(zip(load_stories(outlet.key), instants, strict=True)))
            if instant <= now
        ]

    def total(self, outlet: str | Outlet) -> int:
        """Return how many stories an outlet will have once all are out."""
        return len(load_stories(self._outlet(outlet).key))

    def find(self, outlet: str | Outlet, slug: str) -> PublishedStory | None:
        """Return the story with this slug, or None while it is not out."""
        return next((story for story in self.stories(outlet) if story.slug == slug), None)

    def update_story(self, outlet: str | Outlet, slug: str, extra: str) -> PublishedStory:
        """Add a paragraph to a story that is out, and return it as it stands now; LookupError if it is not out."""
        outlet = self._outlet(outlet)
        before = self.find(outlet, slug)
        if before is None:
            raise LookupError(
                f"{outlet.name} has no story {slug!r} out; known: {[s.slug for s in self.stories(outlet)]}"
            )
        # The instant is kept after the last one by a whole second: a validator of that grain must see the change.
        instant = max(self._clock(), before.updated.timestamp() + 1)
        known = self._updates.get((outlet.key, slug), ())
        self._updates[outlet.key, slug] = (*known, _Update(instant, extra))
        return self._publish(outlet, before.story, before.published.timestamp(), instant)

    def _plan(self, outlet: Outlet) -> list[float]:
        """Return when each story of an outlet comes out, in seconds of Unix time."""
        stories = load_stories(outlet.key)
        count = len(stories) if self._show_all else min(self._start, len(stories))
        step = (BACKLOG_SECONDS - FRESH_SECONDS) / count if count else 0.0
        place = HEALTHY.index(outlet) + 1 if outlet in HEALTHY else len(HEALTHY)
        # Real desks do not publish by the metronome: a checksum of the slug moves each story by less than its step.
        backlog = [
            self.epoch - FRESH_SECONDS - step * (count - 1 - i) - step * 0.6 * (crc32(story.slug.encode()) % 97) / 97
            for i, story in enumerate(stories[:count])
        ]
        rest = [self.epoch + self._reveal * (i + place / len(HEALTHY)) for i in range(len(stories) - count)]
        return backlog + rest

    def _publish(self, outlet: Outlet, story: Story, instant: float, now: float) -> PublishedStory:
        updates = self._updates.get((outlet.key, story.slug), ())
        if story.update and self._update_after is not None:
            due = max(self.epoch + self._update_after, instant + 1)
            if due <= now:
                updates = (_Update(due, story.update), *updates)
        published = datetime.fromtimestamp(int(instant), UTC)
        last = max((update.instant for update in updates), default=instant)
        return PublishedStory(
            story=story,
            outlet=outlet,
            url=self.base(outlet) + story.path,
            published=published,
            updated=datetime.fromtimestamp(int(last), UTC),
            extra=tuple(update.text for update in updates),
        )

    @staticmethod
    def _outlet(outlet: str | Outlet) -> Outlet:
        return OUTLETS[outlet] if isinstance(outlet, str) else outlet
