"""OPML in the admin: a file comes in with a report, goes out, and a wrong one is told at its field."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from scrapers import opml
from scrapers.models import Source
from tests import factories
from tests.scrapers.test_opml import FILE

pytestmark = [pytest.mark.django_db, pytest.mark.anydb]
IMPORT = "/admin/scrapers/source/import-opml/"
EXPORT = "/admin/scrapers/source/export-opml/"


@pytest.fixture
def editor(client: Client) -> Client:
    client.force_login(factories.user("scrapers.view_source", "scrapers.add_source"))
    return client


def upload(client: Client, data: bytes) -> str:
    return client.post(IMPORT, {"file": SimpleUploadedFile("mine.opml", data)}).content.decode()


def test_an_import_says_what_became_of_each_feed(editor: Client) -> None:
    assert "OPML file" in editor.get(IMPORT).content.decode()
    page = upload(editor, FILE.replace(b"http://loose.example/", b"ftp://loose.example/"))
    assert "2 sources are new" in page
    assert "ftp://loose.example/" in page
    assert "begins with http:// or https://" in page
    assert Source.objects.count() == 2


@pytest.mark.parametrize("data", [b"nonsense", b"<opml><body/></opml>", b""])
def test_a_wrong_file_is_told_at_the_field(editor: Client, data: bytes) -> None:
    page = upload(editor, data)
    assert "OPML" in page
    assert "errorlist" in page or "text-red" in page
    assert not Source.objects.exists()


def test_an_export_is_a_file_that_can_be_read_again(editor: Client) -> None:
    Source.objects.create(name="Herald", url="https://herald.example/feed")
    answer = editor.get(EXPORT)
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    assert [outline.name for outline in opml.read(answer.content)] == ["Herald"]


def test_who_may_not_add_sources_imports_none(client: Client) -> None:
    client.force_login(factories.user("scrapers.view_source"))
    assert client.get(IMPORT).status_code in (302, 403)
    assert client.post(IMPORT, {"file": SimpleUploadedFile("mine.opml", FILE)}).status_code in (302, 403)
    assert not Source.objects.exists()
