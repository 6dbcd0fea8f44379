"""Languages: who sees which, how one is chosen, and that no page says a word which no catalogue knows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from scheduling.jobs import registry
from scheduling.models import RunLog, RunStatus, Schedule, Tag
from scrapers import starter
from scrapers.models import Article, ArticleSource, Host, Source, SourceResult, Topic, url_hash
from tests import factories
from tests.pseudo import Pseudo, untranslated

pytestmark = [pytest.mark.django_db, pytest.mark.anydb]


@pytest.fixture
def client() -> Client:
    """Return a client that is logged in as an administrator."""
    client = Client()
    client.force_login(factories.user(username="πππ", is_superuser=True))
    return client


def test_a_page_is_in_the_language_that_the_browser_asks_for(client: Client) -> None:
    german = client.get("/admin/", headers={"accept-language": "de-AT,de;q=0.9,en;q=0.8"})
    assert german.headers["Content-Language"] == "de"
    assert "Zeitpläne" in german.text
    other = client.get("/admin/", headers={"accept-language": "fr"})
    assert other.headers["Content-Language"] == "en"


def test_the_choice_in_the_menu_outweighs_the_browser_and_lasts(client: Client) -> None:
    page = client.get("/admin/", headers={"accept-language": "en"})
    assert 'action="/i18n/setlang/"' in page.text
    assert 'name="language" type="hidden" value="de"' in page.text
    answer = client.post("/i18n/setlang/", {"language": "de", "next": "/admin/"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    cookie = answer.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert int(cookie["max-age"]) > 86_400 * 300
    assert cookie["httponly"]
    assert "Zeitpläne" in client.get("/admin/", headers={"accept-language": "en"}).text


def test_the_choice_never_leads_to_another_site(client: Client) -> None:
    answer = client.post("/i18n/setlang/", {"language": "de", "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_the_api_answers_errors_in_the_language_asked_for(client: Client) -> None:
    answer = client.get("/api/v1/runs/987654", headers={"accept-language": "de"})
    assert answer.status_code == 404
    assert "Es gibt keinen Lauf 987654." in answer.text
    assert "There is no run 987654." in client.get("/api/v1/runs/987654").text


# ── every page ──

NAMES = re.compile(
    r"https?://\S*|NEWSS|UTC|UTF-8|HTTP|YAML|JSON(?: (?:Lines|Feed))?|CSV|OPML|RSS"
    r"|[\w.]+\.(?:example(?:/\S*)?|txt|py)\b|[a-z]+_[a-z_]+"
    # Languages in their own words, and the names of groups, which the first migration stored.
    r"|\b(?:de|en|Deutsch|English)\b|\b(?:Viewer|Operator|Editor|Administrator)\b"
    # The jobs and kinds of the tests, and the tables of a library.
    rf"|^(?:{'|'.join(str(job.label) for job in registry if job.function.__module__.startswith('tests.'))})$"
    r"|^Addresses, one a line$|Django APScheduler \| django job(?: execution)?|^Schedule-tag relationships?: .*"
    # A key of an imported file.
    r"|^url(?=: )"
    # The middle of a sentence with a link in it.
    r"|^this form$",
    re.IGNORECASE,
)
"""What no language says otherwise."""
SUFFIXES = {
    "scheduling.schedule": [
        *["pause/?ids={pk}", "coming-up/", "hold/", "{pk}/run-with/", "{pk}/backfill/", "{pk}/history/", "{pk}/delete/"]
    ],
    "scheduling.run": ["?status__exact=failed"],
    "scrapers.source": ["import-opml/", "add/?by=hand", "{pk}/history/"],
}


@pytest.fixture
def rows() -> None:
    """Store rows of each kind, with names in Greek, so that every Latin letter on a page is ours."""
    now = timezone.now()
    schedule = factories.schedule(name="Αλφα", description="δδδ", job="run_all_scrapers")
    schedule.tags.add(Tag.objects.create(name="εεε"))
    factories.schedule(name="Βητα", trigger_kind="crontab", crontab="30 6 * * 1-5").pause(None, "ζζζ")
    made = None
    for status in RunStatus:
        if status is not RunStatus.MISSED:
            ended = now if status in RunStatus.final() else None
            made = factories.run(
                schedule=schedule,
                schedule_name="Αλφα",
                job="run_all_scrapers",
                status=status,
                started_at=now,
                finished_at=ended,
                outcome="ηηη" if ended else "",
                claim_token="" if ended else "token",
                summary={"found": 3, "new": 1},
                traceback="θθθ",
            )
            RunLog.objects.create(run=made, at=now, message="κκκ")
    source = Source.objects.create(name="Γαμμα", url="https://herald.example/feed")
    SourceResult.objects.create(
        run=made,
        source=source,
        source_name="Γαμμα",
        status="failed",
        failure_class="server_error",
        error="λλλ",
        started_at=now,
        finished_at=now,
    )
    url = "https://herald.example/story"
    article = Article.objects.create(
        url=url, url_hash=url_hash(url), title="Δελτα", text="μμμ", authors=["ννν"], published_at=now, language="de"
    )
    ArticleSource.objects.create(article=article, source=source, item_key="1")
    Topic.objects.create(name="ξξξ", query="ξξξ")
    Host.objects.create(scheme="https", host="ο.example", port=443)


def addresses() -> Iterator[str]:
    """Yield the addresses of every page of the admin: lists, forms, histories, deletions and those of our own."""
    yield "/admin/"
    yield "/admin/password_change/"
    yield "/admin/move/"
    for model in admin.site._registry:
        if model._meta.app_label == "django_apscheduler":
            # A library's own pages, in its own words.
            continue
        label = model._meta.label_lower
        base = reverse(f"admin:{label.replace('.', '_')}_changelist")
        first = model._default_manager.order_by("pk").first()
        pages = ["", "add/", *SUFFIXES.get(label, [])]
        pages += ["{pk}/change/"] if first else []
        for page in pages:
            yield base + page.format(pk=first.pk if first else "")


POSTS: list[tuple[str, dict[str, str]]] = [
    ("scheduling/schedule/add/", {}),
    ("scheduling/schedule/add/", {"trigger_kind": "crontab", "crontab": "61 * * * *", "timezone": "Nowhere"}),
    *(
        ("scheduling/schedule/preview/", {"name": "α", "job": "noop", "timezone": "Europe/Berlin", **fields})
        for fields in [
            {"trigger_kind": "crontab", "crontab": "30 2 * * 0#1"},
            {"trigger_kind": "crontab", "crontab": "0 0 31 2 *"},
            {"trigger_kind": "interval", "interval_seconds_0": "1", "interval_seconds_1": "1"},
            {"trigger_kind": "any_of", "parts": "every 2 weeks at 06:30 from 2026-01-05\nnever"},
        ]
    ),
    ("scheduling/schedule/{schedule}/backfill/", {}),
    ("scheduling/schedule/pause/?ids={schedule}", {"until_0": "2001-01-01", "until_1": "00:00"}),
    ("scheduling/schedule/edit-many/?ids={schedule}", {"ids": "{schedule}", "_preview": "1"}),
    ("scrapers/source/add/", {}),
    ("scrapers/source/discover/", {"url": "ftp://β"}),
    ("scrapers/topic/add/", {"query": "OR"}),
    ("move/", {"text": "α"}),
    ("move/", {"text": '{"newss": 1, "sources": [{"name": "β", "url": "ftp://β"}]}'}),
]
"""What people send: nothing, nonsense, and what makes a page say more."""


def test_no_page_says_a_word_that_a_catalogue_lacks(
    rows: None, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pseudo, past = Pseudo(), []
    with monkeypatch.context() as patch:
        pseudo.install(patch)
        for address in addresses():
            answer = client.get(address, follow=True)
            if answer.status_code != 403:
                assert answer.status_code == 200, address
                past += [f"{address}: {line}" for line in untranslated(answer.text, NAMES)]
        key = str(Schedule.objects.order_by("pk")[0].pk)
        for page, sent in POSTS:
            data = {name: value.replace("{schedule}", key) for name, value in sent.items()}
            answer = client.post(f"/admin/{page.format(schedule=key)}", data)
            assert answer.status_code == 200, page
            past += [f"{page} with {data}: {line}" for line in untranslated(answer.text, NAMES)]
    assert not past, "Said past gettext:\n" + "\n".join(past)
    for language, _name in settings.LANGUAGES:
        if language != "en":
            words = translation.trans_real.translation(language)._catalog
            lacking = sorted(word for word in pseudo.said if word not in words and (word, 1) not in words)
            assert lacking == [], language


@pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES])
def test_every_feed_of_the_starter_list_says_what_it_is_in_each_language(language: str) -> None:
    assert [feed.name for feed in starter.feeds() if not feed.abouts.get(language)] == []


def test_permissions_are_named_in_the_language_of_the_page(client: Client) -> None:
    page = client.get("/admin/auth/group/add/", headers={"accept-language": "de"}).text
    assert "Zeitplanung | Lauf | Darf Läufe starten" in page
    assert "Zeitplanung | Lauf | Lauf ansehen" in page
