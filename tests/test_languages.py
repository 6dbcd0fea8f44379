"""Languages: who sees which, how one is chosen, and that no page says a word which no catalogue knows."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import Client

from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.anydb]


@pytest.fixture
def client() -> Client:
    """Return a client that is logged in as an administrator."""
    client = Client()
    client.force_login(factories.user(is_superuser=True))
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
