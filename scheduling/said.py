"""Stored sentences in the reader's language.

Why a run failed, what it waits for, what a source answered: such sentences are stored as they were said, in the
language of the process that said them (English, unless LANGUAGE_CODE or a person's choice was another). Whoever reads
them may have chosen another one. The catalogues know our sentences in every language, so the pages look a stored text
up in them: sentence by sentence, with the values at its placeholders. What no catalogue knows (the words of a job, of
a server, of a person) stays as it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import polib
from django.apps import apps
from django.conf import settings
from django.utils.translation import get_language, gettext, ngettext, override, pgettext

LONGEST = 2_000
"""Texts with more characters are no sentences of ours; they stay as they are."""
LETTERS, LETTERS_WITH_KNOWN = 8, 4
"""So many letters of its own must a sentence have to be recognised, and where a placeholder holds a number or what is
recognised itself; none where they all do."""
PLACEHOLDER = re.compile(r"%(?:\((?P<name>\w+)\))?[+]?(?:\.\d)?(?P<kind>[sdrfg%])")
BREAK = re.compile(r"(?<=[.:;]) ")
STOP = re.compile(r"[.;] ")


@dataclass(frozen=True)
class _Form:
    """One form of an entry of a catalogue, as the stored text may have it."""

    entry: polib.MOEntry
    is_plural: bool
    text: str

    @cached_property
    def letters(self) -> int:
        """Return how many letters it has besides its placeholders."""
        return sum(letter.isalpha() for letter in PLACEHOLDER.sub("", self.text))

    @cached_property
    def longest_piece(self) -> str:
        """Return the longest text between its placeholders."""
        return max(PLACEHOLDER.sub("\0", self.text).split("\0"), key=len)

    @cached_property
    def only_numbers(self) -> bool:
        """Tell whether nothing but numbers can stand at its placeholders."""
        return all(found["kind"] in "dfg%" for found in PLACEHOLDER.finditer(self.text))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Return what finds the form with any values."""
        parts, end, seen = [], 0, set()
        for number, found in enumerate(PLACEHOLDER.finditer(self.text)):
            parts.append(re.escape(self.text[end : found.start()]))
            end = found.end()
            name = found["name"] or f"_{number}"
            if found["kind"] == "%":
                parts.append("%")
            elif name in seen:
                parts.append(f"(?P={name})")
            else:
                seen.add(name)
                parts.append(f"(?P<{name}>{r'[+-]?[0-9]+' if found['kind'] == 'd' else '.+?'})")
        return re.compile("".join([*parts, re.escape(self.text[end:])]), re.DOTALL)


@dataclass(frozen=True)
class _Book:
    """The forms of one language: those without placeholders by text, the others by how they begin."""

    plain: dict[str, _Form]
    by_beginning: dict[str, list[_Form]]

    def candidates(self, text: str) -> Iterator[tuple[_Form, dict[str, str]]]:
        """Yield the forms that a text may be, with the values at their placeholders."""
        for beginning in {text[:1], ""}:
            for form in self.by_beginning.get(beginning, ()):
                if form.longest_piece in text and (found := form.pattern.fullmatch(text)):
                    yield form, found.groupdict()


def said(text: str) -> str:
    """Return a stored text in the active language, as far as the catalogues know its sentences."""
    return _said(text, get_language() or "en") if 0 < len(text) <= LONGEST else text


@lru_cache(maxsize=4_096)
def _said(text: str, language: str) -> str:
    with override(language):
        return _whole(text, language) or _in_parts(text, language)


def _in_parts(text: str, language: str) -> str:
    """Return a text of several sentences, those that are known in the language, the others as they are."""
    breaks = list(BREAK.finditer(text))
    for found in breaks:
        if (left := _whole(text[: found.start()], language)) is not None:
            return f"{left} {_said(text[found.end() :], language)}"
    for found in breaks[:1]:
        return f"{text[: found.start()]} {_said(text[found.end() :], language)}"
    return text


def _whole(text: str, language: str) -> str | None:
    """Return a text that is one known sentence in the language, with or without what ends it; None for another."""
    if (known := _look_up(text, language)) is not None:
        return known
    if text[-1:] in ".:;" and (known := _look_up(text[:-1], language)) is not None:
        return known + text[-1]
    return None


def _look_up(text: str, language: str) -> str | None:
    best: tuple[int, str] | None = None
    for other in (code for code, _name in settings.LANGUAGES if code != language):
        book = _book(other)
        if form := book.plain.get(text):
            return _translation(form, {})
        for form, values in book.candidates(text):
            if best is None or form.letters > best[0]:
                known = {name: words for name, value in values.items() if (words := _whole(value, language))}
                if _is_enough(form, values, known):
                    best = form.letters, _translation(form, values | known)
    return best[1] if best else None


def _is_enough(form: _Form, values: dict[str, str], known: dict[str, str]) -> bool:
    """Tell whether a text that fits a form was surely said by it, from how much of it is known."""
    inner = list(values)[: -1 if form.text.endswith("s") else None]
    if any(STOP.search(values[name]) for name in inner):
        # What stands amid a sentence does not hold the end of another.
        return False
    if form.letters >= LETTERS or len(known) == len(values):
        return True
    return form.letters >= LETTERS_WITH_KNOWN and bool(known or form.only_numbers)


def _translation(form: _Form, values: dict[str, str]) -> str:
    """Return the entry of a form in the active language, with the values at its placeholders."""
    entry = form.entry
    if entry.msgid_plural:
        numbers = [int(value) for value in values.values() if value.lstrip("+-").isdecimal()]
        template = ngettext(entry.msgid, entry.msgid_plural, max([2, *numbers]) if form.is_plural else 1)
    else:
        template = pgettext(entry.msgctxt, entry.msgid) if entry.msgctxt else gettext(entry.msgid)
    counter = iter(range(len(template)))

    def value(found: re.Match[str]) -> str:
        number = next(counter)
        return "%" if found["kind"] == "%" else values.get(found["name"] or f"_{number}", found[0])

    return PLACEHOLDER.sub(value, template) if values else template.replace("%%", "%")


@lru_cache
def _book(language: str) -> _Book:
    plain: dict[str, _Form] = {}
    by_beginning: defaultdict[str, list[_Form]] = defaultdict(list)
    for form in _forms(language):
        if not PLACEHOLDER.search(form.text):
            # A single word is as likely a name.
            if " " in form.text:
                plain.setdefault(form.text, form)
        elif form.letters:
            by_beginning["" if PLACEHOLDER.match(form.text) else form.text[:1]].append(form)
    return _Book(plain, dict(by_beginning))


def _forms(language: str) -> Iterator[_Form]:
    """Yield the forms of our apps' entries in a language; English ones stand in any catalogue."""
    for path in _catalogues(language if language != "en" else "*"):
        for entry in polib.mofile(str(path)):
            if language == "en":
                yield _Form(entry, is_plural=False, text=entry.msgid)
                if entry.msgid_plural:
                    yield _Form(entry, is_plural=True, text=entry.msgid_plural)
            elif entry.msgid_plural:
                for number, text in entry.msgstr_plural.items():
                    yield _Form(entry, is_plural=number > 0, text=text)
            else:
                yield _Form(entry, is_plural=False, text=entry.msgstr)


def _catalogues(language: str) -> Iterator[Path]:
    for app in apps.get_app_configs():
        if not app.name.startswith("django."):
            yield from Path(app.path).glob(f"locale/{language}/LC_MESSAGES/django.mo")
