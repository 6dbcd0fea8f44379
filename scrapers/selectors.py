"""Selectors that people write: CSS or XPath, from an element of HTML to texts or further elements.

An expression that begins with `/`, `./` or `(` is XPath, any other CSS. CSS may end in `::text` (the text of the
element itself, without what is in further elements) or `::attr(name)`. Neither can reach anything outside the
page: regular expressions (EXSLT), variables and extension functions are not there.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cssselect import HTMLTranslator, SelectorError
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from lxml import etree
from lxml.html import HtmlElement

MAX_LENGTH = 500
_XPATH = re.compile(r"\s*(?:\.?/|\()")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_CALL = re.compile(r"([\w:.-]+)\s*\(")
#: The functions of XPath 1.0, and its tests for nodes and words before parentheses that look like functions.
_FUNCTIONS = frozenset(
    {
        *("last", "position", "count", "id", "local-name", "namespace-uri", "name", "string", "concat", "starts-with"),
        *("contains", "substring-before", "substring-after", "substring", "string-length", "normalize-space"),
        *("translate", "boolean", "not", "true", "false", "lang", "number", "sum", "floor", "ceiling", "round"),
        *("text", "node", "comment", "processing-instruction", "and", "or", "div", "mod"),
    }
)
_PSEUDO = re.compile(r"^(?P<css>.*?)\s*::(?:(?P<text>text)|attr\(\s*(?P<name>[\w:.-]+)\s*\))\s*$", re.DOTALL)


def validate_selector(expression: str) -> None:
    """Accept an expression that can be used; raises `ValidationError` that says what is wrong with it."""
    _compiled(expression)


def elements(tree: HtmlElement, expression: str) -> list[HtmlElement]:
    """Return the elements that an expression finds below `tree`, in their order."""
    return [found for found in _found(tree, expression) if isinstance(found, etree._Element)]


def texts(tree: HtmlElement, expression: str) -> list[str]:
    """Return what an expression finds as texts: of elements all their words, of attributes and text nodes themselves.

    Of a `time` element with a `datetime` and of `meta` with a `content` it is that.
    """
    return [text for found in _found(tree, expression) if (text := _text(found))]


def first_text(tree: HtmlElement, expression: str) -> str:
    """Return the first text that an expression finds, or an empty string; no expression finds nothing."""
    return next(iter(texts(tree, expression)), "") if expression else ""


def first_link(tree: HtmlElement, expression: str) -> str:
    """Return the first address that an expression finds: the `href` or `src` of an element, else a text."""
    for found in _found(tree, expression):
        if isinstance(found, etree._Element):
            inner = found.find(".//a[@href]")
            link = found.get("href") or found.get("src") or (inner.get("href") if inner is not None else "")
        else:
            link = str(found)
        if link and link.strip():
            return link.strip()
    return ""


def yields(tree: HtmlElement, expression: str, most: int) -> tuple[int, list[str]]:
    """Return how much an expression finds, and the first `most` of it: texts, or the address of what has no text."""
    found = _found(tree, expression)
    return len(found), [_text(one) or _address(one) for one in found[:most]]


def _address(found: object) -> str:
    return (found.get("href") or found.get("src") or "") if isinstance(found, etree._Element) else ""


def _found(tree: HtmlElement, expression: str) -> list[object]:
    try:
        result = _compiled(expression)(tree)
    except etree.XPathError:
        # A function that gets a value of another type than it wants.
        return []
    return list(result) if isinstance(result, list) else [result]


def _text(found: object) -> str:
    if isinstance(found, etree._Element):
        given = found.get("datetime") if found.tag == "time" else found.get("content") if found.tag == "meta" else None
        found = given or " ".join(found.itertext())
    if isinstance(found, float):
        found = f"{found:g}"
    return " ".join(str(found).split()) if not isinstance(found, bool) else ""


@lru_cache(maxsize=1000)
def _compiled(expression: str) -> etree.XPath:
    if len(expression) > MAX_LENGTH:
        raise ValidationError(_("A selector has at most %d characters.") % MAX_LENGTH)
    if not expression.strip():
        raise ValidationError(_("Give a selector."))
    if _XPATH.match(expression):
        return _xpath(expression, expression)
    match = _PSEUDO.match(expression)
    try:
        path = HTMLTranslator().css_to_xpath(match["css"] if match else expression, prefix="descendant-or-self::")
    except SelectorError as error:
        raise ValidationError(
            _("“%(selector)s” is no CSS selector: %(why)s") % {"selector": expression, "why": error}
        ) from error
    if match:
        path = f"({path})/{'text()' if match['text'] else '@' + match['name']}"
    return _xpath(path, expression)


def _xpath(path: str, shown: str) -> etree.XPath:
    # libxml2 finds unknown functions and variables only where it comes to use them.
    bare = _QUOTED.sub("''", path)
    unknown = sorted({f"{name}()" for name in _CALL.findall(bare) if name.rpartition("::")[2] not in _FUNCTIONS})
    if unknown or "$" in bare:
        raise ValidationError(
            _("“%(selector)s” uses what is not there: %(what)s")
            % {"selector": shown, "what": ", ".join(unknown) or _("variables")}
        )
    try:
        compiled = etree.XPath(path, regexp=False)
        compiled(etree.fromstring("<html/>"))
    except (etree.XPathError, etree.LxmlError, TypeError, ValueError) as error:
        raise ValidationError(
            _("“%(selector)s” is no XPath expression: %(why)s") % {"selector": shown, "why": error}
        ) from error
    return compiled
