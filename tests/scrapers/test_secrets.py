"""Secrets of sources: stored encrypted or taken from the environment, never shown."""

from __future__ import annotations

import traceback
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from scrapers import secrets
from scrapers.fetch.identity import Identity
from scrapers.models import SettingsLevel, Source
from scrapers.secrets import MASK, SecretError
from scrapers.source_settings import SettingsForm, clean_settings


@pytest.mark.anydb
class TestValues:
    @given(st.text(max_size=200).filter(lambda text: not text.startswith("enc:") and not secrets.is_reference(text)))
    def test_what_is_sealed_comes_back_and_is_not_seen(self, text: str) -> None:
        sealed = secrets.sealed(text)
        assert secrets.revealed(sealed) == text
        assert not text or secrets.masked(sealed) == MASK
        assert len(text) < 8 or text not in sealed

    def test_the_environment_is_read_only_under_its_prefix(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NEWSS_SECRET_TOKEN", "s3cret")
        assert secrets.sealed("Bearer env:NEWSS_SECRET_TOKEN") == "Bearer env:NEWSS_SECRET_TOKEN"
        assert secrets.revealed("Bearer env:NEWSS_SECRET_TOKEN") == "Bearer s3cret"
        with pytest.raises(SecretError, match="NEWSS_SECRET_OTHER is not set"):
            secrets.revealed("env:NEWSS_SECRET_OTHER")
        with pytest.raises(SecretError, match="env:SECRET_KEY is not read"):
            secrets.revealed("env:SECRET_KEY")

    def test_an_old_key_still_opens_and_a_lost_one_is_told_without_the_secret(self, settings: Any) -> None:
        settings.NEWSS_SECRETS_KEYS = ["old"]
        sealed = secrets.sealed("s3cret")
        settings.NEWSS_SECRETS_KEYS = ["new", "old"]
        rotated = secrets.rotated(sealed)
        assert rotated != sealed and secrets.revealed(sealed) == "s3cret"
        settings.NEWSS_SECRETS_KEYS = ["new"]
        assert secrets.revealed(rotated) == "s3cret"
        with pytest.raises(SecretError, match="NEWSS_SECRETS_KEY") as caught:
            secrets.revealed(sealed)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))

    def test_representations_hold_no_secret(self) -> None:
        identity = Identity("http://a.example/", {"X-Key": "s3cret"}, {"c": "s3cret"}, "http://u:s3cret@p.example")
        assert "s3cret" not in repr(identity)

    def test_everything_that_is_given_away_is_masked(self) -> None:
        values = clean_settings({"headers": "X-Key: s3cret", "cookies": "a=s3cret", "proxy": "http://u:s3cret@p:1"})
        shown = secrets.without_secrets(values)
        assert shown["headers"] == {"X-Key": MASK} and "s3cret" not in repr((values, shown))


@pytest.mark.anydb
class TestForm:
    def test_secrets_are_shown_as_masks_and_a_mask_that_comes_back_keeps_them(self) -> None:
        stored = clean_settings(
            {
                "headers": "X-Key: s3cret\nAccept-Language: de",
                "cookies": "sid=abc",
                "proxy": "http://me:s3cret@proxy:3128",
            }
        )
        html = SettingsForm(stored=stored).as_p()
        assert "s3cret" not in html and "abc" not in html and "enc:" not in html
        assert f"X-Key: {MASK}" in html and "Accept-Language: de" in html and f"http://me:{MASK}@proxy:3128" in html
        sent = {
            "headers": f"X-Key: {MASK}\nX-More: m0re",
            "cookies": f"sid={MASK}",
            "proxy": f"http://me:{MASK}@proxy:3128",
        }
        again = clean_settings(sent, stored)
        assert again["headers"]["X-Key"] == stored["headers"]["X-Key"]
        assert secrets.revealed(again["headers"]["X-More"]) == "m0re"
        assert (again["cookies"], again["proxy"]) == (stored["cookies"], stored["proxy"])

    @pytest.mark.parametrize(
        ("name", "typed"),
        [
            ("headers", f"X-New: {MASK}"),
            ("headers", f"X-Key: Bearer {MASK}"),
            ("headers", "X Key: a"),
            ("headers", "no separator"),
            ("headers", "User-Agent: Mozilla"),
            ("headers", "Host: other.example"),
            ("headers", "X-Key: a\x0bb"),
            ("headers", "Authorization: Bearer env:SECRET_KEY"),
            ("cookies", "sid=env:PATH"),
            ("parameters", "token=env:newss_secret_token"),
            ("cookies", "a b=c"),
            ("cookies", "a=b; c=d"),
            ("proxy", "socks5://p:1"),
            ("proxy", "http://p:99999"),
            ("proxy", f"http://other:{MASK}@p:1"),
            ("proxy", "env:SECRET_KEY"),
            ("encoding", "klingon"),
            ("include", "(a"),
            ("exclude", "(?=a)"),
            ("title_selector", "h1["),
            ("cut_selectors", "p\n//b["),
            ("max_age_days", "-1"),
            ("text_from", "thin air"),
            ("colour", "red"),
        ],
    )
    def test_what_cannot_be_used_is_refused_at_its_field(self, name: str, typed: str) -> None:
        with pytest.raises(ValidationError) as caught:
            clean_settings({name: typed}, {"headers": {"X-Key": secrets.sealed("s3cret")}})
        assert list(caught.value.message_dict) == [name]
        assert "s3cret" not in str(caught.value)


@pytest.mark.django_db
class TestStored:
    def test_cleaning_a_source_twice_changes_nothing(self) -> None:
        source = Source(name="x", url="http://a.example/", settings={"headers": {"X-Key": "s3cret"}})
        source.full_clean()
        once = dict(source.settings)
        source.full_clean()
        assert source.settings == once and "s3cret" not in repr(once)

    def test_a_secret_does_not_follow_the_address_to_another_host(self) -> None:
        source = Source(name="x", url="http://a.example/1", settings={"headers": {"X-Key": "s3cret"}})
        source.full_clean()
        source.save()
        source.url = "http://a.example/2"
        source.full_clean()
        source.url = "http://evil.example/1"
        with pytest.raises(ValidationError, match="another host"):
            source.full_clean()
        source.settings = {"headers": {"X-Key": "n3w"}}
        source.full_clean()

    def test_the_command_rewrites_all_or_nothing(self, settings: Any) -> None:
        settings.NEWSS_SECRETS_KEYS = ["old"]
        source = Source.objects.create(
            name="x", url="http://a.example/", settings=clean_settings({"headers": "X-Key: s3cret"})
        )
        settings.NEWSS_SECRETS_KEYS = ["new"]
        with pytest.raises(CommandError, match="NEWSS_SECRETS_KEY"):
            call_command("rotate_secrets")
        settings.NEWSS_SECRETS_KEYS = ["new", "old"]
        out = StringIO()
        call_command("rotate_secrets", stdout=out)
        assert out.getvalue().startswith("1 sources and 0 inherited")
        settings.NEWSS_SECRETS_KEYS = ["new"]
        source.refresh_from_db()
        assert secrets.revealed(source.settings["headers"]["X-Key"]) == "s3cret"


@pytest.mark.django_db
def test_secrets_that_were_stored_as_plain_text_are_encrypted_by_the_migration() -> None:
    plain = {
        "headers": {"Authorization": "Bearer s3cret", "Accept-Language": "de", "X-Key": "Key env:NEWSS_SECRET_A"},
        "cookies": {"session": "c00kie", "other": secrets.sealed("known")},
        "parameters": {"token": "t0ken"},
        "proxy": "http://me:pass@proxy.example:3128",
        "text_from": "source",
    }
    source = Source.objects.create(name="Wire", url="https://a.example/", settings=plain)
    level = SettingsLevel.objects.create(values={"cookies": {"session": "c00kie"}, "proxy": "http://proxy.example"})
    untouched = Source.objects.create(name="Paper", url="https://b.example/")
    seal = import_module("scrapers.migrations.0008_seal_secrets").seal
    seal(apps, None)
    found, inherited = Source.objects.get(pk=source.pk).settings, SettingsLevel.objects.get(pk=level.pk).values
    assert not any(word in repr((found, inherited)) for word in ("s3cret", "c00kie", "t0ken", "pass@"))
    assert secrets.revealed(found["headers"]["Authorization"]) == "Bearer s3cret"
    assert (
        secrets.revealed(found["cookies"]["session"]) == secrets.revealed(inherited["cookies"]["session"]) == "c00kie"
    )
    assert secrets.revealed(found["parameters"]["token"]) == "t0ken"
    assert secrets.revealed(found["proxy"]) == plain["proxy"] and inherited["proxy"] == "http://proxy.example"
    kept = {"Accept-Language": "de", "X-Key": "Key env:NEWSS_SECRET_A"}
    assert {name: found["headers"][name] for name in kept} == kept and found["text_from"] == "source"
    assert found["cookies"]["other"] == plain["cookies"]["other"], "it is encrypted already"  # type: ignore[index]
    assert Source.objects.get(pk=untouched.pk).settings == {}
    seal(apps, None)
    assert Source.objects.get(pk=source.pk).settings == found
