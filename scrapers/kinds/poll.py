"""One poll of one source as its kind sees it: the address to begin with, the options, and the polite way to ask."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from scrapers.kinds.reading import in_encoding

if TYPE_CHECKING:
    from scrapers.fetch.answers import Answer, Tally
    from scrapers.fetch.client import Fetcher
    from scrapers.fetch.identity import Identity
    from scrapers.pool import ExtractPool

P = ParamSpec("P")
T = TypeVar("T")


MAX_PAGES_KNOWN = 200
"""Further addresses whose validators are kept for each source."""
MAX_VALIDATOR_LENGTH = 600
LITTLE = 16 * 1024
"""Bytes of an answer that can hold up nobody for long: the time that libraries take grows with the square at worst."""
GZIP = b"\x1f\x8b"
"""How what may be a thousand times as much begins."""


class NotModified(Exception):
    """The source says that nothing has changed since everything of it was dealt with."""


class Poll:
    """What a kind is handed.

    `url` is where to begin, a run's query already in it; `query` is that query as it was typed. `caught_up` tells that
    the last poll with the same address, options and query dealt with everything there was; `found_new`, whether the
    listing that was yielded last held anything that was not known. A kind whose first answer may stay the same while
    further ones change sets `first_covers_all` to false: then it is asked for unconditionally the next time.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        url: str,
        identity: Identity,
        tally: Tally,
        pool: ExtractPool,
        options: Mapping[str, Any] | None = None,
        query: str = "",
        etag: str = "",
        last_modified: str = "",
        caught_up: bool = False,
        pages: Mapping[str, Sequence[str]] | None = None,
        encoding: str = "",
        body_hash: str = "",
    ) -> None:
        self.fetcher = fetcher
        self.url = url
        self.identity = identity
        self.tally = tally
        self._pool = pool
        self.options = dict(options or {})
        self.query = query
        self.encoding = encoding
        self.caught_up = caught_up
        self.found_new = True
        self.answer: Answer | None = None
        self.pages: dict[str, tuple[str, str]] = {}
        self.first_covers_all = True
        self.body_hash = ""
        self._known_hash = body_hash
        self._known_pages = dict(pages or {})
        self._validators = {"etag": etag, "last_modified": last_modified}

    async def first(self, *, accept: str = "*/*") -> Answer:
        """Return the answer for the source's own address, asked for only if it has changed.

        Raises `NotModified`, which the kind lets through, and `CollectError`.
        """
        self.answer = await self.fetcher.fetch(
            self.url, accept=accept, tally=self.tally, identity=self.identity, **self._validators
        )
        if self.answer.not_modified:
            raise NotModified
        # Servers that know no validators, or give wrong ones, send the same again.
        self.body_hash = hashlib.sha256(self.answer.body).hexdigest()
        if self.body_hash == self._known_hash:
            raise NotModified
        return in_encoding(self.answer, self.encoding)

    async def fetch(self, url: str, *, accept: str = "*/*", conditional: bool = False) -> Answer:
        """Return the answer for a further address; raises `CollectError`.

        With `conditional` it may be "not modified" since a poll that dealt with everything.
        """
        etag, last_modified = self._known_pages.get(url, ("", "")) if conditional else ("", "")
        answer = await self.fetcher.fetch(
            url, accept=accept, etag=etag, last_modified=last_modified, tally=self.tally, identity=self.identity
        )
        self.answer = self.answer or answer
        if conditional:
            kept = (etag, last_modified) if answer.not_modified else (answer.etag, answer.last_modified)
            if any(kept) and len(self.pages) < MAX_PAGES_KNOWN and len("".join(kept)) <= MAX_VALIDATOR_LENGTH:
                self.pages[url] = kept
        return in_encoding(answer, self.encoding)

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that takes the processor long; it must touch neither network nor database.

        With much to read it runs in a process, which is ended if it takes too long (`CollectError`, `BAD_ANSWER`); with
        little, or if it cannot be pickled, in a thread.
        """
        called = partial(function, *args, **kwargs)
        try:
            packed = pickle.dumps(called)
        except (pickle.PicklingError, AttributeError, TypeError):
            packed = b""
        if len(packed) <= LITTLE and GZIP not in packed:
            return await asyncio.to_thread(called)
        found: T = await self._pool.call(packed, self.url)
        return found
