"""Full-text search: it finds what a query matches in memory, on either database; the best first, and marked."""

from __future__ import annotations

import random
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scrapers.models import Article, ArticleSource, Source, url_hash
from scrapers.query import FIELD_BYTES, TEXT_WORDS, Document, parse
from scrapers.search import highlight
from tests.scrapers.articles import make_source
from tests.shared import examples

WORDS = [
    "flood",
    "Storm",
    "old",
    "harbour",
    "Übersee",
    "洪",
    "水",
    "न्यूज़",
    "don't",
    "3.5",
    "http://a.b/c?d=1",
    "x_y",
    "ﬁne",
    "Наводнение",
    "й",
    # What databases take for operators.
    "or",
    "AND",
    "not",
    "NEAR",
    "title:flood",
    "a*",
    "(b)",
]
LANGUAGES = ["en", "en-gb", "de", ""]
NAMES = ["The Harbour Courier", "Upland Review", "洪水 News", 'The "Вести"']


def make(title: str, summary: str = "", text: str = "", language: str = "", *sources: Source) -> Article:
    url = f"http://courier.example/{Article.objects.count()}-{random.random()}"
    article = Article(url=url, url_hash=url_hash(url), title=title, summary=summary, text=text, language=language)
    Article.objects.bulk_create([article])
    ArticleSource.objects.bulk_create(ArticleSource(article=article, source=one, item_key=url) for one in sources)
    return article


def document(article: Article) -> Document:
    names = tuple(article.sources.values_list("name", flat=True))
    return Document(article.title, article.summary, article.text, article.language, names)


FREE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
PROSE = st.lists(st.sampled_from(WORDS) | FREE, max_size=6).map(" ".join)
PLACES = st.sampled_from(["", "", "", "title:"])
PHRASES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join)
TERM = st.builds(
    '{}"{}"'.format, PLACES, PHRASES | FREE.filter(lambda text: any(map(str.isalnum, text)) and '"' not in text)
) | st.sampled_from(["lang:en", "lang:de", "source:harbour", "source:水", 'source:"upland review"', "source:вести"])
SIGNED = st.builds("{}{}".format, st.sampled_from(["", "", "-"]), TERM)
QUERIES = st.lists(st.lists(SIGNED, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=3).map(" OR ".join)
STORIES = st.lists(
    st.tuples(PROSE, PROSE, PROSE, st.sampled_from(LANGUAGES), st.sets(st.integers(0, 3))), min_size=1, max_size=4
)


@pytest.mark.django_db
def test_search_finds_what_a_query_matches_and_nothing_else() -> None:
    sources = [make_source(name) for name in NAMES]

    @settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
    @given(STORIES, st.lists(QUERIES, min_size=1, max_size=3))
    def holds(stories: list[Any], queries: list[str]) -> None:
        Article.objects.all().delete()
        for title, summary, text, language, numbers in stories:
            make(title or "-", summary, text, language, *(sources[number] for number in numbers))
        articles = list(Article.objects.all())
        for query in map(parse_or_skip, queries):
            expected = {article.pk for article in articles if query.matches(document(article))}
            assert set(Article.objects.all().search(query).values_list("pk", flat=True)) == expected
            assert {article.pk for article in Article.objects.all().search(query, rank=True)} == expected

    holds()


def parse_or_skip(text: str) -> Any:
    from hypothesis import assume

    from scrapers.query import QueryError

    try:
        return parse(text)
    except QueryError:
        assume(False)


def found(query: str) -> list[str]:
    return [article.title for article in Article.objects.all().search(parse(query), rank=True)]


@pytest.mark.django_db
def test_the_best_come_first() -> None:
    make("Other news", text="A word about the flood and much else. " + "Filler words here. " * 20)
    make("Flood")
    make("More", summary="The flood")
    make("Nothing")
    assert found("flood") == ["Flood", "More", "Other news"]
    assert found("flood -title:more") == ["Flood", "Other news"]
    assert found("-flood") == ["Nothing"]


@pytest.mark.django_db
def test_a_search_finds_the_text_of_now() -> None:
    article = make("Storm", text="It comes.")
    article.text = "It went."
    article.save()
    assert (found("comes"), found("went")) == ([], ["Storm"])
    article.delete()
    other = make("Calm")
    assert (found("went"), found("calm")) == ([], [other.title])


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        "word " * (TEXT_WORDS * 2),
        "𝒘𠀀" * FIELD_BYTES,
        "a" * 10_000,
        " ".join(f"{n}𐍈{n}" * 8 for n in range(20_000)),
    ],
    ids=["long", "wide", "one word", "many different"],
)
def test_no_text_is_too_much_for_the_index(text: str) -> None:
    make("Long", text=text)
    assert found("long") == ["Long"]


@pytest.mark.django_db
def test_a_search_takes_a_fixed_number_of_queries(django_assert_max_num_queries: Any) -> None:
    source = make_source("Courier")
    for number in range(5):
        make(f"Flood {number}", "", "", "en", source)
    with django_assert_max_num_queries(2):
        assert len(Article.objects.all().search(parse("flood source:courier OR storm -lang:de"), rank=True)) == 5


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("The <b>flood</b>", "flood", "The &lt;b&gt;<mark>flood</mark>&lt;/b&gt;"),
        ("Old  Harbour, old harbours", '"old harbour"', "<mark>Old  Harbour</mark>, old harbours"),
        ("no harbour", "-harbour", "no harbour"),
        ("洪水が町を", "洪水", "<mark>洪水</mark>が町を"),
        ("STRASSE", "straße", "<mark>STRASSE</mark>"),
        ("a b c", '"a b" OR "b c"', "<mark>a b c</mark>"),
        ("nothing", "", "nothing"),
    ],
)
def test_what_was_asked_for_is_marked(text: str, query: str, marked: str) -> None:
    assert highlight(text, parse(query)) == marked


@pytest.mark.anydb
def test_a_long_text_is_shown_around_the_first_place() -> None:
    shown = highlight("word " * 500 + "flood " + "word " * 500, parse("flood"), 100)
    assert shown.startswith("… word") and shown.endswith("word …") and "<mark>flood</mark>" in shown
    assert 80 < len(shown) < 140
    assert highlight("word " * 500, parse("flood"), 100).startswith("word")


@pytest.mark.anydb
@given(st.text(max_size=60), st.sampled_from(["flood", "a", "洪", "ß"]), st.integers(0, 30))
def test_marking_takes_nothing_from_a_text_and_lets_no_markup_through(text: str, query: str, length: int) -> None:
    import html

    shown = highlight(text, parse(query), length)
    plain = html.unescape(shown.replace("<mark>", "").replace("</mark>", ""))
    assert plain.removeprefix("… ").removesuffix(" …") in text
    assert "<" not in shown.replace("<mark>", "").replace("</mark>", "")


@pytest.mark.django_db
def test_the_list_of_articles_is_searched_by_queries(admin_client: Client) -> None:
    make("Flood", text="The <i>harbour</i> is under water.")
    make("Storm", text="The harbour is dry.")
    address = reverse("admin:scrapers_article_changelist")
    page = admin_client.get(address, {"q": "harbour -title:storm"}).content.decode()
    assert "&lt;i&gt;<mark>harbour</mark>&lt;/i&gt;" in page and "Storm" not in page
    wrong = admin_client.get(address, {"q": 'harbour "'}).content.decode()
    assert "A quotation mark is not closed." in wrong and "under water" not in wrong


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "sqlite", reason="how SQLite goes about it")
def test_sqlite_ranks_once_and_not_for_each_article() -> None:
    plan = Article.objects.all().search(parse("flood"), rank=True).explain()
    assert "MATERIALIZE ranks" in plan and "SEARCH ranks USING AUTOMATIC" in plan


@pytest.mark.django_db
def test_what_is_found_without_a_wanted_word_comes_after_the_ranked() -> None:
    make("Calm")
    make("Flood")
    assert found("flood OR -storm") == ["Flood", "Calm"]
