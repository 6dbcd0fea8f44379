"""Runs that poll: only what is due, what a server says of its address, and whose fault a failure is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from django.test import Client
from django.utils import timezone

from scheduling.models import Cause
from scrapers.fetch.answers import is_challenge
from scrapers.health import Trouble
from scrapers.models import ResultStatus, Source, SourceMove
from scrapers.models.move import MOVES_AFTER
from scrapers.polling import Pace
from tests.scrapers.conftest import Collected, LocalServer, execute, running_context

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]
Collect = Callable[..., Collected]
PAGE = "<html><body><article><h1>Story {0}</h1>" + "<p>Some words about story {0} at the harbour.</p>" * 12


def feed(server: LocalServer, *numbers: int, path: str = "/feed", mark: str = "", ttl: str = "") -> str:
    """Let a server have a feed with some stories; return it."""
    items = "".join(
        f"<item><title>What the harbour of Carrow saw on day {n} of spring</title><guid>{mark}{n}</guid>"
        f"<link>{server.url(f'/{mark}s{n}')}</link></item>"
        for n in numbers
    )
    for n in numbers:
        server.answer(f"/{mark}s{n}", PAGE.format(n))
    body = f'<rss version="2.0"><channel><title>Paper</title>{ttl}{items}</channel></rss>'
    server.answer(path, body)
    return body


def scheduled(**parameters: Any) -> Collected:
    context = running_context(**parameters)
    context.cause = Cause.SCHEDULE
    return execute(context)


def test_a_scheduled_run_polls_what_is_due_and_one_by_hand_everything(
    serve: Callable[..., LocalServer], collect_news: Collect
) -> None:
    server = serve()
    feed(server, 1, ttl="<ttl>30</ttl>")
    Source.objects.create(name="Paper", url=server.url("/feed"))
    assert scheduled().of("Paper").new == 1
    server.asked.clear()
    nothing = scheduled()
    assert nothing.result is not None and "Nothing due" in nothing.result.outcome and not server.asked
    assert collect_news().of("Paper").status == ResultStatus.NOT_MODIFIED, "the same body is nothing new"
    Source.objects.update(not_before=timezone.now() + timedelta(hours=1))
    server.asked.clear()
    held = collect_news()
    assert held.of("Paper").failure_class == "rate_limited" and not server.asked
    assert Source.objects.get().consecutive_failures == 0


def test_a_scheduled_run_waits_for_a_source_that_is_due_in_a_moment_and_one_by_hand_does_not(
    serve: Callable[..., LocalServer], collect_news: Collect
) -> None:
    server = serve()
    feed(server, 1)
    now = timezone.now()
    Source.objects.create(name="Paper", url=server.url("/feed"))

    def due_at(due: datetime) -> datetime:
        Source.objects.update(last_polled_at=now - timedelta(hours=1), next_poll_at=due)
        return due

    due = due_at(now + timedelta(seconds=30))
    assert collect_news().of("Paper").started_at < due
    due = due_at(timezone.now() + timedelta(seconds=2))
    assert scheduled().of("Paper").started_at >= due


def test_an_interval_holds_for_scheduled_runs(serve: Callable[..., LocalServer]) -> None:
    server = serve()
    feed(server, 1)
    Source.objects.create(name="Paper", url=server.url("/feed"), pace=Pace.INTERVAL, interval_minutes=60)
    assert scheduled().of("Paper").new == 1
    assert "Nothing due" in scheduled().result.outcome  # type: ignore[union-attr]


def test_an_address_that_moved_for_good_is_followed_after_ten_polls_and_can_be_called_back(
    serve: Callable[..., LocalServer], collect_news: Collect, admin_client: Client
) -> None:
    server = serve()
    feed(server, 1, path="/new")
    server.answer("/old", status=301, Location="/new")
    paper = Source.objects.create(name="Paper", url=server.url("/old"), moving_seen=MOVES_AFTER - 2)
    Source.objects.update(moving_to=server.url("/new"))
    collect_news()
    assert Source.objects.get().url == server.url("/old")
    collect_news()
    assert Source.objects.get().url == server.url("/new")
    move = SourceMove.objects.get()
    page = admin_client.get(f"/admin/scrapers/source/{paper.pk}/change/").content.decode()
    assert "moved for good" in page and server.url("/old") in page and "sourcemove/?q=Paper" in page
    move.undo()
    assert Source.objects.get().url == server.url("/old")
    assert "moved for good" not in admin_client.get(f"/admin/scrapers/source/{paper.pk}/change/").content.decode()
    Source.objects.update(moving_seen=MOVES_AFTER, moving_to=server.url("/new"))
    collect_news()
    paper.refresh_from_db()
    assert paper.url == server.url("/old"), "what a person called back does not move there again"


def test_passing_redirects_move_nothing(serve: Callable[..., LocalServer], collect_news: Collect) -> None:
    server = serve()
    feed(server, 1, path="/new")
    server.answer("/old", status=302, Location="/new")
    Source.objects.create(name="Paper", url=server.url("/old"))
    collect_news()
    assert Source.objects.get().moving_seen == 0


def test_a_known_feed_that_looks_new_is_matched_by_its_titles(
    serve: Callable[..., LocalServer], collect_news: Collect
) -> None:
    server = serve()
    feed(server, 1, 2, 3, 4, 5, 6)
    Source.objects.create(name="Paper", url=server.url("/feed"))
    assert collect_news().of("Paper").new == 6
    feed(server, 1, 2, 3, 4, 5, 7, mark="x")
    server.asked.clear()
    again = collect_news().of("Paper")
    assert (again.known, again.new) == (5, 1), again.sentence()
    assert server.paths() == ["/feed", "/xs7"], "what is known by its title is not read again"
    assert Source.objects.get().trouble == Trouble.LOOKS_NEW


def test_a_feed_that_had_items_and_has_none_is_a_state_of_health(
    serve: Callable[..., LocalServer], collect_news: Collect
) -> None:
    server = serve()
    feed(server, 1)
    Source.objects.create(name="Paper", url=server.url("/feed"))
    collect_news()
    feed(server)
    collect_news()
    assert Source.objects.get().health == "empty"
    feed(server, 1, 2)
    collect_news()
    assert Source.objects.get().health == "healthy"


def test_when_our_own_connection_fails_nobody_is_blamed(
    serve: Callable[..., LocalServer], collect_news: Collect, settings: Any
) -> None:
    settings.NEWSS_OFFLINE_WAIT_SECONDS = 0.2
    settings.NEWSS_CONTROL_URLS = ["http://127.0.0.1:1/"]
    for number in range(3):
        Source.objects.create(name=f"Paper {number}", url=f"http://127.0.0.{number + 2}:1/feed")
    run = collect_news()
    assert {run.of(f"Paper {number}").failure_class for number in range(3)} == {"offline"}
    assert not Source.objects.failing().exists()
    settings.NEWSS_CONTROL_URLS = [serve().url("/")]
    run = collect_news()
    assert {run.of(f"Paper {number}").failure_class for number in range(3)} == {"refused"}
    assert Source.objects.failing().count() == 3


def test_a_challenge_page_is_called_so(serve: Callable[..., LocalServer], collect_news: Collect) -> None:
    server = serve()
    server.answer("/feed", "<html>", status=403, cf_mitigated="challenge")
    Source.objects.create(name="Paper", url=server.url("/feed"))
    assert collect_news().of("Paper").failure_class == "challenge"
    assert is_challenge({"Content-Type": "text/html"}, b"<script>window._cf_chl_opt = {}</script>")
    assert not is_challenge({"Content-Type": "text/html"}, b"<p>A challenge for all of us.</p>")


def test_gone_for_good_pauses_the_source(serve: Callable[..., LocalServer], collect_news: Collect) -> None:
    server = serve()

    async def gone(_request: web.Request) -> web.Response:
        return web.Response(status=410)

    server.routes["/feed"] = gone
    Source.objects.create(name="Paper", url=server.url("/feed"))
    collect_news()
    assert Source.objects.get().health == "paused"
    assert "no enabled source" in collect_news().result.outcome  # type: ignore[union-attr]
