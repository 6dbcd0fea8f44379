"""Hosts of one registrable domain share slots and cool-downs, where the installation says so; over real connections."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from django.test import Client
from django.utils import timezone

from scrapers.database import DatabaseThread
from scrapers.extract.addresses import registrable_domain
from scrapers.fetch.answers import Answer
from scrapers.fetch.client import Fetcher
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.groups import group_name
from scrapers.models import Host, HostGroup, ResultStatus, Source
from tests import factories
from tests.scrapers.conftest import Collected, LocalServer

NAMES = {"www.paper.co.uk": "127.0.0.2", "feeds.paper.co.uk": "127.0.0.3", "paper.org.uk": "127.0.0.4"}


@pytest.mark.anydb
@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("www.paper.co.uk", "paper.co.uk"),
        ("feeds.bbc.co.uk", "bbc.co.uk"),
        ("bbc.co.uk", "bbc.co.uk"),
        ("someone.github.io", "someone.github.io"),
        ("www.xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("localhost", ""),
        ("127.0.0.1", ""),
        ("2001:db8::1", ""),
    ],
)
def test_a_domain_is_what_somebody_can_register(name: str, domain: str) -> None:
    assert registrable_domain(name) == domain


@pytest.mark.anydb
def test_hosts_stand_alone_unless_the_installation_groups_them(settings: Any) -> None:
    www = Host(scheme="https", host="www.paper.co.uk", port=443)
    number = Host(scheme="http", host="127.0.0.1", port=8000)
    assert (group_name(www), group_name(number)) == ("https://www.paper.co.uk", "http://127.0.0.1:8000")
    settings.NEWSS_GROUP_HOSTS = True
    assert (group_name(www), group_name(number)) == ("paper.co.uk", "http://127.0.0.1:8000")


@pytest.mark.django_db
def test_a_host_that_joins_a_group_heeds_what_the_group_was_asked_for() -> None:
    until = timezone.now() + timedelta(hours=1)
    first = Host.objects.create(scheme="https", host="www.paper.co.uk", port=443)
    first.join("paper.co.uk")
    first.cool_down(until)
    second = Host.objects.create(scheme="https", host="feeds.paper.co.uk", port=443)
    second.join("paper.co.uk")
    assert second.cool_down_until == Host.objects.get(pk=second.pk).cool_down_until == until
    second.cool_down(timezone.now() + timedelta(seconds=5))
    assert set(Host.objects.values_list("cool_down_until", flat=True)) == {until}, "it never becomes sooner"
    second.join("https://feeds.paper.co.uk")
    assert list(HostGroup.objects.get(name="paper.co.uk").hosts.all()) == [first]


@pytest.fixture
def outlets(serve: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, LocalServer]:
    """Servers by their names, on one port."""
    original = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *args, **options: original(NAMES.get(host, host), *args, **options)
    )
    servers: dict[str, LocalServer] = {}
    for name, address in NAMES.items():
        port = next(iter(servers.values())).port if servers else 0
        servers[name] = serve(address, port)
        servers[name].answer("/", "hello")
    return servers


def fetch_all(*urls: str) -> list[Answer | BaseException]:
    """Fetch addresses at once by one fetcher, as one run does."""

    async def main() -> list[Answer | BaseException]:
        database = DatabaseThread()
        try:
            async with Fetcher(database) as fetcher:
                return await asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)
        finally:
            await database.close()

    return asyncio.run(main())


def address(outlets: dict[str, LocalServer], name: str) -> str:
    return f"http://{name}:{outlets[name].port}/"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("by_hand", [False, True], ids=["by domain", "by hand"])
def test_hosts_of_one_group_are_asked_one_after_another(
    outlets: dict[str, LocalServer], by_hand: bool, settings: Any
) -> None:
    settings.NEWSS_GROUP_HOSTS, settings.NEWSS_HOST_DELAY_SECONDS = not by_hand, 0.2
    asked: list[float] = []

    async def note(_request: web.Request) -> web.Response:
        asked.append(time.monotonic())
        return web.Response(text="hello")

    for name in ("www.paper.co.uk", "feeds.paper.co.uk"):
        outlets[name].routes |= {"/": note, "/robots.txt": note}
        if by_hand:
            Host.objects.create(scheme="http", host=name, port=outlets[name].port, chosen_group="paper.co.uk")
    answers = fetch_all(*(address(outlets, name) for name in NAMES))
    assert all(isinstance(answer, Answer) for answer in answers), answers
    assert len(asked) == 4
    assert min(after - before for before, after in pairwise(asked)) >= 0.2
    assert set(HostGroup.objects.values_list("name", flat=True)) == {
        "paper.co.uk",
        address(outlets, "paper.org.uk").rstrip("/") if by_hand else "paper.org.uk",
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("grouped", [True, False])
def test_a_host_that_asks_for_it_is_left_alone_with_its_group(
    grouped: bool, outlets: dict[str, LocalServer], settings: Any
) -> None:
    settings.NEWSS_GROUP_HOSTS = grouped
    outlets["www.paper.co.uk"].answer("/", status=429, Retry_After="3600")
    fetch_all(*(address(outlets, name) for name in NAMES if name.endswith("paper.co.uk")))
    first = fetch_all(address(outlets, "www.paper.co.uk"))[0]
    before = len(outlets["feeds.paper.co.uk"].asked)
    # Another run, which knows of it by the database alone.
    second, third = fetch_all(address(outlets, "feeds.paper.co.uk"), address(outlets, "paper.org.uk"))
    assert isinstance(first, CollectError) and first.failure is FailureClass.RATE_LIMITED
    assert isinstance(third, Answer)
    if grouped:
        assert isinstance(second, CollectError) and second.failure is FailureClass.RATE_LIMITED
        assert len(outlets["feeds.paper.co.uk"].asked) == before
    else:
        assert isinstance(second, Answer)


@pytest.mark.django_db(transaction=True)
def test_a_run_heeds_at_once_what_another_host_of_the_group_asked_for(
    outlets: dict[str, LocalServer], settings: Any
) -> None:
    settings.NEWSS_GROUP_HOSTS = True
    outlets["www.paper.co.uk"].answer("/", status=503, Retry_After="3600")

    async def main() -> None:
        database = DatabaseThread()
        try:
            async with Fetcher(database) as fetcher:
                await fetcher.fetch(address(outlets, "feeds.paper.co.uk"))
                with pytest.raises(CollectError):
                    await fetcher.fetch(address(outlets, "www.paper.co.uk"))
                with pytest.raises(CollectError) as error:
                    await fetcher.fetch(address(outlets, "feeds.paper.co.uk"))
                assert error.value.failure is FailureClass.RATE_LIMITED
        finally:
            await database.close()

    asyncio.run(main())
    assert outlets["feeds.paper.co.uk"].paths() == ["/"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("whole_host", [True, False])
def test_retry_after_holds_for_the_source_and_for_its_host_where_the_installation_says_so(
    whole_host: bool, serve: Any, collect_news: Callable[..., Collected], settings: Any
) -> None:
    settings.NEWSS_COOL_DOWN_HOSTS, settings.NEWSS_CONCURRENT_SOURCES = whole_host, 1
    server: LocalServer = serve()
    # The feed of the first answers, its article does not; the second source is of the same host.
    items = "".join(f"<item><title>Story {path}</title><link>{path}</link></item>" for path in ("/a", "/b"))
    server.answer("/busy", f"<rss version='2.0'><channel><title>F</title>{items}</channel></rss>")
    server.answer("/a", status=429, Retry_After="3600")
    server.answer("/b", status=429, Retry_After="3600")
    server.answer("/calm", "<rss version='2.0'><channel><title>F</title></channel></rss>")
    busy = Source.objects.create(name="Busy", url=server.url("/busy"))
    Source.objects.create(name="Calm", url=server.url("/calm"))
    collected = collect_news()
    assert collected.of("Calm").status == (ResultStatus.FAILED if whole_host else ResultStatus.OK)
    assert [path for path in server.paths() if path in ("/a", "/b")] in (["/a"], ["/b"], ["/a", "/b"], ["/b", "/a"])
    busy.refresh_from_db()
    host = Host.objects.get()
    if whole_host:
        assert host.cool_down_until is not None and host.cool_down_until > timezone.now()
    else:
        assert host.cool_down_until is None
        assert busy.not_before is not None and busy.not_before > timezone.now() + timedelta(minutes=50)
    asked = len(server.asked)
    again = collect_news(sources=[busy.pk])
    assert again.of("Busy").failure_class == FailureClass.RATE_LIMITED
    assert len(server.asked) == asked


@pytest.mark.django_db
def test_the_list_of_hosts_names_the_group_of_those_that_share(client: Client) -> None:
    for name in ("www.paper.co.uk", "alone.example"):
        host = Host.objects.create(scheme="https", host=name, port=443)
        host.join("paper.co.uk" if "paper" in name else host.origin)
    client.force_login(factories.user("scrapers.view_host"))
    page = client.get("/admin/scrapers/host/").content.decode()
    assert "Shares slots as" in page and ">paper.co.uk<" in page
    assert page.count("https://alone.example") == 1, "who stands alone shares with nobody"


@pytest.mark.django_db
def test_a_group_is_chosen_on_the_page_of_a_host_and_taken_back(client: Client) -> None:
    feeds, pages = (Host.objects.create(scheme="https", host=name, port=443) for name in ("feeds.example", "cdn.test"))
    feeds.join(feeds.origin)
    until = timezone.now() + timedelta(hours=1)
    feeds.cool_down(until)
    client.force_login(factories.user("scrapers.view_host", "scrapers.change_host"))
    page = f"/admin/scrapers/host/{pages.pk}/change/"
    assert 'name="chosen_group"' in client.get(page).content.decode()
    Host.objects.filter(pk=pages.pk).update(robots_txt="User-agent: *")
    assert client.post(page, {"chosen_group": f" {feeds.origin} "}).status_code == 302
    pages.refresh_from_db()
    assert (pages.chosen_group, pages.group, pages.cool_down_until) == (feeds.origin, feeds.group, until)
    assert pages.robots_txt == "User-agent: *", "what collecting knows of it stays"
    shared = client.get("/admin/scrapers/host/").content.decode()
    assert shared.count(">https://feeds.example<") == 3, "its name, and the group of both"
    assert client.post(page, {"chosen_group": ""}).status_code == 302
    pages.refresh_from_db()
    assert pages.chosen_group is None and pages.group is not None and pages.group.name == pages.origin


@pytest.mark.django_db
def test_a_group_is_chosen_by_those_who_may_change_hosts(client: Client) -> None:
    host = Host.objects.create(scheme="https", host="paper.example", port=443, chosen_group="papers")
    client.force_login(factories.user("scrapers.view_host"))
    page = f"/admin/scrapers/host/{host.pk}/change/"
    shown = client.get(page).content.decode()
    assert 'name="chosen_group"' not in shown and "papers" in shown
    assert client.post(page, {"chosen_group": "mine"}).status_code == 403
