"""The system checks, each named by its id."""

from __future__ import annotations

from typing import Any

import pytest

from scrapers.checks import check_settings

pytestmark = pytest.mark.anydb


@pytest.fixture(autouse=True)
def _contact(settings: Any) -> None:
    settings.NEWSS_CONTACT = "https://news.example/bot"


def found() -> list[tuple[str | None, str]]:
    return [(message.id, str(message.msg)) for message in check_settings(None)]


def test_the_defaults_are_fine() -> None:
    assert found() == []


def test_scrapers_e001_names_what_is_no_network(settings: Any) -> None:
    settings.NEWSS_ALLOW_NETWORKS = ["10.0.0.0/8", "the office"]
    [(identifier, message)] = found()
    assert identifier == "scrapers.E001" and "the office" in message


@pytest.mark.parametrize(("name", "value"), [("NEWSS_HOST_DELAY_SECONDS", -1.0), ("NEWSS_HOST_CONCURRENCY", 0)])
def test_scrapers_e002_names_the_number_that_is_out_of_range(name: str, value: float, settings: Any) -> None:
    setattr(settings, name, value)
    [(identifier, message)] = found()
    assert identifier == "scrapers.E002" and name in message


def test_scrapers_e003_names_the_switch_that_is_neither_on_nor_off(settings: Any) -> None:
    settings.NEWSS_GROUP_HOSTS = "domain"
    [(identifier, message)] = found()
    assert identifier == "scrapers.E003" and "NEWSS_GROUP_HOSTS" in message and "domain" in message


def test_scrapers_w001_asks_for_a_contact(settings: Any) -> None:
    settings.NEWSS_CONTACT = ""
    assert [identifier for identifier, _message in found()] == ["scrapers.W001"]
