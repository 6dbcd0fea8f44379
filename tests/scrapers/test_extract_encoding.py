"""Bytes to text: what pages declare, what they do not, and what they declare wrongly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapers.extract.encoding import decode
from scrapers.extract.page import read_page

pytestmark = pytest.mark.anydb

RUSSIAN = "Паром вернулся в гавань после долгой зимы, и весь город вышел на набережную его встречать. " * 6
CHINESE = "渡轮在漫长的冬天之后回到了港口,全城的人都到码头上来迎接它。船长说发动机从来没有这样平稳过。" * 6
JAPANESE = "長い冬のあと、フェリーが港に戻ってきた。町じゅうの人が岸壁に集まり、船長は機関の調子がよいと語った。" * 6
GERMAN = "Die Fähre ist zurück, und die Gäste grüßen „fröhlich“ vom Oberdeck – für 5 € die Überfahrt. " * 6

WRITTEN = [
    ("windows-1251", RUSSIAN),
    ("koi8-r", RUSSIAN),
    ("gbk", CHINESE),
    ("gb2312", CHINESE.replace(",", "")),
    ("big5", "渡輪在漫長的冬天之後回到了港口,全城的人都到碼頭上來迎接它。" * 6),
    ("shift_jis", JAPANESE),
    ("euc-jp", JAPANESE),
    ("iso-2022-jp", JAPANESE),
    ("windows-1252", GERMAN),
    ("utf-8", GERMAN),
]


def body(text: str, encoding: str, declared: str = "") -> bytes:
    meta = f'<meta charset="{declared}">' if declared else ""
    return f"<html><head>{meta}<title>T</title></head><body><p>{text}</p></body></html>".encode(encoding)


@pytest.mark.parametrize(("encoding", "text"), WRITTEN)
def test_what_is_declared_is_read(encoding: str, text: str) -> None:
    assert text in decode(body(text, encoding, encoding), "text/html")
    assert text in decode(body(text, encoding), f"text/html; charset={encoding}")
    assert text in decode(body(text, encoding), f'text/html; charset="{encoding.upper()}"')


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("windows-1251", RUSSIAN), ("koi8-r", RUSSIAN), ("gbk", CHINESE), ("shift_jis", JAPANESE), ("utf-8", GERMAN)],
)
def test_what_is_not_declared_is_found_out(encoding: str, text: str) -> None:
    assert text in decode(body(text, encoding), "text/html")


@pytest.mark.parametrize("declared", ["iso-8859-1", "windows-1251", "utf-16", "nonsense", "shift_jis"])
def test_utf_8_is_read_whatever_is_declared(declared: str) -> None:
    assert GERMAN in decode(body(GERMAN, "utf-8", declared), f"text/html; charset={declared}")


def test_a_header_that_does_not_fit_yields_to_the_page() -> None:
    assert CHINESE in decode(body(CHINESE, "gbk", "gbk"), "text/html; charset=utf-8")


def test_iso_8859_1_means_windows_1252_as_in_browsers() -> None:
    assert "„fröhlich“" in decode(body(GERMAN, "windows-1252", "iso-8859-1"), "text/html")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_decides(encoding: str) -> None:
    assert GERMAN in decode(body(GERMAN, encoding, "windows-1251"), "text/html; charset=gbk")


def test_the_article_of_a_page_comes_out_whole() -> None:
    for encoding, text in WRITTEN:
        found = read_page(body(text, encoding, encoding), "text/html", "https://www.courier.example/a")
        assert found is not None and text.split()[0][:20] in found.text, encoding


@given(st.binary(max_size=500), st.text(max_size=40))
def test_no_bytes_break_the_decoding(raw: bytes, content_type: str) -> None:
    assert isinstance(decode(raw, content_type), str)


@pytest.mark.parametrize("name", ["undefined", "punycode", "idna", "Unicode-Escape", "raw_unicode_escape"])
def test_what_only_python_takes_for_an_encoding_is_none(name: str) -> None:
    body = "Ein Käse aus Köln und ein Brötchen für die Bürger der Stadt \\u0041".encode("latin-1") * 20
    assert decode(body, f"text/html; charset={name}") == decode(body, "text/html")
