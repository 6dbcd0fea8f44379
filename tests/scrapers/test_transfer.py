"""Sources, topics and schedules move to another installation by a file, whole, and without secrets."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from scheduling.models import FollowUp, Schedule, Tag, TriggerKind
from scrapers.models import SettingsLevel, Source, Topic
from scrapers.secrets import MASK, encrypted_in
from scrapers.source_settings import clean_settings
from scrapers.transfer import Fate, TransferError, dump, from_text, load, to_text
from tests import factories
from tests.scrapers.articles import make_source, stored

pytestmark = pytest.mark.django_db
HEADERS = "Authorization: Bearer opensesame"
PROXY = "http://me:opensesame@proxy.example:3128"


@pytest.fixture
def installation() -> None:
    daily, odd = Tag.objects.create(name="daily"), Tag.objects.create(name="42")
    SettingsLevel.objects.create(values=clean_settings({"max_age_days": "30"}))
    SettingsLevel.objects.create(tag=daily, position=3, values=clean_settings({"encoding": "latin-1"}))
    settings = clean_settings({"headers": HEADERS, "proxy": PROXY, "exclude": "sport"})
    courier = make_source("The “Courier”", settings=settings)
    courier.tags.add(daily, odd)
    polling = {"pace": "interval", "interval_minutes": 90, "heed_ttl": False, "forbidden_is_busy": True}
    hours = {"active_from": time(6), "active_until": time(22, 30), "active_zone": "Europe/Berlin"}
    make_source("Upland", enabled=False, **polling, **hours)
    Topic.objects.create(name="Water", query='flood OR "high water"')
    parameters = {"sources": [courier.pk], "tags": [odd.pk], "query": "a -b", "limit": 5}
    morning = factories.schedule(
        name="Morning",
        job="run_all_scrapers",
        parameters=parameters,
        trigger_kind=TriggerKind.CALENDAR,
        interval_seconds=None,
        calendar_count=2,
        calendar_unit="weeks",
        calendar_at=time(6, 30),
        calendar_first_day=date(2026, 11, 2),
        timezone="Europe/Berlin",
        start_at=datetime(2026, 11, 1, 12, tzinfo=UTC),
        blackout_dates=["2026-12-25"],
        max_retries=2,
    )
    morning.tags.add(daily)
    FollowUp.objects.create(predecessor=morning, successor=factories.schedule(name="Evening"), on="any")


def wipe() -> None:
    for model in (FollowUp, Schedule, Topic, Source, SettingsLevel, Tag):
        model.objects.all().delete()


def fates(lines: Any) -> set[str]:
    return {line.fate for line in lines}


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_everything_arrives_as_it_was(form: str, installation: None) -> None:
    data = dump()
    text = to_text(data, form)
    wipe()
    Tag.objects.create(name="shifts the numbers of rows")
    lines = load(from_text(text))
    assert fates(lines) == {Fate.NEW} and len(lines) == 8
    again = dump()
    # What is secret stays at home.
    settings = next(source for source in data["sources"] if source.get("tags"))["settings"]
    assert MASK in str(settings.pop("headers")) and settings.pop("proxy") == MASK
    assert again == data
    schedule = Schedule.objects.get(name="Morning")
    assert schedule.parameters["sources"] == [Source.objects.get(name="The “Courier”").pk]
    assert schedule.parameters["tags"] == [Tag.objects.get(name="42").pk]
    assert (schedule.calendar_at, schedule.calendar_first_day) == (time(6, 30), date(2026, 11, 2))
    assert schedule.start_at == datetime(2026, 11, 1, 12, tzinfo=UTC)
    upland = Source.objects.get(name="Upland")
    assert (upland.pace, upland.interval_minutes, upland.active_until) == ("interval", 90, time(22, 30))


def test_what_a_schedule_names_stands_in_the_order_of_names_whatever_their_numbers_are() -> None:
    last, first = make_source("B"), make_source("A")
    factories.schedule(name="All", job="run_all_scrapers", parameters={"sources": [last.pk, first.pk]})
    assert dump()["schedules"][0]["parameters"]["sources"] == ["A", "B"]


def test_a_file_holds_every_field_that_a_person_sets_of_a_source(installation: None) -> None:
    """What a new field of `Source` is called must not have to be written down a second time."""
    shown = next(source for source in dump()["sources"] if source["name"] == "Upland")
    unset = {"options", "settings", "kind"}
    assert set(shown) | unset == {
        field.name for field in Source._meta.concrete_fields if field.editable and not field.primary_key
    }


def test_an_import_into_the_same_installation_changes_nothing_and_keeps_its_secrets(installation: None) -> None:
    before = list(Source.objects.order_by("pk").values())
    versions = list(Schedule.objects.order_by("pk").values_list("version", flat=True))
    assert fates(load(from_text(to_text(dump(), "yaml")))) == {Fate.SAME}
    assert list(Source.objects.order_by("pk").values()) == before
    assert list(Schedule.objects.order_by("pk").values_list("version", flat=True)) == versions
    assert len(encrypted_in(Source.objects.get(name="The “Courier”").settings)) == 2


def test_no_file_holds_a_secret_and_who_imports_is_told_what_to_type(installation: None) -> None:
    text = to_text(dump(), "yaml")
    assert "opensesame" not in text and "enc:" not in text
    wipe()
    told = [line.todo for line in load(from_text(text)) if line.todo]
    assert told == ["Secrets to be typed: headers, proxy."]
    assert Source.objects.get(name="The “Courier”").settings["exclude"] == ["sport"]


def test_what_differs_is_changed_and_what_the_file_does_not_name_stays(installation: None) -> None:
    data = from_text(to_text(dump(), "yaml"))
    stored(make_source("Local"), "A", "The storm came.")
    data["topics"][0]["query"] = "storm"
    data["sources"][1] |= {"enabled": True, "tags": ["new tag"]}
    changed = {line.name for line in load(data) if line.fate is Fate.CHANGED}
    assert changed == {"Water", "Upland"}
    assert Topic.objects.get().articles.count() == 1, "its new query is applied to what is stored"
    assert [tag.name for tag in Source.objects.get(name="Upland").tags.all()] == ["new tag"]
    assert Source.objects.filter(name="Local").exists()


WRONG: dict[str, dict[str, Any]] = {
    "sources": {"name": "X", "url": "ftp://x"},
    "topics": {"name": "X", "query": '"'},
    "schedules": {"name": "X", "job": "no such job"},
    "follow_ups": {"after": "Morning", "schedule": "Nowhere"},
    "inherited_settings": {"tag": "x", "values": {"colour": "red"}},
}
ODD: list[tuple[str, dict[str, Any]]] = [
    ("sources", {"name": "X", "url": "http://x.example/", "settings": 5}),
    ("sources", {"name": "X", "url": "http://x.example/", "tags": "daily"}),
    ("sources", {"name": "X", "url": "http://x.example/", "colour": "red"}),
    ("sources", {"name": ["X"], "url": {}, "enabled": "perhaps"}),
    ("schedules", {"name": "X", "job": "run_all_scrapers", "parameters": {"sources": ["Nowhere"]}}),
    ("schedules", {"job": {}, "parameters": []}),
    ("follow_ups", {"after": "Morning", "schedule": "Evening", "on": "never"}),
    ("topics", {}),
]


@pytest.mark.parametrize(("section", "entry"), [*WRONG.items(), *ODD])
def test_with_an_entry_that_is_refused_nothing_is_stored_unless_told_so(
    section: str, entry: dict[str, Any], installation: None
) -> None:
    good = {"name": "Good", "query": "good"}
    data = {"newss": 1, **{name: [] for name in WRONG}, "topics": [good]}
    data[section] = [*data[section], entry]  # type: ignore[misc]
    lines = load(data)
    assert {line.fate: line.why for line in lines}[Fate.REFUSED]
    assert not Topic.objects.filter(name="Good").exists()
    load(data, skip_refused=True)
    assert Topic.objects.filter(name="Good").exists() and Topic.objects.count() == 2
    assert Source.objects.count() == 2 and Schedule.objects.count() == 2 and FollowUp.objects.get().on == "any"


@pytest.mark.parametrize(
    "text", ["", "[]", "a: [", "newss: 2", "newss: 1\nschedule: []", "newss: 1\nsources: 5", "!!x"]
)
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(TransferError):
        from_text(text)


def test_the_commands_move_an_installation(tmp_path: Path, installation: None, capsys: Any) -> None:
    path = tmp_path / "config.yaml"
    call_command("export_config", str(path))
    wipe()
    call_command("import_config", str(path), "--dry-run")
    assert "8 new, 0 changed, 0 same, 0 refused." in capsys.readouterr().out
    assert not Source.objects.exists()
    call_command("import_config", str(path))
    assert Source.objects.count() == 2
    path.write_text("newss: 1\ntopics: [{name: X, query: '\"'}]")
    with pytest.raises(CommandError, match="Nothing was stored"):
        call_command("import_config", str(path))
    assert "not closed" in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("import_config", str(tmp_path / "nowhere"))
    call_command("export_config", "--format=json")
    assert from_text(capsys.readouterr().out)["newss"] == 1
