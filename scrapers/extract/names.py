"""Names of authors, as feeds and pages write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_MAIL = re.compile(r"\S+@\S+\.\S+")
_RSS_AUTHOR = re.compile(r"^\s*\S+@\S+\s*\(([^)]+)\)\s*$")
_ADDRESS = re.compile(r"\s*(?:https?:|//|www\.)\S*\s*$", re.IGNORECASE)
_MAX_LENGTH = 100
_LOOKED_AT = 300
"""Characters of what stands for a name: on endless text the expressions above would take for ever."""
_PARENTHESES = re.compile(r"\s*[(\[（][^()\[\]（）]*[)\]）]")
#: What stands before names in bylines.
_LABEL = re.compile(
    r"^\s*(?:(?:written|reported|posted|published|authored|story|text|words)\s+)?by\b\s*:?\s+"
    r"|^\s*(?:author|authors|autor|autore|autores|autoren|autorin|auteur|auteurs|reporter|text|texte|texto|tekst"
    r"|testo|автор|текст|yazar|fra|von|di|de|por|par)\s*:\s*"
    r"|^\s*(?:skrevet av|skrivet av|geschrieben von|text von|escrito por|écrit par|scritto da|geschreven door)\s+",
    re.IGNORECASE,
)
#: Words for "by" that may begin a name too: they are labels only before two words or more with capitals.
_LABEL_OR_NAME = frozenset({"von", "por", "par", "door", "av", "af", "przez", "di", "da", "od"})
_BETWEEN = re.compile(
    r"\s*[,;|•·、，\n]\s*|\s+/\s*|\s+(?:and|und|et|og|och|sowie|ja|&|\+|और|и|та|ve)\s+", re.IGNORECASE
)
#: Words that join names in one language and are part of a name in others: only between two whole names.
_BETWEEN_WHOLE = re.compile(r"\s+(?:y|e|i|a|en)\s+")
_SUFFIX = re.compile(r"^(?:jr|sr|ph\.?d|m\.?d|ii|iii|iv|esq)\.?$", re.IGNORECASE)


def clean_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names without mail addresses, spaces too many, and repetitions, in their order."""
    found: dict[str, str] = {}
    for raw in (name[:_LOOKED_AT] for name in names):
        # RSS 2.0 wants "mail@example.org (Name)".
        match = _RSS_AUTHOR.match(raw)
        name = " ".join(_MAIL.sub(" ", match[1] if match else raw).replace("\0", "").split()).strip(" ,;<>()")
        if name and len(name) <= _MAX_LENGTH and not name.lower().startswith(("http://", "https://")):
            found.setdefault(name.casefold(), name)
    return tuple(found.values())


def split_names(text: str) -> Iterator[str]:
    """Yield the names of a byline: without its "By", what stands in parentheses, and the words between names."""
    if _ADDRESS.match(text):
        return
    parts = [_unlabelled(_trimmed(part)) for part in _BETWEEN.split(_unlabelled(_PARENTHESES.sub("", text)))]
    names: list[str] = []
    for part in filter(None, parts):
        if names and _SUFFIX.match(part):
            names[-1] = f"{names[-1]}, {part}"
            continue
        whole = _BETWEEN_WHOLE.split(part)
        names += [name.strip() for name in whole] if all(len(name.split()) > 1 for name in whole) else [part]
    yield from names


def _trimmed(text: str) -> str:
    text = " ".join(text.split()).strip(" :–—-")
    # The end of a sentence, not that of "Jr." or of an initial.
    return text.rstrip(". ") if re.search(r"\w{4,}[. ]+$", text) else text


def _unlabelled(text: str) -> str:
    text = _LABEL.sub("", text)
    words = text.split()
    if len(words) > 2 and words[0].lower() in _LABEL_OR_NAME and words[1][0].isupper():
        return " ".join(words[1:])
    return text
