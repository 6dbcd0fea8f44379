"""A stand-in for `read_page` that does what a page's body says; apart, so that its process has little to import."""

from __future__ import annotations

import os
import re
import time

from scrapers.extract.metadata import Metadata
from scrapers.extract.page import Page


def read(body: bytes, content_type: str, url: str, complete: bool, rules: object) -> Page | None:
    """Hang, crash, or be read, slowly or at once."""
    what = body.decode()
    if what == "hang":
        time.sleep(60)
    if what == "expression":
        # Gives no other thread of its process a turn.
        re.match(r"(a+)+$", "a" * 40 + "b")
    if what == "crash":
        os._exit(9)
    if what == "no page":
        return None
    time.sleep(0.5 if what == "slow" else 0)
    return Page(what, Metadata(url))


def start_slowly(_lifeline: object) -> None:
    """Take long to begin, as the process that extracts text of a run does on a busy machine."""
    time.sleep(60)
