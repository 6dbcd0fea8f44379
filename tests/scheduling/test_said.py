"""Stored sentences in the reader's language: what is recognised, and what is left as it is."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone, translation
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.said import said
from tests import factories

pytestmark = pytest.mark.anydb

SENTENCES = [
    ("Exceeded its time limit of 30 s.", "Hat das Zeitlimit von 30 s überschritten."),
    (
        "Skipped: run 5 of this schedule had not ended yet.",
        "Ausgelassen: Lauf 5 dieses Zeitplans war noch nicht beendet.",
    ),
    ("1 run in a row failed", "1 Lauf in Folge ist fehlgeschlagen"),
    ("5 runs in a row failed", "5 Läufe in Folge sind fehlgeschlagen"),
    (
        "3 due times passed while no scheduler could run them; the latest one was run instead.",
        "3 Termine vergingen, während kein Scheduler sie ausführen konnte; stattdessen wurde der letzte ausgeführt.",
    ),
    (
        "Cancelled by Ann while it ran. Reason: Replaced by run 12.",
        "Von Ann abgebrochen, während er lief. Grund: Ersetzt durch Lauf 12.",
    ),
    (
        "1 of 2 sources failed: The Herald: herald.example did not answer in time. 3 new articles from 1 source.",
        "1 von 2 Quellen fehlgeschlagen: The Herald: herald.example hat nicht rechtzeitig geantwortet."
        " 3 neue Artikel aus 1 Quelle.",
    ),
    (
        "All 3 sources failed: A: The name a.example could not be found. B: b.example refused the connection.",
        "Alle 3 Quellen fehlgeschlagen: A: Der Name a.example wurde nicht gefunden."
        " B: b.example hat die Verbindung abgelehnt.",
    ),
    ("Exit code 1. It last printed: no such file", "Exit-Code 1. Zuletzt gab er aus: no such file"),
]


@pytest.mark.parametrize(("english", "german"), SENTENCES)
def test_a_stored_sentence_is_said_in_the_language_of_who_reads_it(english: str, german: str) -> None:
    with translation.override("de"):
        assert said(english) == german
        assert said(german) == german
    with translation.override("en"):
        assert said(german) == english
        assert said(english) == english


@pytest.mark.parametrize(
    "text",
    [
        "",
        "failed",
        "ValueError: no such thing",
        "A day like any other. Nobody knows.",
        "Source",
        "100%",
        "%(name)s",
        "x. ",
    ],
)
def test_what_no_catalogue_knows_stays_as_it_is(text: str) -> None:
    with translation.override("de"):
        assert said(text) == text


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    with translation.override("de"):
        assert isinstance(said(text), str)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=30))
def test_values_are_kept(name: str) -> None:
    with translation.override("de"):
        assert said(f"{name} refused the connection.") == f"{name} hat die Verbindung abgelehnt."


@pytest.mark.django_db
def test_the_list_of_runs_and_a_run_s_page_say_its_outcome_in_the_reader_s_language(client: Client) -> None:
    client.force_login(factories.user(is_superuser=True))
    now = timezone.now()
    run = factories.run(status="timed_out", started_at=now, finished_at=now, outcome="Exceeded its time limit of 30 s.")
    for address in ("/admin/scheduling/run/", run.get_absolute_url(), "/admin/"):
        page = client.get(address, headers={"accept-language": "de"}).text
        assert "Hat das Zeitlimit von 30 s überschritten." in page
        assert "Exceeded" not in page
