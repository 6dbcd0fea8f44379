"""JSON APIs by JMESPath, and their paging."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from scrapers.fetch.answers import Answer
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds import registry
from scrapers.kinds.json_api import read_json, validate_jmespath
from scrapers.models import Source
from tests.scrapers.test_collect import page

BASE = "http://courier.example/api?page=1&size=2"
DATA = {
    "data": [
        {
            "id": 7,
            "link": "/a",
            "headline": "Tide &amp; <b>time</b>",
            "at": "2026-11-20T10:00:00+01:00",
            "by": [{"name": "Ann Bo"}, {"name": "Cy Do"}],
            "teaser": "Soon.",
        },
        {"id": 8, "link": None},
        "rubbish",
    ],
    "next": "/api?page=2",
}


def read(data: Any, number: int = 1, **options: Any) -> Any:
    given_options = {"items": "data", "link": "link", **options}
    cleaned = registry.get("json_api").clean_options(given_options)
    return read_json(Answer(BASE, 200, json.dumps(data).encode(), "application/json"), cleaned, number)


@pytest.mark.anydb
class TestReading:
    def test_each_part_of_an_item_is_found(self) -> None:
        found, _following = read(
            DATA, identifier="id", title="headline", date="at", author="by[].name", summary="teaser"
        )
        (item,) = found.items
        assert (item.guid, item.url) == ("7", "http://courier.example/a")
        assert (item.title, item.summary, item.authors) == ("Tide & time", "Soon.", ("Ann Bo", "Cy Do"))
        assert item.published == datetime(2026, 11, 20, 9, tzinfo=UTC) and item.zone_known

    @pytest.mark.parametrize(
        ("options", "answer", "expected"),
        [
            ({}, DATA, ""),
            ({"following": "next"}, DATA, "http://courier.example/api?page=2"),
            ({"following": "next"}, {**DATA, "next": None}, ""),
            ({"following": "next"}, {**DATA, "next": "javascript:x"}, ""),
            (
                {"following": "next", "parameter": "page"},
                {**DATA, "next": 3},
                "http://courier.example/api?size=2&page=3",
            ),
            ({"following": "next", "parameter": "after"}, {**DATA, "next": "x="}, f"{BASE}&after=x%3D"),
            ({"parameter": "page"}, DATA, "http://courier.example/api?size=2&page=2"),
        ],
    )
    def test_where_the_next_page_is(self, options: dict[str, str], answer: Any, expected: str) -> None:
        assert read(answer, **options)[1] == expected

    @pytest.mark.parametrize(
        ("body", "failure"),
        [
            (b" ", FailureClass.EMPTY),
            (b"<html>", FailureClass.NOT_A_FEED),
            (b"[" * 100_000, FailureClass.NOT_A_FEED),
            (b'{"data": {}}', FailureClass.NO_MATCH),
            (b'{"data": [{"link": ""}]}', FailureClass.NO_MATCH),
        ],
    )
    def test_what_is_not_understood_is_called_by_its_name(self, body: bytes, failure: FailureClass) -> None:
        options = registry.get("json_api").clean_options({"items": "data", "link": "link"})
        with pytest.raises(CollectError) as caught:
            read_json(Answer(BASE, 200, body, ""), options)
        assert caught.value.failure == failure

    def test_wrong_expressions_are_refused_at_their_field(self) -> None:
        with pytest.raises(ValidationError) as caught:
            registry.get("json_api").clean_options({"items": "a[", "title": "foo(", "pages": 3})
        assert set(caught.value.message_dict) == {"items", "title", "pages"}

    @given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x) | st.dictionaries(
        st.sampled_from(["data", "link", "headline", "at", "next", "by"]), x), max_leaves=20))  # fmt: skip
    def test_any_json_is_read_or_refused_by_name(self, data: Any) -> None:
        with suppress(CollectError):
            read(data, title="join('-', headline)", date="at", author="by[].name", following="next")


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
def test_the_pages_of_an_api_are_collected(serve: Any, collect_news: Any) -> None:
    server = serve()

    async def api(request: web.Request) -> web.Response:
        number = int(request.query["page"])
        items = [{"link": f"/{number}{letter}", "headline": f"Story {number}{letter}"} for letter in "ab"]
        return web.json_response({"items": items if number < 4 else []})

    server.routes["/api"] = api
    for name in ("1a", "1b", "2a", "2b", "3a", "3b"):
        server.answer(f"/{name}", page("Page", f"{name}."))
    options = {"link": "link", "title": "headline", "parameter": "page", "pages": 10}
    source = Source(name="API", kind="json_api", url=server.url("/api?page=1"), options=options)
    source.full_clean()
    source.save()
    result = collect_news().of("API")
    assert (result.new, result.failure_class) == (6, "")
    asked = [path for path in server.paths() if path.startswith("/api")]
    assert asked == [f"/api?page={number}" for number in (1, 2, 3, 4)]


@pytest.mark.anydb
def test_a_function_that_jmespath_does_not_have_is_refused_when_it_is_typed() -> None:
    validate_jmespath("data[?contains(title, 'a')] | sort_by(@, &to_string(date))[].{a: length(b)}")
    with pytest.raises(ValidationError, match="no function nofn"):
        validate_jmespath("data[?starts_with(nofn(title), 'a')]")
