"""Each failure has its own class and its own words."""

from __future__ import annotations

import errno
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from scrapers.fetch.failures import FailureClass, by_status, classify, status_error
from scrapers.fetch.safety import AddressRefused

pytestmark = pytest.mark.anydb

KEY = ConnectionKey("h.example", 443, True, True, None, None, None)
REQUEST: Any = SimpleNamespace(real_url="https://h.example/", method="GET", headers={}, url="https://h.example/")


def certificate_error() -> Exception:
    return aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError(1, "self-signed certificate"))


ERRORS: list[tuple[BaseException, FailureClass, str]] = [
    (TimeoutError(), FailureClass.TIMEOUT, "did not answer in time"),
    (TimeoutError(), FailureClass.TIMEOUT, "did not answer in time"),
    (aiohttp.ServerTimeoutError("x"), FailureClass.TIMEOUT, "did not answer in time"),
    (aiohttp.ConnectionTimeoutError("x"), FailureClass.TIMEOUT, "did not answer in time"),
    (certificate_error(), FailureClass.TLS, "self-signed certificate"),
    (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "no protocol")), FailureClass.TLS, "secure connection"),
    (aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "unknown")), FailureClass.DNS, "h.example could not be found"),
    (aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "no")), FailureClass.REFUSED, "refused"),
    (aiohttp.ClientConnectorError(KEY, OSError(errno.ENETUNREACH, "no way")), FailureClass.CONNECTION, "broke"),
    (aiohttp.ClientConnectorError(KEY, AddressRefused("10.0.0.1")), FailureClass.ADDRESS_REFUSED, "10.0.0.1"),
    (AddressRefused("169.254.169.254"), FailureClass.ADDRESS_REFUSED, "NEWSS_ALLOW_NETWORKS"),
    (aiohttp.ServerDisconnectedError(), FailureClass.CONNECTION, "broke"),
    (aiohttp.ClientPayloadError("cut off"), FailureClass.CONNECTION, "cut off"),
    (ConnectionResetError(104, "reset"), FailureClass.CONNECTION, "reset"),
    (aiohttp.ClientResponseError(REQUEST, (), message="no HTTP"), FailureClass.BAD_ANSWER, "no HTTP"),
    (aiohttp.InvalidURL("http://"), FailureClass.BAD_ADDRESS, "cannot be used"),
    (
        aiohttp.ClientProxyConnectionError(KEY, ConnectionRefusedError(111, "no")),
        FailureClass.REFUSED,
        "The proxy does not lead to h.example",
    ),
    (
        aiohttp.ClientProxyConnectionError(KEY, AddressRefused("10.0.0.1")),
        FailureClass.ADDRESS_REFUSED,
        "The proxy of h.example has the address 10.0.0.1",
    ),
    (aiohttp.ClientHttpProxyError(REQUEST, (), message="Login needed"), FailureClass.BAD_ANSWER, "The proxy does not"),
    (ZeroDivisionError("oops"), FailureClass.INTERNAL, "oops"),
]


@pytest.mark.parametrize(("error", "failure", "words"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors_of_the_network_are_told_apart(error: BaseException, failure: FailureClass, words: str) -> None:
    found = classify(error, "h.example")
    assert found.failure is failure
    assert words in found.sentence


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, FailureClass.CLIENT_ERROR),
        (401, FailureClass.UNAUTHORIZED),
        (403, FailureClass.FORBIDDEN),
        (404, FailureClass.NOT_FOUND),
        (410, FailureClass.GONE),
        (418, FailureClass.CLIENT_ERROR),
        (429, FailureClass.RATE_LIMITED),
        (500, FailureClass.SERVER_ERROR),
        (503, FailureClass.SERVER_ERROR),
        (599, FailureClass.SERVER_ERROR),
        (304, FailureClass.BAD_ANSWER),
        (600, FailureClass.BAD_ANSWER),
    ],
)
def test_a_status_has_its_class_and_stands_in_the_sentence(status: int, failure: FailureClass) -> None:
    assert by_status(status) is failure
    error = status_error(status, "h.example")
    assert (error.failure, error.http_status) == (failure, status)
    assert f"h.example answered {status}" in error.sentence


def test_every_class_has_words_of_its_own() -> None:
    words = [str(failure.label) for failure in FailureClass]
    assert len(set(words)) == len(words)
    assert all(words)
