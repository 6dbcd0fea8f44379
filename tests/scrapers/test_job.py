"""The job's form, its words and its panel."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from scheduling.jobs import RunContext, registry
from scheduling.models import Cause, Run, Schedule, Tag
from scrapers.jobs import to_poll
from scrapers.models import ResultStatus, Source, SourceResult
from scrapers.polling import Pace
from tests import factories

pytestmark = pytest.mark.django_db

NAME = "run_all_scrapers"


@pytest.fixture
def sources() -> list[Source]:
    return [
        Source.objects.create(name=name, url=f"http://{name.lower()}.example/") for name in ("A", "B", "C", "D", "2")
    ]


def clean(**parameters: Any) -> dict[str, Any]:
    return registry.get(NAME).clean(parameters)


def test_sources_and_tags_are_given_by_key_or_by_name(sources: list[Source]) -> None:
    tag = Tag.objects.create(name="politics")
    cleaned = clean(sources=["B", sources[0].pk, str(sources[2].pk)], tags=["politics"])
    assert cleaned["sources"] == sorted([sources[0].pk, sources[1].pk, sources[2].pk])
    assert cleaned["tags"] == [tag.pk]
    assert clean(sources=["2"])["sources"] == [sources[4].pk], "a name of digits is a name"
    assert clean() == {"sources": [], "tags": [], "query": "", "limit": None}
    assert clean(**cleaned) == cleaned


def test_what_a_form_posts_is_a_key_whatever_the_names_are(sources: list[Source]) -> None:
    first, second = Tag.objects.create(name="politics"), Tag.objects.create(name="sport")
    Tag.objects.filter(pk=second.pk).update(name=str(first.pk))
    Source.objects.filter(pk=sources[1].pk).update(name=str(sources[0].pk))
    form = registry.get(NAME).form(data=QueryDict(f"tags={first.pk}&sources={sources[0].pk}"))
    assert form.is_valid(), form.errors
    assert form.to_parameters()["tags"] == [first.pk]
    assert form.to_parameters()["sources"] == [sources[0].pk]
    assert clean(tags=[str(first.pk)])["tags"] == [second.pk], "in JSON a text is a name"


def test_a_form_refuses_a_name_where_it_expects_a_key(sources: list[Source]) -> None:
    form = registry.get(NAME).form(data=QueryDict("sources=A"))
    assert list(form.errors) == ["sources"]


def test_schedules_are_found_by_their_sources_tags_and_query(
    sources: list[Source], django_assert_num_queries: Any
) -> None:
    Source.objects.filter(pk=sources[0].pk).update(name="Harbour Courier")
    tag = Tag.objects.create(name="politics")
    sources[1].tags.add(tag)
    by_source = factories.schedule(job=NAME, parameters={"sources": [sources[0].pk], "query": "Grain"})
    by_tag = factories.schedule(job=NAME, parameters={"tags": [tag.pk]})
    everything = factories.schedule(name="Everything", job=NAME, parameters={})
    other = factories.schedule(name="Other", job="echo", parameters={"text": "harbour"})

    def found(text: str) -> set[Any]:
        return set(Schedule.objects.search(text))

    assert found("harbour") == {by_source, other}
    assert found("harbour grain") == {by_source}
    assert found('"harbour courier"') == {by_source}
    assert found("b.example") == {by_tag}, "a source that carries the chosen tag"
    assert found("politics") == {by_tag}
    assert found("everything") == {everything}
    assert found("collect") == {by_source, by_tag, everything}, "the label of the job"
    assert found("nowhere") == set()
    assert found("") == {by_source, by_tag, everything, other}
    assert found('"open') == set()
    with django_assert_num_queries(4):
        found("harbour")


@pytest.mark.parametrize(
    ("parameters", "field", "words"),
    [
        ({"sources": ["Nobody"]}, "sources", "Nobody"),
        ({"sources": [99999]}, "sources", "99999"),
        ({"sources": "A"}, "sources", "list"),
        ({"sources": [{"a": 1}]}, "sources", ""),
        ({"sources": [None]}, "sources", ""),
        ({"tags": ["nothing"]}, "tags", "nothing"),
        ({"query": '"open'}, "query", "not closed"),
        ({"limit": 0}, "limit", "1"),
        ({"limit": "many"}, "limit", "number"),
        ({"depth": 3}, "depth", "sources"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters: Any, field: str, words: str, sources: list[Source]) -> None:
    with pytest.raises(ValidationError) as error:
        clean(**parameters)
    assert list(error.value.message_dict) == [field]
    assert words in " ".join(error.value.message_dict[field])


def test_the_parameters_are_described_in_words(sources: list[Source], django_assert_num_queries: Any) -> None:
    tag = Tag.objects.create(name="politics")
    keys = [source.pk for source in sources]
    with django_assert_num_queries(2):
        words = registry.describe(NAME, {"sources": keys[:4], "tags": [tag.pk], "query": "a b", "limit": 5})
    assert words == "4 sources: A, B, C and 1 more; tag politics; query “a b”; at most 5 new from each"
    assert registry.describe(NAME, {}) == "all enabled sources"
    assert registry.describe(NAME, {"sources": keys[:1]}) == "1 source: A"


def test_the_panel_shows_each_source_in_one_query(sources: list[Source], django_assert_num_queries: Any) -> None:
    run = factories.run(job=NAME)
    for source in sources:
        SourceResult.objects.create(
            run=run, source=source, source_name=source.name, status=ResultStatus.OK, seen=3, new=2, known=1
        )
    SourceResult.objects.create(
        run=run,
        source_name="Gone <b>bold</b>",
        status=ResultStatus.FAILED,
        failure_class="dns",
        error="The name <script> could not be found.",
    )
    with django_assert_num_queries(1):
        html = registry.panel(run)
    assert html.count("<tr>") == 7
    assert "Gone &lt;b&gt;bold" in html and "<script>" not in html
    assert _("name not found") in html and "error</span>" in html


def test_the_panel_of_a_run_without_results_says_so() -> None:
    assert "No source is done yet." in registry.panel(factories.run(job=NAME))


def test_what_children_import_beforehand_can_be_imported() -> None:
    import importlib

    for name in registry.get(NAME).preload:
        importlib.import_module(name)


@pytest.mark.django_db
def test_what_failed_can_be_run_again_alone() -> None:
    from scheduling.jobs import registry
    from scrapers.models import ResultStatus, Source, SourceResult
    from tests import factories

    good, bad = (Source.objects.create(name=name, url=f"http://127.0.0.1/{name}") for name in ("good", "bad"))
    run = factories.run(job="run_all_scrapers", parameters={"sources": [], "tags": [3], "query": "harbour"})
    assert registry.failed_only(run) is None
    SourceResult.objects.create(run=run, source=good, source_name="good", status=ResultStatus.OK)
    for source in (bad, None):
        SourceResult.objects.create(
            run=run, source=source, source_name="x", status=ResultStatus.FAILED, failure_class="timeout", error="x"
        )
    assert registry.failed_only(run) == {"sources": [bad.pk], "tags": [], "query": "harbour"}


def test_a_scheduled_run_without_a_source_that_is_due_says_so(sources: list[Source]) -> None:
    Source.objects.update(pace=Pace.INTERVAL, interval_minutes=60)
    for source in Source.objects.all():
        source.begin_poll(timezone.now())
    schedule = factories.schedule(job=NAME)
    run = factories.running(job=NAME, schedule=schedule, cause=Cause.SCHEDULE, scheduled_for=timezone.now())
    result = registry.get(NAME).function(RunContext(run))
    assert result is not None
    assert result.nothing_due and "Nothing due" in result.outcome


@pytest.mark.django_db
def test_the_retry_of_a_scheduled_run_asks_again_what_failed_and_nobody_sooner_than_he_allows() -> None:
    failed, cut_off, read, due = (
        Source.objects.create(
            name=name, url=f"http://127.0.0.1/{name}", next_poll_at=timezone.now() + timedelta(hours=hours)
        )
        for name, hours in (("failed", 1), ("cut off", 1), ("read", 1), ("due", -1))
    )
    at = timezone.now()
    schedule = factories.schedule(job=NAME)
    run = factories.run(job=NAME, schedule=schedule, cause=Cause.SCHEDULE, scheduled_for=at)
    for source, status in ((failed, "failed"), (cut_off, "cancelled"), (read, "ok")):
        values = {"failure_class": "timeout", "error": "x"} if status == "failed" else {}
        SourceResult.objects.create(run=run, source=source, source_name=source.name, status=status, **values)

    def polled(cause: Cause, **values: Any) -> set[str]:
        again = factories.running(job=NAME, schedule=schedule, cause=cause, parent=run, attempt=2, **values)
        asked = {source.name for source in to_poll(RunContext(again), [failed, cut_off, read, due])}
        again.delete()
        return asked

    assert polled(Cause.RETRY, scheduled_for=at) == {"failed", "cut off", "due"}
    assert polled(Cause.SCHEDULE, scheduled_for=at) == {"due"}
    everything = {"failed", "cut off", "read", "due"}
    assert polled(Cause.RETRY) == polled(Cause.MANUAL) == everything


@pytest.mark.django_db
def test_a_run_in_place_of_lost_ones_asks_nothing_again_that_they_had_read(sources: list[Source]) -> None:
    first, second, third, fourth = (source.pk for source in sources[:4])
    schedule = factories.schedule(job=NAME)
    at = timezone.now()

    def run(source: int, status: str, **values: Any) -> Run:
        lost = factories.run(job=NAME, schedule=schedule, **values)
        why = {"failure_class": "timeout", "error": "x"} if status == "failed" else {}
        SourceResult.objects.create(run=lost, source_id=source, source_name=str(source), status=status, **why)
        return lost

    other = run(third, "ok", cause=Cause.MANUAL)
    lost = run(first, "ok", cause=Cause.SCHEDULE, parent=other, scheduled_for=at)
    again = run(second, "not_modified", cause=Cause.RECOVERY, parent=lost, scheduled_for=at, attempt=2)
    SourceResult.objects.create(
        run=again, source_id=fourth, source_name="x", status="failed", failure_class="timeout", error="x"
    )
    last = factories.running(
        job=NAME, schedule=schedule, scheduled_for=at, cause=Cause.RECOVERY, parent=again, attempt=3
    )
    polled = {source.pk for source in to_poll(RunContext(last), sources)}
    assert polled == {source.pk for source in sources} - {first, second}

    assert to_poll(RunContext(last), sources[:2]) == []
    Source.objects.exclude(pk__in=[first, second]).delete()
    result = registry.get(NAME).function(RunContext(last))
    assert result is not None
    assert not result.nothing_due and "Nothing left to do" in result.outcome


@pytest.mark.parametrize(
    ("language", "counts", "words"),
    [
        ("en", {"seen": 1, "duplicate": 1}, "ok (1 found, 1 duplicate)"),
        ("en", {"seen": 3, "new": 1, "duplicate": 2}, "ok (3 found, 1 new, 2 duplicates)"),
        ("de", {"seen": 1, "duplicate": 1}, "ok (1 gefunden, 1 Dublette)"),
        ("de", {"seen": 2, "duplicate": 2}, "ok (2 gefunden, 2 Dubletten)"),
    ],
)
def test_a_result_counts_in_words(language: str, counts: dict[str, int], words: str) -> None:
    with override(language):
        assert SourceResult(status=ResultStatus.OK, **counts).sentence() == words
