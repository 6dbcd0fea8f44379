"""The starter list: feeds of well-known outlets in several languages, to begin with on a machine with internet.

The list is `starter.json` beside this file. Its addresses are those that the outlets make known; they could not be
tried where NEWSS is built, so a poll or *Try it* tells whether one still stands.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf.locale import LANG_INFO
from django.utils.translation import get_language

from scrapers.opml import Outline


@dataclass(frozen=True)
class Feed:
    """One feed of the list; `language` is a code as in BCP 47, `abouts` says by language of the page what it is."""

    name: str
    url: str
    language: str
    abouts: dict[str, str]
    tags: tuple[str, ...]

    @property
    def language_name(self) -> str:
        """Return the language in its own words."""
        return str(LANG_INFO.get(self.language, {}).get("name_local", self.language)).capitalize()

    @property
    def about(self) -> str:
        """Return what it is, in the language of the page."""
        return self.abouts.get(get_language() or "en", self.abouts["en"])

    def outline(self) -> Outline:
        """Return it as importing takes it."""
        return Outline(name=self.name, url=self.url, tags=self.tags)


@lru_cache(maxsize=1)
def feeds() -> tuple[Feed, ...]:
    """Return the feeds in the order of the list."""
    rows = json.loads(Path(__file__).with_name("starter.json").read_text("utf-8"))
    return tuple(Feed(abouts=row.pop("about"), **row | {"tags": tuple(row["tags"])}) for row in rows)
