"""What the kinds share when they read answers: addresses, plain text, and XML that declares nothing."""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from scrapers.extract.addresses import is_fetchable

if TYPE_CHECKING:
    from scrapers.fetch.answers import Answer

#: Each of these takes a time that grows as the text does, whatever it holds.
_DOCTYPE = re.compile(rb"<!DOCTYPE[^>\[]*", re.IGNORECASE)
_DOCTYPE_END = re.compile(rb"\]\s*>")
_TAG_END = re.compile(rb">")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
#: How XML begins in encodings that are not made of ASCII; UTF-32 first, whose mark begins like that of UTF-16.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_TAG = re.compile(r"<[^<>]*>")


def is_blank(body: bytes) -> bool:
    """Tell whether a body holds nothing but white space."""
    return not body.strip(b"\xef\xbb\xbf \t\r\n\0")


def as_utf8(body: bytes, content_type: str) -> tuple[bytes, str]:
    """Return a body in UTF-16 or UTF-32 in UTF-8, in which a document type can be seen; any other as it is."""
    name = next((name for start, name in _WIDE if body.startswith(start)), None)
    return (body, content_type) if name is None else recoded(body, name)


def recoded(body: bytes, encoding: str, content_type: str = "application/xml") -> tuple[bytes, str]:
    """Return (body in UTF-8, its content type) of a body that is in `encoding`, whatever it says of itself."""
    text = _DECLARATION.sub("", body.decode(encoding, "replace").lstrip("\ufeff"), count=1)
    return text.encode("utf-8", "replace"), f"{content_type.partition(';')[0]}; charset=utf-8"


def in_encoding(answer: Answer, encoding: str) -> Answer:
    """Return an answer in UTF-8 that is taken to be in `encoding`, whatever it says; unchanged without one."""
    if not encoding or not answer.body or answer.body.startswith(b"\x1f\x8b"):
        return answer
    body, content_type = recoded(answer.body, encoding, answer.content_type or "text/html")
    return replace(answer, body=body, content_type=content_type)


def without_doctype(body: bytes) -> bytes:
    """Return XML without its document type, which is the only way to declare entities: then there are none."""
    found = _DOCTYPE.search(body) if b"<!" in body[:4096] else None
    if found is None:
        return body
    end = (_DOCTYPE_END if body[found.end() : found.end() + 1] == b"[" else _TAG_END).search(body, found.end())
    return body if end is None else body[: found.start()] + body[end.end() :]


def address(value: str, base: str, *, relative: bool = True) -> str:
    """Return an absolute address that may be fetched, or an empty string."""
    value = "".join(value.split()) if "\n" in value or "\t" in value else value.strip()
    if not value:
        return ""
    try:
        if urlsplit(value).scheme and not is_fetchable(value):
            return ""
        found = urljoin(base, value) if relative else value
    except ValueError:
        return ""
    # feedparser resolves an address of nothing to that of the feed.
    return found if is_fetchable(found) and found != base else ""


def plain(value: Any) -> str:
    """Return text without tags, entities and runs of white space.

    A title may hold markup twice escaped; what looks like a tag is dropped, the words in it stay.
    """
    return " ".join(unescape(_TAG.sub(" ", str(value))).split())


def scalar(value: Any) -> str:
    """Return a JSON value that is a text or a number as text, anything else as nothing."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
