"""robots.txt by RFC 9309, against a real server and as a table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from scrapers.fetch import robots
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.models import Host

RULES = "User-agent: *\nDisallow: /private/\nCrawl-delay: 2\n"


def host_with(status: int, body: str = "") -> Host:
    host = Host(scheme="http", host="h.example", port=80)
    robots.note_answer(host, status, body.encode())
    return host


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("status", "body", "path", "allowed"),
    [
        (200, RULES, "/news", True),
        (200, RULES, "/private/x", False),
        (200, "User-agent: NEWSS\nDisallow: /\n\nUser-agent: *\nAllow: /\n", "/news", False),
        (200, "User-agent: *\nDisallow: /\n\nUser-agent: newss\nAllow: /\n", "/news", True),
        (200, "User-agent: *\nDisallow: /a\nAllow: /a/b\n", "/a/b", True),
        (200, "User-agent: *\nDisallow: /*.pdf$\n", "/x.pdf", False),
        (200, "\ufeffUser-agent: *\nDisallow: /\n", "/news", False),
        (200, "<html>not rules</html>", "/news", True),
        (200, "\0\0\0", "/news", True),
        (204, "", "/news", True),
        (301, "", "/news", True),
        (401, "", "/news", True),
        (403, "", "/news", True),
        (404, "", "/news", True),
        (500, "", "/news", False),
        (503, "", "/news", False),
    ],
)
def test_what_an_answer_allows(status: int, body: str, path: str, allowed: bool) -> None:
    meaning = robots.meaning(host_with(status, body))
    if allowed:
        meaning.check(f"http://h.example{path}")
    else:
        with pytest.raises(CollectError) as error:
            meaning.check(f"http://h.example{path}")
        assert error.value.failure is FailureClass.ROBOTS


@pytest.mark.anydb
def test_the_longer_of_our_delay_and_theirs_holds_up_to_a_cap(settings: Any) -> None:
    settings.NEWSS_HOST_DELAY_SECONDS, settings.NEWSS_CRAWL_DELAY_MAX_SECONDS = 1.0, 60.0
    assert robots.delay_seconds(host_with(404)) == 1.0
    assert robots.delay_seconds(host_with(200, RULES)) == 2.0
    assert robots.delay_seconds(host_with(200, RULES.replace("2", "0.1"))) == 1.0
    assert robots.delay_seconds(host_with(200, RULES.replace("2", "86400"))) == 60.0


@pytest.mark.anydb
def test_an_answer_holds_for_a_day_and_a_failure_for_minutes() -> None:
    now = timezone.now()
    assert host_with(200).robots_are_fresh(now + timedelta(hours=23))
    assert not host_with(200).robots_are_fresh(now + timedelta(hours=25))
    assert not host_with(503).robots_are_fresh(now + timedelta(minutes=11))


pytest_db = pytest.mark.django_db(transaction=True)


@pytest_db
def test_robots_txt_is_asked_for_once_and_kept_for_other_runs(serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/robots.txt", "User-agent: *\nDisallow: /private/\n")
    server.answer("/a", "a")
    fetch(server.url("/a"))
    fetch(server.url("/a"))
    with pytest.raises(CollectError):
        fetch(server.url("/private/x"))
    assert [asked.path for asked in server.asked] == ["/robots.txt", "/a", "/a"]
    Host.objects.update(robots_expires_at=timezone.now())
    fetch(server.url("/a"))
    assert [asked.path for asked in server.asked].count("/robots.txt") == 2


@pytest_db
def test_redirects_of_robots_txt_are_followed_to_other_hosts(serve: Any, fetch: Any) -> None:
    here, there = serve("127.0.0.2"), serve("127.0.0.3")
    here.answer("/robots.txt", status=301, Location=there.url("/rules"))
    there.answer("/rules", "User-agent: *\nDisallow: /\n")
    with pytest.raises(CollectError) as error:
        fetch(here.url("/a"))
    assert error.value.failure is FailureClass.ROBOTS
    assert here.paths() == []


@pytest_db
def test_robots_txt_that_redirects_in_a_circle_counts_as_missing(serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/robots.txt", status=302, Location="/robots.txt")
    server.answer("/a", "a")
    assert fetch(server.url("/a")).body == b"a"


@pytest_db
def test_a_redirect_into_a_forbidden_part_is_not_followed(serve: Any, fetch: Any) -> None:
    server = serve()
    server.answer("/robots.txt", "User-agent: *\nDisallow: /private/\n")
    server.answer("/a", status=302, Location="/private/a")
    server.answer("/private/a", "secret")
    with pytest.raises(CollectError) as error:
        fetch(server.url("/a"))
    assert error.value.failure is FailureClass.ROBOTS
    assert server.paths() == ["/a"]


@pytest_db
def test_a_host_that_does_not_answer_is_told_as_that_and_not_as_forbidden(serve: Any, fetch: Any) -> None:
    server = serve()
    with pytest.raises(CollectError) as error:
        fetch(f"http://127.0.0.9:{server.port}/a")
    assert error.value.failure is FailureClass.REFUSED
