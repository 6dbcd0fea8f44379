"""Addresses that must not be asked, by number, by name, by redirect and by rebinding."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.safety import is_allowed

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "0.0.0.0", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.0.0.8", "::", "::1", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]


@pytest.mark.anydb
@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused(address: str, settings: Any) -> None:
    settings.NEWSS_ALLOW_NETWORKS = []
    assert not is_allowed(address)


@pytest.mark.anydb
@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str, settings: Any) -> None:
    settings.NEWSS_ALLOW_NETWORKS = []
    assert is_allowed(address)


@pytest.mark.anydb
def test_a_setting_allows_a_network_and_no_more(settings: Any) -> None:
    settings.NEWSS_ALLOW_NETWORKS = ["10.1.0.0/16", " fd00::/8 ", ""]
    assert is_allowed("10.1.2.3") and is_allowed("fd00::1") and is_allowed("::ffff:10.1.2.3")
    assert not is_allowed("10.2.0.1") and not is_allowed("fe80::1")


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_no_spelling_of_a_private_address_is_asked(host: str, serve: Any, fetch: Any, settings: Any) -> None:
    server = serve("127.0.0.1")
    settings.NEWSS_ALLOW_NETWORKS = []
    with pytest.raises(CollectError) as error:
        fetch(f"http://{host}:{server.port}/secret")
    assert error.value.failure in (FailureClass.ADDRESS_REFUSED, FailureClass.BAD_ADDRESS)
    assert server.asked == []


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
def test_a_redirect_to_a_private_address_is_not_followed(serve: Any, fetch: Any, settings: Any) -> None:
    outside, inside = serve("127.0.0.2"), serve("127.0.0.3")
    outside.answer("/", status=302, Location=inside.url("/secret"))
    settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.2/32"]
    with pytest.raises(CollectError) as error:
        fetch(outside.url("/"))
    assert error.value.failure is FailureClass.ADDRESS_REFUSED
    assert "127.0.0.3" in error.value.sentence
    assert inside.asked == []


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
def test_a_name_that_resolves_differently_the_second_time_gets_nowhere(
    serve: Any, fetch: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = serve("127.0.0.2")
    inside = serve("127.0.0.3", outside.port)
    outside.answer("/robots.txt", status=404, Connection="close")
    inside.answer("/", "secret")
    settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.2/32"]
    answers = iter(["127.0.0.2", "127.0.0.3"])
    original = socket.getaddrinfo

    def rebinding(host: Any, *args: Any, **options: Any) -> Any:
        return original(next(answers) if host == "rebind.example" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    # aiohttp remembers what it resolved; without that the second request really asks again.
    monkeypatch.setattr("aiohttp.connector._DNSCacheTable.expired", lambda *_args: True)
    with pytest.raises(CollectError) as error:
        fetch(f"http://rebind.example:{outside.port}/")
    assert error.value.failure is FailureClass.ADDRESS_REFUSED
    assert [asked.path for asked in outside.asked] == ["/robots.txt"]
    assert inside.asked == []


@pytest.mark.anydb
@pytest.mark.django_db(transaction=True)
def test_a_name_with_a_public_and_a_private_address_is_asked_at_the_public_one_only(
    serve: Any, fetch: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = serve("127.0.0.2")
    inside = serve("127.0.0.3", outside.port)
    outside.answer("/", "public")
    settings.NEWSS_ALLOW_NETWORKS = ["127.0.0.2/32"]
    original = socket.getaddrinfo

    def both(host: Any, *args: Any, **options: Any) -> Any:
        if host != "both.example":
            return original(host, *args, **options)
        return original("127.0.0.3", *args, **options) + original("127.0.0.2", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", both)
    assert fetch(f"http://both.example:{outside.port}/").body == b"public"
    assert inside.asked == []
