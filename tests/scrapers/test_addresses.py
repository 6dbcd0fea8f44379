"""One story, one address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapers.extract.addresses import canonical, is_fetchable, normalise, to_wire

pytestmark = pytest.mark.anydb


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://News.Example:80/A", "http://news.example/A"),
        ("https://news.example:443", "https://news.example/"),
        ("https://news.example:8443/a", "https://news.example:8443/a"),
        ("http://news.example/a#part", "http://news.example/a"),
        ("http://news.example/a?utm_source=rss&id=3&fbclid=x", "http://news.example/a?id=3"),
        ("http://news.example/a?utm_source=rss&utm_medium=feed", "http://news.example/a"),
        ("http://news.example/a?b=1&a=2", "http://news.example/a?b=1&a=2"),
        ("http://news.example/a?q=%C3%A9&x=%2f", "http://news.example/a?q=%C3%A9&x=%2f"),
        ("http://news.example/é?ü=ö", "http://news.example/%C3%A9?%C3%BC=%C3%B6"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://news.example./a b", "http://news.example/a%20b"),
        ("http://me:secret@news.example/a", "http://news.example/a"),
        ("http://[2001:DB8::1]:80/a", "http://[2001:db8::1]/a"),
        ("http://news.example/a?empty", "http://news.example/a?empty"),
    ],
)
def test_addresses_have_one_form(url: str, normal: str) -> None:
    assert normalise(url) == normal


@pytest.mark.parametrize(
    "url",
    ["", "news.example", "ftp://a/", "javascript:alert(1)", "http://", "http://a:99999/", "http://[::", "http://a b/"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        normalise(url)


HOSTS = st.from_regex(r"[a-z]{1,8}(\.[a-z]{2,5}){1,2}", fullmatch=True)
URLS = st.builds(
    "{}://{}{}/{}?{}#{}".format,
    st.sampled_from(["http", "https", "HTTP"]),
    HOSTS,
    st.sampled_from(["", ":80", ":8080"]),
    st.text(max_size=10).filter(lambda text: not text.startswith("/")),
    st.text(max_size=10),
    st.text(max_size=5),
)


@given(URLS | st.text())
def test_the_form_is_stable_ascii_and_can_be_fetched(url: str) -> None:
    try:
        normal = normalise(url)
    except ValueError:
        return
    assert normalise(normal) == normal
    assert to_wire(normal) == normal
    assert normal.isascii() and is_fetchable(normal) and "#" not in normal


@pytest.mark.parametrize(
    ("page", "link", "chosen"),
    [
        ("http://a.example/x?utm_source=1", "", "http://a.example/x"),
        ("http://a.example/x?print=1", "/x", "http://a.example/x"),
        ("http://m.news.co.uk/x", "https://www.news.co.uk/x", "https://www.news.co.uk/x"),
        ("http://one.co.uk/x", "http://two.co.uk/x", "http://one.co.uk/x"),
        ("http://one.github.io/x", "http://two.github.io/x", "http://one.github.io/x"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.2:8000/x", "http://127.0.0.1:8000/x"),
        ("http://127.0.0.1:8000/x?a", "http://127.0.0.1:8000/y", "http://127.0.0.1:8000/y"),
        ("http://a.example/x", "http://a.example/", "http://a.example/x"),
        ("http://a.example/x", "javascript:alert(1)", "http://a.example/x"),
        ("http://a.example/x", "http://[::", "http://a.example/x"),
    ],
)
def test_a_page_names_its_address_only_within_its_own_site(page: str, link: str, chosen: str) -> None:
    assert canonical(page, link) == chosen
