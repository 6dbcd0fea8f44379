"""The catalogues: every word of the code is in them and translated, and what is compiled is what is written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils.translation.template import templatize

pytestmark = pytest.mark.anydb

ROOT = Path(settings.BASE_DIR)
APPS = ["newss_project", "scheduling", "scrapers"]
LANGUAGES = [code for code, _name in settings.LANGUAGES if code != "en"]
CATALOGUES = [(language, app) for language in LANGUAGES for app in APPS]

FORMS = {"_", "_t", "gettext", "gettext_lazy", "gettext_noop"}
FORMS_WITH_CONTEXT = {"pgettext", "pgettext_lazy"}
PLURALS = {"ngettext", "ngettext_lazy"}
PLACEHOLDER = re.compile(r"%\(\w+\)[#0 +-]*[\d.]*[a-z]|%[+]?[sdr%]|\{\w*\}|<[^>]+>")
TEMPLATE_CALL = re.compile(r"\b(n?p?gettext|_)\(")
LITERAL = re.compile(r"""\s*u?('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*,?""")

Word = tuple[str, str]
"""Context (or nothing) and the English words."""


def catalogue(language: str, app: str, suffix: str = "po") -> polib.POFile | polib.MOFile:
    """Return the words of an app, as they are written (po) or compiled (mo)."""
    path = ROOT / app / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"
    return polib.pofile(str(path)) if suffix == "po" else polib.mofile(str(path))


def words_of_code(path: Path) -> Iterator[tuple[int, Word]]:
    """Yield the words that a module marks for translation, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if name in FORMS_WITH_CONTEXT and len(texts) > 1:
            yield node.lineno, (texts[0], texts[1])
        elif name in FORMS | PLURALS and texts:
            yield node.lineno, ("", texts[0])


def words_of_template(path: Path) -> Iterator[Word]:
    """Yield the words that a template marks for translation."""
    code = templatize(path.read_text())
    for call in TEMPLATE_CALL.finditer(code):
        texts, place = [], call.end()
        while found := LITERAL.match(code, place):
            texts.append(ast.literal_eval(found[1]))
            place = found.end()
        yield (texts[0], texts[1]) if "p" in call[1] else ("", texts[0])


def missing(app: str, known: set[Word]) -> Iterator[str]:
    """Yield where an app says something that its catalogue does not know."""
    for path in sorted((ROOT / app).rglob("*.py")):
        for line, word in words_of_code(path):
            if word not in known:
                yield f"{path.relative_to(ROOT)}:{line}: {word[1]!r}"
    for path in sorted((ROOT / app).rglob("*.html")):
        for word in words_of_template(path):
            if word not in known:
                yield f"{path.relative_to(ROOT)}: {word[1]!r}"


@pytest.mark.parametrize(("language", "app"), CATALOGUES)
def test_every_word_of_the_code_is_in_the_catalogue(language: str, app: str) -> None:
    known = {(entry.msgctxt or "", entry.msgid) for entry in catalogue(language, app) if not entry.obsolete}
    lost = list(missing(app, known))
    assert not lost, "Run `make messages` and translate:\n" + "\n".join(lost)


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
