"""OPML: what is read of files as they are out there, what an import stores, and that an export comes back in full."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from scheduling.models import Tag
from scrapers import opml
from scrapers.models import Source
from scrapers.portable import SOURCE_FIELDS
from tests.shared import examples

FILE = b"""<?xml version="1.0"?><opml version="1.0"><head><title>Mine</title></head><body>
<outline text="News"><outline text="Europe" title="Europe">
  <outline type="rss" text="Le Canard" xmlUrl="https://canard.example/rss" htmlUrl="https://canard.example/"/></outline>
  <outline text="Herald" xmlUrl=" https://herald.example/feed "/></outline>
<outline title="Loose" xmlurl="http://loose.example/" category="/Science/Space,Odd"/>
</body></opml>"""


def outlines(data: bytes) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(found.name, found.url, found.tags) for found in opml.read(data)]


@pytest.mark.anydb
def test_folders_and_categories_become_tags() -> None:
    assert outlines(FILE) == [
        ("Le Canard", "https://canard.example/rss", ("News", "Europe")),
        ("Herald", "https://herald.example/feed", ("News",)),
        ("Loose", "http://loose.example/", ("Science", "Space", "Odd")),
    ]


@pytest.mark.anydb
def test_a_broken_file_is_read_as_far_as_it_goes() -> None:
    broken = b'<opml><body><outline text="A & B" xmlUrl="https://a.example/?x=1&y=2"/><!-- c --><outline text="C" xmlUrl="https://c.example/"/>'
    assert [url for _name, url, _tags in outlines(broken)] == ["https://a.example/?x=1&y=2", "https://c.example/"]


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("address", "url", "name"),
    [
        ("feed://a.example/rss", "http://a.example/rss", "a.example"),
        ("feed:https://a.example/rss", "https://a.example/rss", "a.example"),
        ("feedme", "feedme", "feedme"),
        ("https://[", "https://[", "https://["),
    ],
)
def test_what_stands_for_an_address_is_taken_as_far_as_it_goes(address: str, url: str, name: str) -> None:
    found = opml.read(f'<opml><body><outline xmlUrl="{address}"/></body></opml>'.encode())
    assert [(one.name, one.url) for one in found] == [(name, url)]


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no OPML file"),
        (b"not xml", "no OPML file"),
        (b"<rss><channel/></rss>", "no OPML file"),
        (b"<opml><head/></opml>", "lists no feeds"),
        (b"<opml><body><outline text='folder'/></body></opml>", "lists no feeds"),
        (
            b'<!DOCTYPE o [<!ENTITY a "b">]><opml><body><outline xmlUrl="http://x.example/&a;"/></body></opml>',
            "entities",
        ),
        (
            b'<!DOCTYPE o [<!ENTITY a "b">]><opml><body><outline text="&" xmlUrl="http://x.example/&a;"/></body>',
            "entities",
        ),
        (b"<opml>" + b" " * opml.MAX_BYTES, "larger than 10 MB"),
    ],
)
def test_what_is_no_list_of_feeds_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(opml.OpmlError, match=words):
        opml.read(data)


@pytest.mark.django_db
def test_an_import_stores_nothing_twice_and_tells_what_became_of_each() -> None:
    Source.objects.create(name="Herald", url="https://herald.example/feed")
    Source.objects.create(name="Le Canard", url="https://elsewhere.example/")
    bad = opml.Outline("Bad", "javascript:alert(1)")
    odd = opml.Outline("Odd", "https://odd.example/", kind="carrier pigeon")
    report = opml.import_outlines([*opml.read(FILE), *opml.read(FILE)[:1], bad, odd])
    assert [line.name for line in report.added] == ["Le Canard (canard.example)", "Loose"]
    assert [line.name for line in report.known] == ["Herald", "Le Canard"]
    assert [line.name for line in report.refused] == ["Bad", "Odd"]
    assert all(line.why for line in report.known + report.refused)
    assert set(Source.objects.get(url="https://canard.example/rss").tags.values_list("name", flat=True)) == {
        "News",
        "Europe",
    }
    assert Source.objects.get(name="Herald").tags.get().name == "News", "a known source gets the folder's tag"
    again = opml.import_outlines(opml.read(FILE))
    assert (len(again.added), len(again.known)) == (0, 3)
    assert Source.objects.count() == 4


@pytest.mark.django_db
def test_a_file_of_a_thousand_feeds_costs_few_statements_and_seconds(django_assert_max_num_queries: Any) -> None:
    lines = "".join(
        f'<outline text="tag {n % 30}"><outline text="Feed {n % 900}" xmlUrl="https://f{n}.example/"/></outline>'
        for n in range(1_000)
    )
    began = time.process_time()
    with django_assert_max_num_queries(60):
        report = opml.import_outlines(opml.read(f"<opml><body>{lines}</body></opml>".encode()))
    assert time.process_time() - began < 10, "seconds of the processor; some 2 where nothing else runs"
    assert (len(report.added), Source.objects.count(), Tag.objects.count()) == (1_000, 1_000, 30)


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50).map(
    lambda text: " ".join(text.split())
)
words = words.filter(bool)


LISTING = {"items": "article", "following": "a[rel=next]", "pages": 3}
KINDS = st.sampled_from([("feed", {}), ("sitemap", {}), ("listing", LISTING), ("json_api", {"items": 'data."\u00e9"'})])
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "exclude": st.sampled_from([["sport"], ["a&b", "<c>"]]),
        "max_age_days": st.integers(1, 99),
        "text_from": st.sampled_from(["page", "source"]),
        "title_selector": st.sampled_from(["h1", '//h1[@class="a"]']),
        "encoding": st.just("windows-1251"),
    },
)
HOURS = st.just({}) | st.builds(
    lambda begin, end: {"active_from": begin, "active_until": end, "active_zone": "Europe/Berlin"},
    st.times(),
    st.times(),
)
POLLING = st.fixed_dictionaries(
    {},
    optional={
        "pace": st.sampled_from(["each_run", "interval", "adaptive"]),
        "interval_minutes": st.integers(1, 1440),
        "heed_ttl": st.booleans(),
        "forbidden_is_busy": st.booleans(),
    },
)
ROWS = st.tuples(words, st.lists(words, max_size=3), st.booleans(), KINDS, SETTINGS, POLLING, HOURS)


class RoundTrip(TestCase):
    @settings(max_examples=examples(40), deadline=None)
    @given(st.lists(ROWS, min_size=1, max_size=4))
    def test_an_export_comes_back_in_full(self, rows: list[Any]) -> None:
        Source.objects.all().delete()
        for number, (name, tags, enabled, (kind, options), chosen, polling, hours) in enumerate(rows):
            source = Source(
                name=f"{name} {number}" * (1 + 2 * (number % 2)),
                url=f"https://x{number}.example/?a=1&b=<2>",
                enabled=enabled,
                kind=kind,
                options=options,
                settings=chosen,
                **polling,
                **hours,
            )
            source.full_clean()
            source.save()
            source.tags.set([Tag.objects.get_or_create(name=tag)[0] for tag in tags])

        def stored() -> list[object]:
            return [
                (*(getattr(source, name) for name in SOURCE_FIELDS), {tag.name for tag in source.tags.all()})
                for source in Source.objects.order_by("url")
            ]

        before = stored()
        written = opml.write(Source.objects.prefetch_related("tags"))
        Source.objects.all().delete()
        Tag.objects.all().delete()
        report = opml.import_outlines(opml.read(written))
        assert (stored(), report.refused) == (before, [])
        again = opml.import_outlines(opml.read(written))
        assert (stored(), len(again.known)) == (before, len(rows))


@pytest.mark.django_db
def test_no_secret_leaves_by_a_file_and_who_imports_is_told_what_to_type() -> None:
    source = Source(name="Herald", url="https://herald.example/f?api_key=opensesame0123456789")
    source.settings = {"headers": "Authorization: Bearer opensesame", "exclude": "sport"}
    source.full_clean()
    source.save()
    written = opml.write(Source.objects.prefetch_related("tags"))
    assert b"opensesame" not in written and b"enc:" not in written
    Source.objects.all().delete()
    (line,) = opml.import_outlines(opml.read(written)).added
    assert line.todo == "Secrets to be typed: headers, parameters."
    assert Source.objects.get().settings == {"exclude": ["sport"]}


@pytest.mark.django_db
def test_settings_that_are_wrong_are_refused_by_name_and_stop_nothing_else() -> None:
    def outline(name: str, **own: object) -> opml.Outline:
        return opml.Outline(name, f"https://{name}.example/", **own)  # type: ignore[arg-type]

    report = opml.import_outlines(
        [
            outline("a", settings={"encoding": "klingon"}),
            outline("b", settings={"unheard_of": "x"}),
            outline("c", polling={"pace": "never"}),
            outline("d", polling={"pace": 7}),
            outline("e", polling={"interval_minutes": 5, "id": 1, "paused_at": "2026-01-01", "unheard_of": 1}),
        ]
    )
    assert [line.name for line in report.refused] == ["a", "b", "c", "d"] and all(line.why for line in report.refused)
    assert (Source.objects.get().name, Source.objects.get().interval_minutes) == ("e", 5)


@pytest.mark.django_db
def test_the_commands_carry_sources_from_one_installation_to_another(tmp_path: Path, capsys: object) -> None:
    file = tmp_path / "mine.opml"
    file.write_bytes(FILE)
    call_command("import_opml", str(file), "--dry-run")
    assert not Source.objects.exists()
    assert capsys.readouterr().out.endswith("3 would be added, 0 known, 0 refused.\n")
    call_command("import_opml", str(file))
    call_command("export_opml", output=str(tmp_path / "out.opml"))
    assert {found.name for found in opml.read((tmp_path / "out.opml").read_bytes())} == {"Le Canard", "Herald", "Loose"}
    with pytest.raises(CommandError, match=r"nowhere\.opml"):
        call_command("import_opml", str(tmp_path / "nowhere.opml"))
