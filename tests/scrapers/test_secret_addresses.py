"""Tokens in addresses and options: sent to the source's own host, and to be found nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client

from scrapers import secrets
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.identity import Identity
from scrapers.kinds import OptionsForm, SecretField, registry
from scrapers.models import ResultStatus, Source, SourceMove
from scrapers.models.move import MOVES_AFTER
from scrapers.opml import Outline, import_outlines, read
from scrapers.secrets import MASK, perhaps_secret_part, without_tokens
from scrapers.source_settings import clean_settings
from tests import factories
from tests.scrapers.conftest import Collected, LocalServer
from tests.scrapers.test_source_settings import level

pytestmark = pytest.mark.once

TOKEN = "s3cret-t0ken/for+this"


def add(url: str, **values: Any) -> Source:
    source = Source(**{"name": "Wire", "url": url, **values})
    source.full_clean()
    source.save()
    return source


def where_it_stands(secret: str) -> list[str]:
    """Return the tables in which a secret can be read, as it is or as addresses and JSON have it."""
    spellings = {secret, json.dumps(secret)[1:-1], secret.replace("/", "%2F").replace("+", "%2B")}
    return [
        model._meta.db_table
        for model in apps.get_models()
        if any(spelling in repr(row) for row in model._default_manager.values() for spelling in spellings)
    ]


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("url", "clean", "taken"),
    [
        ("https://a.example/n?api_key=abc&page=2", "https://a.example/n?page=2", {"api_key": "abc"}),
        ("https://a.example/n?apiKey=a%2Fb", "https://a.example/n", {"apiKey": "a/b"}),
        ("https://a.example/n?token=x&access_token=y", "https://a.example/n", {"token": "x", "access_token": "y"}),
        ("https://a.example/n?key=politics", "https://a.example/n?key=politics", {}),
        ("https://a.example/n?key=Ab3dEf7hIj1lMn5pQr9t", "https://a.example/n", {"key": "Ab3dEf7hIj1lMn5pQr9t"}),
        ("https://a.example/n?q={query}&token={query}", "https://a.example/n?q={query}&token={query}", {}),
        ("https://a.example/n?token=", "https://a.example/n?token=", {}),
        ("https://a.example/{s3cret}/rss", "https://a.example/{hidden}/rss", {"hidden": "s3cret"}),
        (
            "https://a.example/{a%2Fb}-{c}/x",
            "https://a.example/{hidden}-{hidden2}/x",
            {"hidden": "a/b", "hidden2": "c"},
        ),
        ("https://a.example/{query}/{hidden}/{x}", "https://a.example/{query}/{hidden}/{hidden}", {"hidden": "x"}),
        ("https://[", "https://[", {}),
    ],
)
def test_tokens_in_an_address_are_known_by_name_and_look(url: str, clean: str, taken: dict[str, str]) -> None:
    assert without_tokens(url) == (clean, taken)


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("url", "perhaps"),
    [
        ("https://a.example/feeds/9f86d081884c7d659a2feaa0c55ad015/rss", True),
        ("https://a.example/private/3f2504e0-4f89-11d3-9a0c-0305e82c3301.xml", True),
        ("https://a.example/2026/11/the-10-best-stories-of-the-week/feed", False),
        ("https://a.example/{hidden}/rss", False),
        ("https://a.example/?id=9f86d081884c7d659a2feaa0c55ad015", False),
    ],
)
def test_a_part_of_a_path_may_look_like_a_token(url: str, perhaps: bool) -> None:
    assert perhaps_secret_part(url) is perhaps


@pytest.mark.django_db
def test_a_person_is_asked_whether_what_looks_like_a_token_is_one(client: Client) -> None:
    client.force_login(factories.user(is_superuser=True))
    values = {"kind": "feed", "enabled": "on", "pace": "each_run", "interval_minutes": "60"}
    for name, address in (("A", "https://a.example/9f86d081884c7d659a2feaa0c55ad015"), ("B", "https://b.example/rss")):
        saved = client.post("/admin/scrapers/source/add/", {**values, "name": name, "url": address}, follow=True)
        assert Source.objects.filter(name=name).exists()
        assert ("looks like a token" in saved.content.decode()) is (name == "A")


@pytest.mark.anydb
class TestIdentity:
    identity = Identity("https://api.a.example/n", headers={"X-Key": "h3aders-value"}, parameters={"key": TOKEN})

    def test_parameters_go_to_the_own_host_alone(self) -> None:
        sent = self.identity.address_for("https://api.a.example/n?page=2")
        assert sent == "https://api.a.example/n?page=2&key=s3cret-t0ken%2Ffor%2Bthis"
        assert self.identity.shown(sent) == "https://api.a.example/n?page=2"
        for other in ("https://a.example/n", "http://api.a.example/n", "https://evil.example/api.a.example"):
            assert self.identity.address_for(other) == other

    @pytest.mark.parametrize(
        ("home", "there", "same"),
        [
            ("https://a.example/", "https://a.example:443/x", True),
            ("http://a.example/", "https://a.example/x", True),
            ("https://a.example/", "https://a.example:8443/x", False),
            ("http://a.example:8000/", "http://a.example:8000/x", True),
            ("http://a.example:8000/", "http://a.example:8001/x", False),
            ("https://a.example/", "https://a.example.evil.example/", False),
        ],
    )
    def test_another_port_is_another_server(self, home: str, there: str, same: bool) -> None:
        assert Identity(home).is_home(there) is same

    def test_an_address_that_repeats_the_token_is_shown_without_it_wherever_it_leads(self) -> None:
        repeated = "https://evil.example/?a=1&key=s3cret-t0ken%2Ffor%2Bthis"
        assert self.identity.shown(repeated) == "https://evil.example/?a=1"

    def test_a_hidden_part_stands_in_the_path_of_the_own_host_alone(self) -> None:
        identity = Identity("https://a.example/{hidden}/rss", parameters={"hidden": TOKEN, "page": "1"})
        for there in ("https://a.example/{hidden}/rss", "https://a.example/%7Bhidden%7D/rss"):
            assert identity.address_for(there) == "https://a.example/s3cret-t0ken%2Ffor+this/rss?page=1"
        assert identity.address_for("https://b.example/%7Bhidden%7D") == "https://b.example/%7Bhidden%7D"
        for repeated in ("s3cret-t0ken%2Ffor+this", "s3cret-t0ken%2Ffor%2Bthis", TOKEN):
            assert identity.shown(f"https://b.example/{repeated}/story") == "https://b.example/%7Bhidden%7D/story"

    def test_sentences_hold_no_value(self) -> None:
        words = f"It redirects to x:{TOKEN} and h3aders-value and s3cret-t0ken%2Ffor%2Bthis."
        error = self.identity.masked(CollectError(FailureClass.BAD_REDIRECT, words))
        assert error.sentence == str(error) == f"It redirects to x:{MASK} and {MASK} and {MASK}."


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
def test_a_token_in_an_address_reaches_its_server_and_stands_nowhere(
    serve: Any, collect_news: Callable[..., Collected], client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api: LocalServer = serve("127.0.0.2")
    other: LocalServer = serve("127.0.0.3")
    given: list[str] = []

    async def news(request: web.Request) -> web.Response:
        given.append(request.query.get("token", ""))
        # It repeats the token in the next page, in an article, in a redirect to itself and in one to another host.
        again = "?token=s3cret-t0ken%2Ffor%2Bthis"
        if "page" not in request.query:
            raise web.HTTPFound(f"/news{again}&page=1")
        items = [{"url": f"{path}{again}", "title": f"Story at {path}"} for path in ("/story", "/away", "/broken")]
        return web.json_response({"items": items, "next": f"/more{again}"})

    async def away(_request: web.Request) -> web.Response:
        raise web.HTTPFound(other.url("/story?token=s3cret-t0ken%2Ffor%2Bthis"))

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"ftp://x/?token={TOKEN}"})

    text = "<p>The ferry went back before noon, with nobody on board and no word of why it had sailed.</p>" * 8
    api.answer("/more", '{"items": []}')
    api.routes |= {"/news": news, "/away": away, "/broken": broken}
    for server in (api, other):
        server.answer("/story", f"<html><body><article><h1>Ferry</h1>{text}</article></body></html>")
    options = {"items": "items", "following": "next", "pages": 2}
    source = add(f"{api.url('/news')}?token=s3cret-t0ken%2Ffor%2Bthis", kind="json_api", options=options)
    assert source.url == api.url("/news")
    result = collect_news().of("Wire")
    assert (result.status, result.seen, result.failed) == (ResultStatus.OK, 3, 1)
    assert set(given) == {TOKEN}
    assert [asked.path for asked in other.asked if asked.path != "/robots.txt"] == ["/story"]
    assert where_it_stands(TOKEN) == []
    assert TOKEN not in caplog.text and "s3cret-t0ken" not in caplog.text

    client.force_login(factories.user(is_superuser=True))
    pages = ["source/", f"source/{source.pk}/change/", "article/", "sourceresult/"]
    shown = "".join(client.get(f"/admin/scrapers/{page}").content.decode() for page in pages)
    call_command("export_config", str(tmp_path / "all.yaml"))
    call_command("export_opml", output=str(tmp_path / "all.opml"))
    shown += "".join(file.read_text() for file in tmp_path.iterdir())
    assert "s3cret-t0ken" not in shown and "enc:" not in shown
    assert MASK in shown


@pytest.mark.django_db(transaction=True)
def test_a_part_of_the_path_in_braces_reaches_its_server_and_stands_nowhere(
    serve: Any, collect_news: Callable[..., Collected], client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server: LocalServer = serve("127.0.0.2")
    secret = "s3cret-t0ken-for-this"
    text = "<p>The ferry went back before noon, with nobody on board and no word of why it had sailed.</p>" * 8
    item = f"<item><title>Ferry</title><link>{server.url(f'/feeds/{secret}/ferry')}</link></item>"
    server.answer(f"/feeds/{secret}/rss", f"<rss version='2.0'><channel><title>F</title>{item}</channel></rss>")
    server.answer(f"/feeds/{secret}/ferry", f"<html><body><article><h1>Ferry</h1>{text}</article></body></html>")
    source = add(server.url(f"/feeds/{{{secret}}}/rss"))
    assert source.url == server.url("/feeds/{hidden}/rss")
    result = collect_news().of("Wire")
    assert (result.status, result.new) == (ResultStatus.OK, 1), result.error
    assert server.paths() == [f"/feeds/{secret}/rss", f"/feeds/{secret}/ferry"]
    server.answer(f"/feeds/{secret}/rss", f"No such feed: {secret}", status=404)
    collect_news()
    assert where_it_stands(secret) == []
    assert secret not in caplog.text

    client.force_login(factories.user(is_superuser=True))
    pages = ["source/", f"source/{source.pk}/change/", "article/", "sourceresult/"]
    shown = "".join(client.get(f"/admin/scrapers/{page}").content.decode() for page in pages)
    call_command("export_config", str(tmp_path / "all.yaml"))
    call_command("export_opml", output=str(tmp_path / "all.opml"))
    assert secret not in shown + "".join(file.read_text() for file in tmp_path.iterdir())

    source.settings = {}
    source.save()
    assert "hidden=…" in collect_news().of("Wire").error, "what is missing is named"


@pytest.mark.django_db
def test_hidden_parts_are_told_apart_kept_and_changed_with_the_address() -> None:
    first, second = (add(f"https://a.example/{{secret-{name}}}/rss", name=name) for name in ("one", "two"))
    assert [first.url, second.url] == ["https://a.example/{hidden}/rss", "https://a.example/{hidden2}/rss"]
    assert secrets.revealed(second.settings["parameters"]["hidden2"]) == "secret-two"
    second.full_clean()
    assert second.url == "https://a.example/{hidden2}/rss"
    second.url = "https://a.example/{secret-new}/rss"
    second.full_clean()
    assert second.url == "https://a.example/{hidden2}/rss"
    assert secrets.revealed(second.settings["parameters"]["hidden2"]) == "secret-new"
    second.url = "https://a.example/open/rss"
    second.full_clean()
    assert not second.settings.get("parameters"), "what stands nowhere any more is not sent behind the address"
    first.url = "https://b.example/{hidden}/rss"
    with pytest.raises(ValidationError, match="another host"):
        first.full_clean()


@pytest.mark.django_db(transaction=True)
def test_discover_takes_a_hidden_part_along(serve: Any, client: Client) -> None:
    server: LocalServer = serve("127.0.0.2")
    items = "<item><title>Ferry</title><link>/ferry</link><description>It went.</description></item>"
    server.answer("/s3cret-part/rss", f"<rss version='2.0'><channel><title>F</title>{items}</channel></rss>")
    client.force_login(factories.user(is_superuser=True))
    typed = server.url("/{s3cret-part}/rss")
    found = client.post("/admin/scrapers/source/discover/", {"url": typed}).context["result"].candidates[0]
    assert found.url == typed
    assert found.source().url == server.url("/{hidden}/rss")
    values = {"url": found.url, "kind": "feed", "title": "F", "options": "{}"}
    tried = client.post("/admin/scrapers/source/try-found/", values)
    assert tried.context["trial"].result.seen == 1, tried.context["trial"].result.error
    client.post("/admin/scrapers/source/add-found/", {**values, "url": tried.context["offer"]})
    source = Source.objects.get()
    assert source.url == server.url("/{hidden}/rss")
    assert secrets.revealed(source.settings["parameters"]["hidden"]) == "s3cret-part"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("url", "opens"),
    [("https://a.example/n", True), ("https://a.example/{hidden}/n", False), ("https://a.example/?q={query}", False)],
)
def test_only_an_address_that_is_whole_can_be_opened_from_the_page_of_its_source(
    admin_client: Client, url: str, opens: bool
) -> None:
    source = Source.objects.create(name="Wire", url=url)
    page = admin_client.get(f"/admin/scrapers/source/{source.pk}/change/").content.decode()
    assert ("Open the address" in page) is opens
    assert ("Only a run can open its address" in page) is not opens


@pytest.mark.django_db
def test_tokens_that_were_stored_in_addresses_are_taken_out_by_the_migration() -> None:
    rows = {
        "token": "https://a.example/n?token=abc&page=2",
        "plain": "https://a.example/n?page=3",
        "taken": "https://b.example/n?token=abc",
        "there": "https://b.example/n",
    }
    own = {"parameters": {"token": secrets.sealed("newer")}}
    known = Source.objects.create(name="known", url="https://c.example/n?token=old&key=x", settings=own)
    made = {name: Source.objects.create(name=name, url=url) for name, url in rows.items()}
    import_module("scrapers.migrations.0006_secret_addresses").take_tokens(apps, None)
    for source in made.values():
        source.refresh_from_db()
    assert made["token"].url == "https://a.example/n?page=2"
    assert secrets.revealed(made["token"].settings["parameters"]["token"]) == "abc"
    assert {name: made[name].url for name in ("plain", "taken", "there")} == {
        name: rows[name] for name in ("plain", "taken", "there")
    }, "no address is had twice"
    known.refresh_from_db()
    assert (known.url, known.settings) == ("https://c.example/n?key=x", own), "what was typed later counts"


@pytest.mark.django_db
def test_an_import_takes_tokens_out_of_addresses_and_stores_none_twice() -> None:
    outlines = [Outline(name, f"https://a.example/feed?token={name}", (), "feed") for name in ("one", "two")]
    report = import_outlines(outlines)
    assert ([line.url for line in report.added], len(report.known)) == (["https://a.example/feed"], 1)
    assert secrets.revealed(Source.objects.get().settings["parameters"]["token"]) == "one"


class TokenForm(OptionsForm):
    """A form with a secret."""

    token = SecretField(required=False)


@pytest.mark.django_db(transaction=True)
class TestOptions:
    @pytest.fixture
    def kind(self, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setattr(registry.get("custom.lines"), "form", TokenForm)
        return "custom.lines"

    def test_a_secret_option_is_stored_encrypted_and_kept_by_its_mask(self, kind: str) -> None:
        source = add("http://a.example/", kind=kind, options={"token": TOKEN})
        sealed = source.options["token"]
        assert secrets.revealed(sealed) == TOKEN and where_it_stands(TOKEN) == []
        source.options = {"token": MASK}
        source.full_clean()
        assert source.options == {"token": sealed}
        source.url = "http://evil.example/"
        with pytest.raises(ValidationError, match="another host"):
            source.full_clean()
        source.options = {"token": f"x{MASK}"}
        source.url = "http://a.example/"
        with pytest.raises(ValidationError, match="token"):
            source.full_clean()
        assert MASK in str(TokenForm.filled({"token": sealed})["token"])
        assert TOKEN not in str(TokenForm.filled({"token": sealed})) and sealed not in str(
            TokenForm.filled({"token": sealed})
        )

    def test_the_scraper_gets_it_as_it_was_typed(
        self, kind: str, serve: Any, collect_news: Callable[..., Collected], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        got: list[str] = []

        async def scrape(_self: Any, poll: Any) -> Any:
            got.append(poll.options["token"])
            if False:
                yield

        monkeypatch.setattr(registry.get(kind).scraper, "scrape", scrape)  # type: ignore[attr-defined]
        monkeypatch.setenv("NEWSS_SECRET_WIRE", "from-outside")
        first = add(serve().url("/"), kind=kind, options={"token": TOKEN})
        collect_news()
        Source.objects.filter(pk=first.pk).update(options={"token": "env:NEWSS_SECRET_WIRE"})
        collect_news()
        Source.objects.filter(pk=first.pk).update(options={"token": "env:NEWSS_SECRET_MISSING"})
        assert collect_news().of("Wire").failure_class == FailureClass.NO_SECRET
        assert got == [TOKEN, "from-outside"]

    def test_it_is_masked_in_exports_and_rotated_with_the_key(self, kind: str, settings: Any, tmp_path: Path) -> None:
        settings.NEWSS_SECRETS_KEYS = ["old"]
        source = add("http://a.example/", kind=kind, options={"token": TOKEN})
        call_command("export_config", str(tmp_path / "all.yaml"))
        call_command("export_opml", output=str(tmp_path / "all.opml"))
        assert all("enc:" not in file.read_text() for file in tmp_path.iterdir())
        [outline] = read((tmp_path / "all.opml").read_bytes())
        assert outline.options == {}, "a mask is no token"
        settings.NEWSS_SECRETS_KEYS = ["new", "old"]
        call_command("rotate_secrets", verbosity=0)
        settings.NEWSS_SECRETS_KEYS = ["new"]
        source.refresh_from_db()
        assert secrets.revealed(source.options["token"]) == TOKEN


@pytest.mark.django_db
class TestMoves:
    """A source whose secrets would go elsewhere does not move by itself."""

    def due(self, url: str, target: str, **values: Any) -> Source:
        source = add(url, **values)
        source.moving_seen, source.moving_to = MOVES_AFTER, target
        return source

    @pytest.mark.parametrize(
        "secret",
        [
            {"headers": "Authorization: Bearer abc"},
            {"headers": "Authorization: Bearer env:NEWSS_SECRET_TOKEN"},
            {"cookies": "sid=abc"},
            {"parameters": "token=abc"},
        ],
    )
    def test_own_secrets_hold_it(self, secret: dict[str, str]) -> None:
        values = clean_settings(secret)
        for target in ("https://b.example/", "http://a.example/", "https://a.example:8443/"):
            source = self.due("https://a.example/", target, name=target, settings=values)
            assert SourceMove.objects.move(source) is None
            source.delete()
        near = self.due("https://a.example/", "https://a.example/new", settings=values)
        assert SourceMove.objects.move(near) is not None

    def test_inherited_secrets_hold_it_and_harmless_headers_do_not(self) -> None:
        source = self.due("https://a.example/", "https://b.example/")
        tagged = level("paid", headers="X-Key: abc")
        assert tagged.tag is not None
        source.tags.add(tagged.tag)
        assert SourceMove.objects.move(source) is None
        source.settings = clean_settings({"headers": "DNT: 1"})
        assert SourceMove.objects.move(source) is not None
