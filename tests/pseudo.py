"""A language for tests: every word that goes through gettext stands in brackets, so that what does not is seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.utils import translation

from scheduling import display

OPEN, CLOSE = "⟦", "⟧"
FORMS = re.compile(r"(?:[DlNFMjdYHiOPAa]|:s)(?:[ ,.:]+(?:[DlNFMjdYHiOPAas]))+|yes,no(?:,maybe)?|\w+/\w+")
"""Forms of dates and the like: words for Django and not for people."""
TRANSLATED = re.compile(rf"{OPEN}[^{OPEN}{CLOSE}]*(?:{CLOSE}|$)")
ATTRIBUTES = {"title", "aria-label", "alt", "placeholder", "data-confirm", "summary"}
SILENT = {"script", "style", "code", "kbd", "pre"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Pseudo:
    """The language, and what was said in it."""

    def __init__(self) -> None:
        self.said: set[str] = set()

    def gettext(self, message: str) -> str:
        """Return the message in brackets."""
        return self._mark(message, message)

    def pgettext(self, context: str, message: str) -> str:
        """Return the message in brackets."""
        return self._mark(f"{context}\x04{message}", message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """Return the form for a number in brackets."""
        return self._mark(one, one if number == 1 else many)

    def npgettext(self, context: str, one: str, many: str, number: int) -> str:
        """Return the form for a number in brackets."""
        return self._mark(f"{context}\x04{one}", one if number == 1 else many)

    def _mark(self, key: str, message: str) -> str:
        text = str(message)
        if not text or FORMS.fullmatch(text):
            return text
        if OPEN not in key:
            self.said.add(str(key))
        return f"{OPEN}{text}{CLOSE}"

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Speak it from now on, until the patch is undone."""
        for name in ("gettext", "pgettext", "ngettext", "npgettext"):
            patch.setattr(translation._trans, name, getattr(self, name), raising=False)
        # Words that are kept would be those of the language before, and later those of this one.
        for kept in ("_day_words", "_seconds_words"):
            patch.setattr(display, kept, getattr(display, kept).__wrapped__)


class Texts(HTMLParser):
    """What a person reads on a page: its texts and the words in its attributes; not scripts, code or icons."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and the words in its attributes."""
        values = {name: value or "" for name, value in attrs}
        silent = tag in SILENT or "material-symbols" in values.get("class", "")
        if tag not in VOID:
            self._open.append((tag, silent))
        for name, value in values.items():
            if name in ATTRIBUTES or (
                tag == "input" and name == "value" and values.get("type") in {"submit", "button"}
            ):
                self.found.append((f"{tag}[{name}]", value))

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if any(name == tag for name, _silent in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Note a text."""
        if data.strip() and not any(silent for _name, silent in self._open):
            self.found.append((self._open[-1][0] if self._open else "", data.strip()))


def untranslated(html: str, allowed: re.Pattern[str]) -> Iterator[str]:
    """Yield what a page says past gettext, with the element that says it; `allowed` is what nobody translates."""
    texts = Texts()
    texts.feed(html)
    for where, text in texts.found:
        rest = text
        while (less := TRANSLATED.sub(" ", rest)) != rest:
            rest = less
        rest = allowed.sub(" ", rest)
        if re.search(r"[A-Za-z]{2,}", rest):
            yield f"{where}: {' '.join(text.split())[:160]}"
