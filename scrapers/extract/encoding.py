"""Bytes of a page to text, by what the page says of itself where that holds, else by what its bytes look like."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

_HEADER = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_META = re.compile(rb"<meta[^>]{0,300}?charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: What browsers understand by these names (WHATWG Encoding Standard): supersets of what they say.
_ALIASES = {
    "iso-8859-1": "cp1252",
    "latin-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "iso-8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "x-mac-roman": "mac-roman",
    "tis-620": "cp874",
}
#: Python's own ways to write text, which no page is in; decoding takes some of them for ever, or ends in an error.
_NO_ENCODINGS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
_LOOK_AT = 64 * 1024


def decode(body: bytes, content_type: str) -> str:
    """Return the text of a page from its bytes and its Content-Type header.

    Byte order mark, UTF-8, header, the page's own declaration, in this order, the first that fits without an error; a
    page that fits none is looked at by charset-normalizer, and at last read as UTF-8 with replacement characters. UTF-8
    comes before what is declared, since nothing else fits it by chance, while outdated declarations are common.
    """
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body.decode(name, "replace")
    # Encodings that switch by escape sequences (ISO-2022-JP) are made of ASCII bytes and would fit UTF-8.
    names = _declared(body, content_type)
    for name in [*names, "utf-8"] if b"\x1b" in body else ["utf-8", *names]:
        try:
            return body.decode(_ALIASES.get(name.lower(), name))
        except (UnicodeDecodeError, LookupError):
            continue
    guess = from_bytes(body[:_LOOK_AT]).best()
    return body.decode(guess.encoding if guess else "utf-8", "replace")


def _declared(body: bytes, content_type: str) -> list[str]:
    start = body[:8192]
    header = _HEADER.search(content_type)
    found = [header[1]] if header else []
    found += [match[1].decode() for match in (_META.search(start), _XML.search(start)) if match]
    return [name for name in found if not name.lower().startswith("utf-16") and _normal(name) not in _NO_ENCODINGS]


def _normal(name: str) -> str:
    """Return the name of an encoding as Python knows it, whatever stands between its parts."""
    try:
        return codecs.lookup(name).name.replace("-", "_")
    except LookupError:
        return name
