"""The sample news site does what the tests, the demo and the benchmarks rely on.

Time is a number that the tests set; only the ends of a process are waited for, and those with generous limits.
"""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from calendar import timegm
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import HTTPResponse
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import feedparser
import pytest
import trafilatura
from protego import Protego

from tests.site import HEALTHY, OUTLETS, Outlet, PublishedStory, Site, SiteServer
from tests.site.content import BlockKind, inline_html, load_stories, parse_story, plain
from tests.site.pages import render_story
from tests.site.serving import accepts_gzip, bind

pytestmark = pytest.mark.anydb

ROOT = Path(__file__).parent.parent
EPOCH = 1_793_000_000.0
LIMIT_SECONDS = 30.0
HEALTHY_KEYS = [outlet.key for outlet in HEALTHY]


class Clock:
    """A clock that stands until a test moves it; in seconds of Unix time."""

    def __init__(self, now: float = EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Answer:
    """Status, headers and unpacked-by-nobody body of an answer."""

    def __init__(self, response: HTTPResponse | urllib.error.HTTPError) -> None:
        self.status = response.status or 0
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode()


def get(url: str, method: str = "GET", data: bytes | None = None, **headers: str) -> Answer:
    """Ask for an address; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, headers=named, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as response:
            return Answer(response)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[SiteServer]:
    with SiteServer(clock=clock, start=8, reveal=20, slow=0.2, crawl_delay=2) as running:
        yield running


# The stories


@pytest.mark.parametrize("outlet", HEALTHY, ids=HEALTHY_KEYS)
def test_each_healthy_outlet_has_twenty_stories_of_a_readable_length(outlet: Outlet) -> None:
    stories = Site(show_all=True).stories(outlet)
    assert len(stories) == 20
    for story in stories:
        assert 150 <= len(story.text.split()) <= 450, story.slug
        assert 4 <= sum(block.kind is BlockKind.PARAGRAPH for block in story.blocks) <= 9, story.slug
        assert 1 <= len(story.authors) <= 2, story.slug
        assert story.summary and story.story.section and story.story.keywords


def test_titles_addresses_and_paragraphs_are_unique() -> None:
    stories = [story for key in OUTLETS for story in Site(show_all=True).stories(key)]
    paragraphs = [text for story in stories for text in story.paragraphs]
    assert len({story.url for story in stories}) == len({story.title for story in stories}) == len(stories)
    assert len(set(paragraphs)) == len(paragraphs)


def test_the_stories_offer_every_kind_of_block_and_three_in_german() -> None:
    stories = [story for outlet in HEALTHY for story in load_stories(outlet.key)]
    assert {block.kind for story in stories for block in story.blocks} == set(BlockKind)
    assert sum(story.language == "de" for story in stories) == 3
    assert all(sum(bool(story.update) for story in load_stories(key)) == 1 for key in HEALTHY_KEYS)


def test_images_name_the_story_that_they_belong_to() -> None:
    for outlet in HEALTHY:
        for story in load_stories(outlet.key):
            assert {block.image for block in story.blocks} <= {"", story.slug}


def test_marks_in_a_text_become_elements_and_vanish_from_the_truth() -> None:
    assert inline_html("a *b* & [c](/d)") == 'a <em>b</em> &amp; <a href="/d">c</a>'
    assert plain("a *b* & [c](/d)") == "a b & c"


def test_a_story_without_a_title_is_named_with_what_it_lacks() -> None:
    with pytest.raises(ValueError, match=r"01-a\.md: its head lacks 'title'"):
        parse_story("01-a.md", "+++\n+++\ntext".replace("+++\n+++", "+++\nx = 1\n+++"))


# The clock


def test_stories_come_with_the_clock_until_all_are_out(clock: Clock) -> None:
    site = Site(start=8, reveal=20, clock=clock)
    counts = []
    for seconds in (0, 19.9, 20, 40, 239.9, 240, 100_000):
        clock.now = EPOCH + seconds
        counts.append(len(site.stories("signal")))
    assert counts == [8, 8, 9, 10, 19, 20, 20]


def test_new_stories_are_staggered_over_the_outlets(clock: Clock) -> None:
    site = Site(start=8, reveal=30, clock=clock)
    seen = []
    for seconds in range(10, 70, 10):
        clock.now = EPOCH + seconds
        seen.append([len(site.stories(key)) for key in HEALTHY_KEYS])
    assert seen == [[9, 8, 8], [9, 9, 8], [9, 9, 9], [10, 9, 9], [10, 10, 9], [10, 10, 10]]


def test_a_new_story_is_dated_when_it_came_out_and_stands_first(clock: Clock) -> None:
    site = Site(start=8, reveal=30, clock=clock)
    clock.now = EPOCH + 35
    assert site.stories("signal")[0].published == datetime.fromtimestamp(EPOCH + 30, UTC)


@pytest.mark.parametrize("key", HEALTHY_KEYS)
def test_the_backlog_lies_in_the_two_days_before_the_start_newest_first(key: str, clock: Clock) -> None:
    dates = [story.published.timestamp() for story in Site(start=8, clock=clock).stories(key)]
    assert dates == sorted(dates, reverse=True)
    assert EPOCH - 2 * 86400 <= dates[-1] < EPOCH - 86400
    assert dates[0] < EPOCH


def test_a_site_that_is_restarted_with_its_epoch_goes_on_with_the_same_dates(clock: Clock) -> None:
    clock.now = EPOCH + 100.7
    before, after = Site(epoch=EPOCH, clock=clock), Site(epoch=EPOCH, clock=clock)
    assert before.stories("upland") == after.stories("upland")
    assert len(after.stories("upland")) > 8


def test_addresses_do_not_depend_on_the_start(clock: Clock) -> None:
    early = Site(show_all=True, epoch=EPOCH - 1_000_000, clock=clock)
    late = Site(show_all=True, epoch=EPOCH, clock=clock)
    assert [story.url for story in early.stories("courier")] == [story.url for story in late.stories("courier")]


def test_a_story_that_is_not_out_is_not_found(server: SiteServer, clock: Clock) -> None:
    coming = load_stories("courier")[8]
    url = server.url("courier", coming.path)
    assert get(url).status == 404
    assert coming.slug not in get(server.url("courier")).text
    clock.now += 20
    assert get(url).status == 200
    assert coming.slug in get(server.url("courier")).text


@pytest.mark.parametrize(("name", "value"), [("start", -1), ("reveal", 0)])
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must .*got: {value}"):
        SiteServer(**{name: value})  # type: ignore[arg-type]


# Updates


@pytest.mark.parametrize("key", HEALTHY_KEYS)
def test_an_updated_story_changes_its_page_and_says_so_in_the_feed(key: str, server: SiteServer, clock: Clock) -> None:
    slug = server.stories(key)[3].slug
    page = server.url(key, f"/2026/11/{slug}")
    before = get(page)
    clock.now += 5
    updated = server.update_story(key, slug, "Nobody had expected this.")
    after = get(page, If_None_Match=before.headers["ETag"])
    assert after.status == 200
    assert "Nobody had expected this." in after.text
    assert updated.paragraphs[-1] == "Nobody had expected this."
    assert updated.updated == datetime.fromtimestamp(EPOCH + 5, UTC)
    feed = get(server.feed_url(key)).text
    assert feed.count(updated.updated.isoformat()) >= 1
    word = {"courier": "<atom:updated>", "upland": "<updated>", "signal": '"date_modified"'}[key]
    assert word in feed
    assert updated.published == next(story for story in server.stories(key) if story.slug == slug).published


def test_an_update_within_the_same_second_still_moves_last_modified(server: SiteServer) -> None:
    story = server.stories("upland")[0]
    first = server.update_story("upland", story.slug, "One more thing.")
    second = server.update_story("upland", story.slug, "And another.")
    assert story.updated < first.updated < second.updated


def test_updates_come_by_themselves_when_asked_for(clock: Clock) -> None:
    site = Site(update_after=60, clock=clock)
    story = next(story for story in site.stories("courier") if story.story.update)
    clock.now = EPOCH + 60
    later = site.find("courier", story.slug)
    assert later is not None
    assert later.paragraphs == (*story.paragraphs, story.story.update)
    assert later.updated == datetime.fromtimestamp(EPOCH + 60, UTC)


def test_a_story_that_is_not_out_cannot_be_updated(clock: Clock) -> None:
    with pytest.raises(LookupError, match="The Harbour Courier has no story 'nothing' out"):
        Site(clock=clock).update_story("courier", "nothing", "text")


def test_the_control_address_updates_a_story_too(server: SiteServer) -> None:
    slug = server.stories("signal")[0].slug
    url = f"{server.control_url}/update?outlet=signal&slug={slug}"
    assert get(url, "POST", b"Late news.").status == 200
    assert server.stories("signal")[0].paragraphs[-1] == "Late news."
    assert get(url.replace(slug, "nothing"), "POST", b"Late news.").status == 404
    assert get(url, "POST", b"").status == 400


# Pages


def shingles(text: str, size: int = 4) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


def f1(found: str, truth: str) -> float:
    one, other = shingles(found), shingles(truth)
    return 2 * len(one & other) / (len(one) + len(other))


def page(site: Site, outlet: Outlet, place: int) -> tuple[PublishedStory, str]:
    stories = site.stories(outlet)
    return stories[place], render_story(stories[place], site.base(outlet), stories[place + 1 :])


@pytest.mark.parametrize("place", range(20))
@pytest.mark.parametrize("outlet", HEALTHY, ids=HEALTHY_KEYS)
def test_the_true_text_can_be_extracted_from_each_page(outlet: Outlet, place: int) -> None:
    story, html = page(Site(show_all=True), outlet, place)
    found = trafilatura.extract(html, url=story.url, include_comments=False) or ""
    # trafilatura writes a mark before each item of a list; the words are what is compared.
    assert f1("\n".join(line.removeprefix("- ") for line in found.splitlines()), story.text) >= 0.95


@pytest.mark.parametrize("outlet", HEALTHY, ids=HEALTHY_KEYS)
def test_each_page_carries_noise_that_is_not_the_story(outlet: Outlet) -> None:
    story, html = page(Site(show_all=True), outlet, 2)
    assert len(html) > 2 * len(story.text)
    for noise in ("cookie", "newsletter", "related", "<ol><li>", "comments", "about#adverts"):
        assert noise in html.lower(), noise


@pytest.mark.parametrize("outlet", HEALTHY, ids=HEALTHY_KEYS)
def test_title_authors_date_and_canonical_address_can_be_read_from_each_page(outlet: Outlet) -> None:
    site = Site(show_all=True)
    for place in range(20):
        story, html = page(site, outlet, place)
        metadata = trafilatura.extract_metadata(html, default_url=f"{story.url}?utm_source=rss")
        assert metadata.title == story.title
        assert metadata.url == story.url
        assert metadata.author == "; ".join(story.authors)
        assert metadata.date == story.published.date().isoformat()


def test_structured_data_differs_between_the_outlets() -> None:
    site = Site(show_all=True)
    pages = {outlet.key: page(site, outlet, 0)[1] for outlet in HEALTHY}
    assert '"@type": "NewsArticle"' in pages["courier"] and "@graph" not in pages["courier"]
    assert "@graph" in pages["upland"]
    assert "ld+json" not in pages["signal"] and "article:published_time" in pages["signal"]


def test_every_link_of_every_page_leads_somewhere(clock: Clock) -> None:
    import lxml.html

    with SiteServer(show_all=True, clock=clock) as server:
        for outlet in HEALTHY:
            seen: set[str] = set()
            ahead = ["/"]
            while ahead:
                path = ahead.pop()
                answer = get(server.url(outlet.key, path))
                assert answer.status == 200, path
                seen.add(path)
                if not answer.headers["Content-Type"].startswith("text/html"):
                    continue
                tree = lxml.html.fromstring(answer.body)
                links = {urlsplit(str(link)).path for link in tree.xpath("//a/@href | //img/@src")}
                ahead += [link for link in links - seen if link not in ahead]
            assert {story.path for story in load_stories(outlet.key)} <= seen


# Feeds, sitemaps, robots.txt


@pytest.mark.parametrize("name", ["rss", "atom"])
def test_a_feed_gives_titles_authors_and_dates(name: str, server: SiteServer) -> None:
    feed = feedparser.parse(get(server.feed_url(name)).body)
    assert not feed.bozo
    stories = server.stories("courier" if name == "rss" else "upland")
    assert [entry.title for entry in feed.entries] == [story.title for story in stories]
    for entry, story in zip(feed.entries, stories, strict=True):
        assert entry.link.split("?")[0] == story.url
        assert [author["name"] for author in entry.authors] == list(story.authors)
        assert timegm(entry.published_parsed) == story.published.timestamp()
        assert entry.summary == story.summary


def test_the_json_feed_gives_titles_authors_and_dates(server: SiteServer) -> None:
    answer = get(server.feed_url("json"))
    assert answer.headers["Content-Type"] == "application/feed+json; charset=utf-8"
    for item, story in zip(json.loads(answer.body)["items"], server.stories("signal"), strict=True):
        assert (item["title"], item["url"], item["language"]) == (story.title, story.url, story.language)
        assert [author["name"] for author in item["authors"]] == list(story.authors)
        assert datetime.fromisoformat(item["date_published"]) == story.published


def test_links_of_one_feed_are_tracked_and_lead_to_a_page_whose_canonical_address_is_not(server: SiteServer) -> None:
    link = feedparser.parse(get(server.feed_url("rss")).body).entries[0].link
    assert "utm_source=rss" in link
    assert f'<link rel="canonical" href="{link.split("?")[0]}">' in get(link).text


def test_one_item_of_the_rss_feed_holds_the_whole_story(server: SiteServer) -> None:
    entries = feedparser.parse(get(server.feed_url("rss")).body).entries
    assert sum("content" in entry for entry in entries) == 1


@pytest.mark.parametrize("key", HEALTHY_KEYS)
def test_sitemaps_list_what_is_out_and_robots_txt_names_them(key: str, server: SiteServer) -> None:
    robots = Protego.parse(get(server.url(key, "/robots.txt")).text)
    sitemaps = list(robots.sitemaps)
    assert sitemaps == [server.url(key, "/sitemap.xml"), server.url(key, "/news-sitemap.xml")]
    for sitemap in sitemaps:
        text = get(sitemap).text
        assert all(f"<loc>{story.url}</loc>" in text for story in server.stories(key))


@pytest.mark.parametrize("key", HEALTHY_KEYS)
def test_robots_txt_allows_all_but_the_private_part_and_asks_for_a_delay(key: str, server: SiteServer) -> None:
    robots = Protego.parse(get(server.url(key, "/robots.txt")).text)
    assert robots.can_fetch(server.feed_url(key), "NEWSS")
    assert not robots.can_fetch(server.url(key, "/private/staff"), "NEWSS")
    assert robots.crawl_delay("NEWSS") == 2


def test_no_delay_is_asked_for_by_default(clock: Clock) -> None:
    with SiteServer(clock=clock) as server:
        assert "Crawl-delay" not in get(server.url("courier", "/robots.txt")).text


@pytest.mark.parametrize("key", HEALTHY_KEYS)
def test_the_home_page_names_the_feed(key: str, server: SiteServer) -> None:
    assert (
        f'<link rel="alternate" type="application/{{}}" title="{{}}" href="{OUTLETS[key].feed_path}">'.format(
            {"courier": "rss+xml", "upland": "atom+xml", "signal": "feed+json"}[key],
            OUTLETS[key].name.replace("&", "&amp;"),
        )
        in get(server.url(key)).text
    )


# HTTP


@pytest.fixture(params=["feed", "page", "home"])
def address(request: pytest.FixtureRequest, server: SiteServer) -> str:
    story = server.stories("courier")[0]
    return {"feed": server.feed_url("rss"), "page": story.url, "home": server.url("courier")}[request.param]


def test_what_is_unchanged_is_answered_with_304_and_no_body(address: str) -> None:
    first = get(address)
    for condition in (
        {"If_None_Match": first.headers["ETag"]},
        {"If_None_Match": first.headers["ETag"].removeprefix("W/")},
        {"If_None_Match": f'"other", {first.headers["ETag"]}'},
        {"If_None_Match": "*"},
        {"If_Modified_Since": first.headers["Last-Modified"]},
    ):
        answer = get(address, **condition)
        assert (answer.status, answer.body) == (304, b""), condition
        assert answer.headers["ETag"] == first.headers["ETag"]


def test_the_tag_wins_over_the_date(address: str) -> None:
    first = get(address)
    assert get(address, If_None_Match='"other"', If_Modified_Since=first.headers["Last-Modified"]).status == 200
    old = format_datetime(datetime(2000, 1, 1, tzinfo=UTC), usegmt=True)
    assert get(address, If_None_Match=first.headers["ETag"], If_Modified_Since=old).status == 304


def test_a_date_before_the_change_or_none_at_all_brings_the_whole(address: str) -> None:
    old = format_datetime(datetime(2000, 1, 1, tzinfo=UTC), usegmt=True)
    assert get(address, If_Modified_Since=old).status == 200
    assert get(address, If_Modified_Since="yesterday").status == 200


@pytest.mark.parametrize("key", HEALTHY_KEYS)
def test_a_new_story_changes_the_feed_but_no_other_page(key: str, server: SiteServer, clock: Clock) -> None:
    feed, story = get(server.feed_url(key)), server.stories(key)[0]
    tag = get(story.url).headers["ETag"]
    clock.now += 20
    assert get(server.feed_url(key), If_None_Match=feed.headers["ETag"]).status == 200
    assert get(server.feed_url(key), If_Modified_Since=feed.headers["Last-Modified"]).status == 200
    assert get(story.url, If_None_Match=tag).status == 304


def test_answers_are_packed_only_if_the_client_takes_that(address: str) -> None:
    plain_answer, packed = get(address), get(address, Accept_Encoding="br, gzip;q=0.8")
    assert "Content-Encoding" not in plain_answer.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain_answer.body


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("", False), ("gzip", True), ("GZIP;q=1", True), ("gzip;q=0", False), ("*", True), ("*, gzip;q=0", False)],
)
def test_accept_encoding_is_read_as_written(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


def test_head_has_the_headers_and_no_body(address: str) -> None:
    answer = get(address, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["ETag"] == get(address).headers["ETag"]


def test_other_methods_are_refused(server: SiteServer) -> None:
    assert get(server.url("courier"), "POST", b"x").status == 405


# The outlets that are not well


@pytest.mark.parametrize("path", ["/", "/feed.rss", "/2026/11/anything"])
def test_the_broken_outlet_answers_500_to_all_but_robots_txt(path: str, server: SiteServer) -> None:
    assert get(server.url("broken", path)).status == 500
    assert get(server.url("broken", "/robots.txt")).status == 404


def test_the_slow_outlet_keeps_one_waiting_and_then_answers_properly(server: SiteServer) -> None:
    began = time.monotonic()
    feed = feedparser.parse(get(server.feed_url("slow")).body)
    assert time.monotonic() - began >= 0.2
    assert len(feed.entries) == 4
    assert trafilatura.extract(get(feed.entries[0].link).text)


def test_the_private_outlet_forbids_everything_though_its_feed_is_there(server: SiteServer) -> None:
    robots = Protego.parse(get(server.url("ledger", "/robots.txt")).text)
    assert not robots.can_fetch(server.feed_url("ledger"), "NEWSS")
    assert server.requests("ledger") == ["/robots.txt"]
    assert len(feedparser.parse(get(server.feed_url("ledger")).body).entries) == 2


# The control address


def test_requests_are_recorded_by_address(server: SiteServer) -> None:
    tag = get(server.feed_url("rss"), User_Agent="NEWSS/1").headers["ETag"]
    get(server.feed_url("rss"), User_Agent="NEWSS/1", If_None_Match=tag)
    get(server.url("courier", "/nothing?x=1"), User_Agent="NEWSS/1")
    figures: dict[str, Any] = json.loads(get(f"{server.control_url}/stats").body)
    assert figures == server.stats()
    assert list(figures) == ["127.0.0.11"]
    requests = figures["127.0.0.11"]["requests"]
    assert [(r["path"], r["status"], r["conditional"]) for r in requests] == [
        ("/feed.rss", 200, False),
        ("/feed.rss", 304, True),
        ("/nothing?x=1", 404, False),
    ]
    assert {r["user_agent"] for r in requests} == {"NEWSS/1"}
    gaps = [later["time"] - earlier["time"] for earlier, later in pairwise(requests)]
    assert figures["127.0.0.11"]["smallest_gap"] == pytest.approx(min(gaps), abs=0.001)
    assert figures["127.0.0.11"]["most_at_once"] == 1


def test_requests_at_once_are_counted(clock: Clock) -> None:
    with SiteServer(clock=clock, slow=2) as server:
        threads = [threading.Thread(target=get, args=(server.feed_url("slow"),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.stats()["127.0.0.15"]["most_at_once"] == 3


def test_a_reset_forgets_the_requests(server: SiteServer) -> None:
    get(server.url("courier"))
    get(f"{server.control_url}/reset")
    assert server.stats() == {}


def test_the_control_address_lists_the_outlets(server: SiteServer) -> None:
    outlets = json.loads(get(f"{server.control_url}/outlets").body)
    assert [outlet["key"] for outlet in outlets] == list(OUTLETS)
    courier = outlets[0]
    assert (courier["feed"], courier["out"], courier["total"]) == (server.feed_url("courier"), 8, 20)


# The server and the command


def test_two_sites_can_serve_at_once(server: SiteServer) -> None:
    with SiteServer() as other:
        assert other.port != server.port
        assert get(other.url("upland")).status == get(server.url("upland")).status == 200


def test_a_feed_that_does_not_exist_is_refused_with_those_that_do(server: SiteServer) -> None:
    with pytest.raises(LookupError, match="known: courier, upland"):
        server.feed_url("gopher")


def test_the_site_knows_nothing_of_django() -> None:
    code = "import sys, tests.site.cli; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_although_a_slow_answer_is_under_way(number: signal.Signals) -> None:
    process = start_command("--port", "0", "--slow", "600")
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.split("127.0.0.10:")[1].split("/")[0])
    with socket.create_connection(("127.0.0.15", port)) as waiting:
        waiting.sendall(b"GET /feed.rss HTTP/1.1\r\nHost: slow\r\n\r\n")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_port_in_use_is_told_in_one_line() -> None:
    taken = bind(0, ["127.0.0.13"])
    port = taken[0].getsockname()[1]
    try:
        process = start_command("--port", str(port))
        out, errors = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        taken[0].close()
    assert process.returncode == 1
    assert out == ""
    assert errors == f"tests.site: port {port} is in use; end what uses it or choose another with --port\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [(["--port", "70000"], "port 70000 does not exist"), (["--port", "0", "--reveal", "0"], "reveal must be positive")],
)
def test_a_value_that_cannot_be_used_is_told_in_one_line(arguments: list[str], reason: str) -> None:
    process = start_command(*arguments)
    out, errors = process.communicate(timeout=LIMIT_SECONDS)
    assert (process.returncode, out, errors.count("\n")) == (1, "", 1)
    assert reason in errors


def start_command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.site", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
