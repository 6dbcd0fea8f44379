"""The page *Import and export*: a preview first, then what the file holds; secrets never leave."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from newss_project.moving import MAX_BYTES
from scheduling.models import FollowUp, Schedule
from scrapers.models import Source, Topic
from scrapers.source_settings import clean_settings
from tests import factories

pytestmark = pytest.mark.django_db

MOVE = "/admin/move/"
SOURCE = {"name": "Herald", "url": "https://herald.example/feed", "kind": "feed"}


@pytest.fixture
def member(client: Client) -> Any:
    """Return a function that logs in somebody of a group."""

    def log_in(group: str) -> Client:
        user = User.objects.create_user(group, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        client.force_login(user)
        return client

    return log_in


def upload(client: Client, content: str | bytes, **fields: str) -> Any:
    raw = content if isinstance(content, bytes) else content.encode()
    return client.post(MOVE, {"file": SimpleUploadedFile("newss.yaml", raw), **fields})


def document(**sections: Any) -> str:
    return json.dumps({"newss": 1, **sections})


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_one_installation_exports_another_takes_in(admin_client: Client, form: str) -> None:
    first, second = factories.schedule(name="Front pages"), factories.schedule(name="Science")
    FollowUp.objects.create(predecessor=first, successor=second)
    settings = clean_settings({"headers": "Authorization: Bearer s3cret"})
    Source.objects.create(name="Herald", url="https://herald.example/f", settings=settings)
    answer = admin_client.get(reverse("move_export", args=[form]))
    assert f'.{form}"' in answer["Content-Disposition"]
    text = answer.content.decode()
    assert "s3cret" not in text
    Schedule.objects.all().delete()
    Source.objects.all().delete()

    preview = upload(admin_client, text)
    shown = preview.content.decode()
    for words in ("What would become of it", "4 new", "Front pages", "Herald", "Nothing is stored yet."):
        assert words in shown
    assert not Schedule.objects.exists()

    stored = admin_client.post(MOVE, {"text": preview.context["form"].initial["text"], "_import": "1"})
    assert "Stored" in stored.content.decode()
    assert list(Schedule.objects.order_by("name").values_list("name", flat=True)) == ["Front pages", "Science"]
    assert FollowUp.objects.get().predecessor.name == "Front pages"
    assert Source.objects.get().name == "Herald"


def test_what_is_refused_is_named_and_can_be_left_out(admin_client: Client) -> None:
    text = document(sources=[SOURCE, {"name": "Mail", "url": "ftp://mail.example/f"}])
    preview = upload(admin_client, text)
    shown = preview.content.decode()
    assert "1 refused" in shown
    assert "Mend what is refused, or leave it out." in shown
    assert 'name="_import"' not in shown
    told = admin_client.post(MOVE, {"text": text, "_import": "1"}).content.decode()
    assert "Nothing is stored yet." in told
    assert not Source.objects.exists()
    again = admin_client.post(MOVE, {"text": text, "skip_refused": "on"}).content.decode()
    assert 'name="_import"' in again
    admin_client.post(MOVE, {"text": text, "skip_refused": "on", "_import": "1"})
    assert Source.objects.get().name == "Herald"


@pytest.mark.once
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "The submitted file is empty."),
        (b"\xff\xfe\x00", "This is no text in UTF-8."),
        (b"a: [", "This is neither YAML nor JSON"),
        (b"- 1\n", "it does not begin with “newss: 1”"),
        (b"a: &a [x]\nb: [*a, *a]", "References (*name) are not taken."),
        (b"[" * 2_000, "nested too deeply"),
        (b"#" * (MAX_BYTES + 1), "The file is larger than 2 MB"),
    ],
)
def test_what_is_no_such_file_is_told_at_its_field(admin_client: Client, content: bytes, words: str) -> None:
    answer = upload(admin_client, content)
    assert answer.status_code == 200
    assert words in " ".join(answer.context["form"].errors["file"])


def test_without_a_file_one_is_asked_for(admin_client: Client) -> None:
    answer = admin_client.post(MOVE, {})
    assert answer.context["form"].errors["file"] == ["Choose a file."]


def test_a_text_that_was_tampered_with_is_no_more_than_a_wrong_file(admin_client: Client) -> None:
    answer = admin_client.post(MOVE, {"text": "{", "_import": "1"})
    assert answer.context["form"].errors["file"]


def test_who_may_only_look_exports_and_does_not_import(member: Any) -> None:
    viewer = member("Viewer")
    page = viewer.get(MOVE).content.decode()
    assert 'name="file"' not in page
    assert viewer.get(reverse("move_export", args=["json"])).status_code == 200
    assert upload(viewer, document(sources=[SOURCE])).status_code == 403
    assert not Source.objects.exists()


def test_an_editor_imports(member: Any) -> None:
    editor = member("Editor")
    text = document(topics=[{"name": "Harbour", "query": "harbour"}])
    assert upload(editor, text).status_code == 200
    editor.post(MOVE, {"text": text, "_import": "1"})
    assert Topic.objects.get().name == "Harbour"


def test_who_may_see_no_sources_sees_nothing_of_it(client: Client) -> None:
    client.force_login(factories.user("scheduling.view_schedule"))
    assert MOVE not in client.get("/admin/").content.decode()
    assert client.get(MOVE).status_code == 403
    assert client.get(reverse("move_export", args=["yaml"])).status_code == 403


def test_there_is_no_third_form(admin_client: Client) -> None:
    assert admin_client.get("/admin/move/newss.xml").status_code == 404
