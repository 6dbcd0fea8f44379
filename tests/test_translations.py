"""The catalogues: every word of the code is in them and translated, and what is compiled is what is written."""

from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from django.conf import settings

pytestmark = pytest.mark.anydb

ROOT = Path(settings.BASE_DIR)
APPS = ["newss_project", "scheduling", "scrapers"]
LANGUAGES = [code for code, _name in settings.LANGUAGES if code != "en"]
CATALOGUES = [(language, app) for language in LANGUAGES for app in APPS]

PLACEHOLDER = re.compile(r"%\(\w+\)[#0 +-]*[\d.]*[a-z]|%[+]?[sdr%]|\{\w*\}|<[^>]+>")


def catalogue(language: str, app: str, suffix: str = "po") -> polib.POFile | polib.MOFile:
    """Return the words of an app, as they are written (po) or compiled (mo)."""
    path = ROOT / app / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"
    return polib.pofile(str(path)) if suffix == "po" else polib.mofile(str(path))


@pytest.mark.parametrize(("language", "app"), CATALOGUES)
def test_every_word_is_translated(language: str, app: str) -> None:
    left = [entry.msgid for entry in catalogue(language, app) if entry.fuzzy or not entry.translated()]
    assert left == []


def ends(text: str) -> tuple[str, str]:
    """Return the white space before and after a text."""
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]


@pytest.mark.parametrize(("language", "app"), CATALOGUES)
def test_a_translation_keeps_placeholders_markup_and_white_space_at_its_ends(language: str, app: str) -> None:
    wrong = []
    for entry in catalogue(language, app):
        originals = [entry.msgid, entry.msgid_plural] if entry.msgid_plural else [entry.msgid]
        translations = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        allowed = [sorted(PLACEHOLDER.findall(text)) for text in originals]
        for text in translations:
            if sorted(PLACEHOLDER.findall(text)) not in allowed or ends(text) != ends(entry.msgid):
                wrong.append((entry.msgid, text))
    assert wrong == []


@pytest.mark.parametrize(("language", "app"), CATALOGUES)
def test_what_is_compiled_is_what_is_written(language: str, app: str) -> None:
    def content(file: polib.POFile | polib.MOFile) -> dict[tuple[str | None, str], object]:
        return {(entry.msgctxt, entry.msgid): entry.msgstr_plural or entry.msgstr for entry in file}

    assert content(catalogue(language, app, "mo")) == content(catalogue(language, app)), "run `make messages`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_word_is_said_in_one_way_by_all_apps(language: str) -> None:
    said: dict[tuple[str | None, str], set[str]] = {}
    for app in APPS:
        for entry in catalogue(language, app):
            said.setdefault((entry.msgctxt, entry.msgid), set()).add(entry.msgstr or entry.msgstr_plural[1])
    assert {word: ways for word, ways in said.items() if len(ways) > 1} == {}
