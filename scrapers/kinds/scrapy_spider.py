"""Existing Scrapy spiders: each poll runs one in a process of its own, held to our politeness and limits.

Whose import path may be named is decided by the setting `NEWSS_SPIDER_MODULES`, so that a form cannot run any code.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

from scrapers import conf
from scrapers.extract.names import clean_names
from scrapers.extract.times import parse_time
from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.kinds.base import Item, Kind, Listing
from scrapers.kinds.custom import BATCH
from scrapers.kinds.forms import OptionsForm
from scrapers.kinds.poll import Poll
from scrapers.kinds.reading import address, plain, scalar

CHILD = "scrapers.spider_child"
LINE_LIMIT = 16 * 2**20
"""Bytes of one item on its way from the spider."""
GRACE_SECONDS = 15.0
"""How long beyond its own limit a spider may take to end before it is killed."""
#: What a spider has no business with.
_HIDDEN = ("DATABASE_URL", "SECRET_KEY", "NEWSS_SECRETS_KEY")


def is_installed() -> bool:
    """Tell whether Scrapy is there."""
    return importlib.util.find_spec("scrapy") is not None


def validate_spider(path: str) -> None:
    """Accept the import path of a class in an allowed module; raises `ValidationError`."""
    module, _dot, name = path.rpartition(".")
    allowed = [prefix.strip() for prefix in settings.NEWSS_SPIDER_MODULES if prefix.strip()]
    if not (module and name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ValidationError(_t("Give the import path of the spider's class, e.g. myproject.spiders.Tides."))
    if not any(module == prefix or module.startswith(f"{prefix}.") for prefix in allowed):
        raise ValidationError(
            _t("“%(module)s” may not be run from here: NEWSS_SPIDER_MODULES allows %(allowed)s.")
            % {"module": module, "allowed": ", ".join(allowed) or _t("none")}
        )


class SpiderForm(OptionsForm):
    """Which spider, and how far it goes."""

    spider = forms.CharField(
        label=_("Spider"),
        max_length=300,
        validators=[validate_spider],
        help_text=_("Import path of its class. Only modules that NEWSS_SPIDER_MODULES names are run."),
    )
    arguments = forms.CharField(
        label=_("Arguments"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One a line, name=value, as scrapy crawl -a takes them."),
    )
    begin_here = forms.BooleanField(
        label=_("Begin at the address above"),
        required=False,
        help_text=_("Otherwise it begins where its own start_urls say."),
    )
    most = forms.IntegerField(label=_("Items at most"), initial=500, min_value=1, max_value=100_000)
    seconds = forms.IntegerField(label=_("Seconds at most"), initial=600, min_value=1, max_value=86_400)

    def clean_arguments(self) -> str:
        """Refuse lines without a name."""
        lines = [line.strip() for line in self.cleaned_data["arguments"].splitlines() if line.strip()]
        for line in lines:
            if not line.partition("=")[0].strip().isidentifier() or "=" not in line:
                raise ValidationError(_t("“%s” is not of the form name=value.") % line)
        return "\n".join(lines)

    def clean(self) -> dict[str, Any]:
        """Refuse all of it where Scrapy is missing."""
        if not is_installed():
            raise ValidationError(
                {"spider": _t("Scrapy is not installed here: pip install -r requirements-scrapy.txt")}
            )
        return super().clean() or {}


class SpiderKind(Kind):
    """A Scrapy spider that somebody has already."""

    name = "scrapy_spider"
    label = _("Scrapy spider")
    form = SpiderForm
    address_help = _("The site that the spider crawls; nothing else asks this host while it does.")

    async def poll(self, poll: Poll) -> AsyncIterator[Listing]:
        """Yield the spider's items in batches, in these steps.

        1. The spider must (still) be allowed, and Scrapy be there.
        2. The source's host must be willing by its robots.txt and cool-down; its slots are held until the spider ends.
        3. The spider runs in a process of its own; when the poll ends before it does, it is killed with all it started.
        """
        options = poll.options
        _check(options)
        async with poll.fetcher.hold(poll.url, poll.tally) as delay:
            batch: list[Item] = []
            async for item in _crawl(poll, options, delay):
                if len(batch) == BATCH:
                    yield Listing(items=tuple(batch), more=True)
                    batch = []
                batch.append(item)
        yield Listing(items=tuple(batch))


def _check(options: Mapping[str, Any]) -> None:
    try:
        validate_spider(options["spider"])
    except ValidationError as error:
        raise CollectError(FailureClass.SPIDER, " ".join(error.messages)) from error
    if not is_installed():
        raise CollectError(FailureClass.SPIDER, _t("Scrapy is not installed: pip install -r requirements-scrapy.txt"))


async def _crawl(poll: Poll, options: Mapping[str, Any], delay: float) -> AsyncIterator[Item]:
    """Run the spider in a process and yield what comes over the pipe; raises `CollectError` where it fails."""
    task = {
        "spider": options["spider"],
        "arguments": dict(line.split("=", 1) for line in options["arguments"].splitlines()),
        "start": poll.url if options["begin_here"] else "",
        "networks": list(settings.NEWSS_ALLOW_NETWORKS),
        "settings": forced_settings(options, delay),
    }
    reader, writer = os.pipe()
    environment = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        CHILD,
        str(writer),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(writer,),
        start_new_session=True,
        env=environment,
    )
    os.close(writer)
    assert process.stdin and process.stderr
    errors = asyncio.create_task(_tail(process.stderr))
    try:
        # What it is to do; the pipe stays open, since its end tells the child that nobody waits any more.
        process.stdin.write(json.dumps(task).encode() + b"\n")
        lines = await _reader_of(reader)
        until = time.monotonic() + float(options["seconds"]) + GRACE_SECONDS
        summary: dict[str, Any] = {}
        while line := await asyncio.wait_for(lines.readline(), max(0.1, until - time.monotonic())):
            message = json.loads(line)
            if "item" in message:
                if (item := _item(message["item"], poll.url)) is not None:
                    yield item
            else:
                summary = message
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
        poll.tally.requests += int(summary.get("requests", 0))
        poll.tally.bytes_received += int(summary.get("bytes", 0))
        if process.returncode != 0 or summary.get("failed"):
            raise CollectError(FailureClass.SPIDER, str(summary.get("failed") or await _last_words(errors)))
    except TimeoutError as error:
        raise CollectError(FailureClass.TIMEOUT, _t("The spider did not end in time and was killed.")) from error
    except (ValueError, ConnectionError) as error:
        raise CollectError(FailureClass.SPIDER, _t("The spider's answer cannot be read: %s") % error) from error
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        errors.cancel()


def forced_settings(options: Mapping[str, Any], delay: float) -> dict[str, Any]:
    """Return the settings of Scrapy that hold whatever the spider or its project says."""
    return {
        "ROBOTSTXT_OBEY": True,
        "AUTOTHROTTLE_ENABLED": True,
        "AUTOTHROTTLE_TARGET_CONCURRENCY": 1.0,
        "AUTOTHROTTLE_START_DELAY": delay,
        "DOWNLOAD_DELAY": delay,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "USER_AGENT": conf.user_agent(),
        "DOWNLOAD_MAXSIZE": conf.max_bytes(),
        "DOWNLOAD_TIMEOUT": conf.total_seconds(),
        "CLOSESPIDER_ITEMCOUNT": options["most"],
        "CLOSESPIDER_TIMEOUT": options["seconds"],
        "TELNETCONSOLE_ENABLED": False,
        "LOG_LEVEL": "WARNING",
        "DOWNLOAD_SLOTS": {},
        "FEEDS": {},
    }


def _item(found: Mapping[str, Any], base: str) -> Item | None:
    """Return an item from the fields that spiders usually have, under their usual names."""

    def value(*names: str) -> Any:
        return next((found[name] for name in names if found.get(name)), "")

    def text(*names: str) -> str:
        return scalar(value(*names))

    url = address(text("url", "link", "address"), base) or (base if text("url") == base else "")
    if not url:
        return None
    names = value("authors", "author")
    published, zoned = parse_time(text("published", "published_at", "date", "datetime", "pubdate"))
    body = value("text", "body")
    return Item(
        guid=text("guid", "id")[:2000] or url,
        url=url,
        title=plain(text("title", "headline")),
        summary=plain(text("summary", "description")),
        content=text("content", "html"),
        text="\n".join(map(str, body)) if isinstance(body, list) else str(body),
        published=published,
        zone_known=zoned,
        authors=clean_names(str(name) for name in (names if isinstance(names, list) else [names])),
        language=text("language")[:20],
        image=address(text("image", "image_url"), base),
    )


async def _reader_of(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    return reader


async def _tail(stream: asyncio.StreamReader) -> str:
    """Return the last bytes that a process writes, as text."""
    kept = b""
    while piece := await stream.read(65_536):
        kept = (kept + piece)[-4000:]
    return kept.decode("utf-8", "replace")


async def _last_words(errors: asyncio.Task[str]) -> str:
    lines = [line for line in (await errors).splitlines() if line.strip()]
    return _t("The spider failed: %s") % (lines[-1][:500] if lines else _t("it said nothing."))
