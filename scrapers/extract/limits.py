"""What keeps the reading of one page within bounds: its processor time, and a way to text that is always short."""

from __future__ import annotations

import html as entities
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9]*")
_BREAKS = frozenset(
    {"p", "br", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article"}
)
#: Elements whose content no reader sees; and those that hold the site's own words.
_UNSEEN = frozenset({"script", "style", "head", "template", "noscript", "svg", "nav", "footer", "aside", "form"})
_PROSE = 60
_AGAIN_SECONDS = 0.05
"""Seconds of the processor after which the limit is told again where nobody heard of it."""


class OutOfTime(BaseException):
    """Reading the page took more processor time than it may.

    Not an `Exception`, so that libraries that go on after any error do not go on after this one.
    """


@contextmanager
def processor_seconds(limit: float) -> Iterator[None]:
    """Raise `OutOfTime` in the body once it used so many seconds of the processor, however busy the machine is.

    Works in the main thread of a process, where pages are read; elsewhere there is no limit. A call into a library in C
    is interrupted when it returns; who waits for the process must end it if it does not (`pool.py`).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _out_of_time)
    signal.setitimer(signal.ITIMER_PROF, limit, _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def seen_text(html: str) -> str:
    """Return what readers see of a page, a block a line, of short lines only those between long ones.

    One pass, with no understanding of the page: for pages too large or too broken for anything better.
    """
    lines: list[str] = []
    words: list[str] = []
    unseen = ""
    for number, part in enumerate(html.split("<")):
        name = _NAME.match(part) if number else None
        tag = name[0].lower() if name else ""
        inside, _, text = part.partition(">") if number and (tag or part[:1] in "!?/") else ("", "", part)
        if number and part[:1].isspace():
            # "Less than", not a tag.
            text = f"<{part}"
        if unseen:
            if tag != f"/{unseen}":
                continue
            unseen = ""
        elif tag in _UNSEEN and not inside.endswith("/"):
            unseen = tag
            continue
        if tag.lstrip("/") in _BREAKS:
            lines.append(" ".join(words))
            words = []
        words.extend(entities.unescape(text).split())
    lines.append(" ".join(words))
    long = [number for number, line in enumerate(lines) if len(line) >= _PROSE]
    kept = lines[long[0] : long[-1] + 1] if long else lines
    return "\n".join(filter(None, kept))


def _out_of_time(_signal: int, frame: FrameType | None) -> None:
    """Raise `OutOfTime`; where an object is being disposed of, Python would ignore it, so there the next tick does."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            return
        frame = frame.f_back
    raise OutOfTime
