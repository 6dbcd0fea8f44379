"""Who wrote an article.

What the page states for machines comes first; where that only names the site or the author's account ("jdoe"), the
labels and bylines that readers see are asked; then the account's name stands, and at last the site's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lxml.html import HtmlElement

from scrapers.extract.head import Head
from scrapers.extract.jsonld import Statements, plain, texts, types_of
from scrapers.extract.names import clean_names, split_names

_META = (
    "author", "article:author", "parsely-author", "sailthru.author", "dc.creator", "dcterms.creator", "dc.creator.name",
    "byl", "cxenseparse:author", "article:author_name", "article.author", "og:article:author", "itemprop=author",
    "creator", "authors", "citation_author", "news_authors",
)  # fmt: skip
_WRITTEN_BY = re.compile(
    r"written|author|autor|verfasst|écrit|geschrieben|skrevet|skriven|escrito|scritto|kirjoit", re.IGNORECASE
)
_BYLINE_NAMES = re.compile(r"by-?line|author(?!i[sz]|it)|autor(?!i[sz])|auteur|autore|reporter|writer", re.IGNORECASE)
_PERSON_PATH = re.compile(
    r"/(?:authors?|autor(?:en|es|e|a|i)?|auteurs?|people|persons?|profiles?|journalists?|writers?|reporters?|by|staff)"
    r"/[^/?#]",
    re.IGNORECASE,
)
_NOT_A_BYLINE = re.compile(
    r"comment|related|sidebar|footer|promo|teaser|bio|avatar|image|photo|social|share|follow|box|card", re.IGNORECASE
)
_OTHER = re.compile(r"comment|related|recommend", re.IGNORECASE)
#: Ways that read what stands there for readers, who know a place from a person.
_SEEN = frozenset({"byline", "link to author", "microdata"})
_ASIDE = frozenset({"aside", "nav", "footer"})
_ORGANIZATION = "json-ld organization"
_MAX_BYLINE = 120
_MAX_BYLINES = 8
_MAX_NAMES = 30


def find_authors(
    tree: HtmlElement, head: Head, statements: Statements, sites: Iterable[str]
) -> tuple[tuple[str, ...], str]:
    """Return (names, where they were found), empty where there are none; `sites` are names of the site."""
    sites = list(sites)
    known, domains = {_folded(name) for name in sites} - {""}, {name.lower() for name in sites if "." in name}
    weak: list[tuple[tuple[str, ...], str]] = []
    own: list[tuple[tuple[str, ...], str]] = []
    for method, candidates in _candidates(tree, head, statements):
        names = clean_names(name for text in candidates for name in _names(text, method))[:_MAX_NAMES]
        persons = tuple(name for name in names if _folded(name) not in known and not _names_site(name, domains))
        if any(method == _ORGANIZATION or not _is_account(name) for name in persons):
            return persons, method
        if names:
            (weak if persons else own).append((persons or names, method))
    return next(iter([*weak, *own]), ((), ""))


def _candidates(tree: HtmlElement, head: Head, statements: Statements) -> Iterator[tuple[str, list[str]]]:
    for node in statements.articles:
        stated = statements.resolve(node.get("author") or node.get("creator"))
        organizations = bool(stated) and all(map(_is_organization, stated))
        yield _ORGANIZATION if organizations else "json-ld", [name for value in stated for name in _stated(value)]
    for name in _META:
        yield name, [value for _, value in head.all(name)]
    for number in ("1", "2"):
        if _WRITTEN_BY.search(head.first(f"twitter:label{number}")[1]):
            yield "twitter:data", [head.first(f"twitter:data{number}")[1]]
    yield "rel=author", _shown(tree.xpath("//body//a[contains(concat(' ', @rel, ' '), ' author ')]"))
    yield "microdata", _shown(tree.xpath("//body//*[contains(@itemprop, 'author')]"))
    yield from (("byline", texts) for texts in _bylines(tree))
    yield "link to author", _linked(tree)


def _names(text: str, method: str) -> list[str]:
    """Return the names in a text; of what readers see only where the first of it is one, since names come first."""
    names = list(split_names(text))
    if method in _SEEN and not (names and _is_full_name(names[0])):
        return []
    return [name for name in names if (_is_full_name if method in _SEEN else _is_name)(name)]


def _is_organization(value: Any) -> bool:
    return isinstance(value, dict) and any(name.endswith("Organization") for name in types_of(value))


def _stated(value: Any) -> list[str]:
    """Return the names of an author as JSON-LD states one: a text, or a node with a name or its parts."""
    if isinstance(value, str):
        return [plain(value)]
    if not isinstance(value, dict):
        return []
    whole = " ".join(texts([value.get("givenName"), value.get("familyName")]))
    return texts(value.get("name")) or [whole] if whole or value.get("name") else texts(value.get("byline"))


def _shown(elements: Iterable[HtmlElement]) -> list[str]:
    """Return what elements outside of asides say, each once."""
    found: dict[str, None] = {}
    for element in elements:
        if not any(parent.tag in _ASIDE or _is_other(parent) for parent in element.iterancestors()):
            name = element.xpath(".//*[@itemprop='name']")
            text = plain((name[0] if name else element).text_content())
            if 0 < len(text) <= _MAX_BYLINE:
                found[text] = None
    return list(found)


def _bylines(tree: HtmlElement) -> Iterator[list[str]]:
    """Yield the texts of each of the first elements that by their names are bylines: of its links, if it has any."""
    count = 0
    # The same names stand on many elements.
    verdicts: dict[str, bool] = {}
    for element in tree.xpath("//body//*[@class or @id or @data-testid]"):
        names = f"{element.get('class', '')} {element.get('id', '')} {element.get('data-testid', '')}"
        if names not in verdicts:
            verdicts[names] = bool(_BYLINE_NAMES.search(names)) and not _NOT_A_BYLINE.search(names)
        if not verdicts[names]:
            continue
        found = _shown([link for link in element.iter("a") if plain(link.text_content())] or [element])
        if found:
            yield found
            count += 1
        if count == _MAX_BYLINES:
            return


def _linked(tree: HtmlElement) -> list[str]:
    """Return what the first links say that lead to the page of a person, and stand beside each other."""
    links = [link for link in tree.iter("a") if _PERSON_PATH.search(link.get("href") or "") and _shown([link])]
    first = links[0].getparent() if links else None
    return [] if first is None else _shown(link for link in links if link.getparent() in (first, first.getparent()))


def _is_other(element: HtmlElement) -> bool:
    return bool(_OTHER.search(f"{element.get('class') or ''} {element.get('id') or ''}"))


def _is_name(text: str) -> bool:
    """Tell whether a text can be a name: letters, few words, no address and no date."""
    words = text.split()
    has_letters = any(letter.isalpha() for letter in text)
    return 0 < len(words) <= 8 and has_letters and not re.search(r"https?:|www\.|\d{3}", text)


def _names_site(name: str, domains: set[str]) -> bool:
    """Tell whether a name has the domain of the site in it ("example.com newsroom")."""
    return any(word.removeprefix("www.") in domains for word in name.lower().split())


def _is_account(name: str) -> bool:
    """Tell whether a name may be that of an account: one word with small letters; agencies are written in capitals."""
    return len(name.split()) == 1 and (name.islower() or name.istitle())


def _is_full_name(text: str) -> bool:
    """Tell whether a text that readers see is a person's name and not a place, an agency or a label.

    It has two words or more, each with a capital at its beginning, small words between them apart; in scripts without
    capitals and spaces it has at most six characters.
    """
    words = text.split()
    if not _is_name(text) or ":" in text:
        return False
    if not any(letter.isupper() or letter.islower() for letter in text):
        return len(words) > 1 or 2 <= len(text) <= 6
    return len(words) > 1 and words[0][0].isupper() and words[-1][0].isupper()


def _folded(name: str) -> str:
    return re.sub(r"^www\.|[\W_]+", "", name.casefold())
