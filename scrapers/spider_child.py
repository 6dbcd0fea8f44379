"""The process in which a Scrapy spider runs (`python -m scrapers.spider_child FD`).

See `kinds/scrapy_spider.py`, which starts it. The task comes as a line of JSON on standard input; items and at last a
summary go as lines of JSON to the descriptor. Here is no database and no Django project (so this stands outside of
`kinds`, which wants both); every connection is checked by `fetch/safety.py` on the address it is made to.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> int:
    """Run the spider; 0 if it ended by itself."""
    output = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", errors="replace")
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, name="lifeline", daemon=True).start()
    _guard_connections(task["networks"])
    sys.path.insert(0, str(Path.cwd()))
    try:
        summary = _crawl(task, output)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        summary = {"failed": f"{type(error).__name__}: {error}"[:500]}
    _write(output, summary)
    output.close()
    return 1 if summary.get("failed") else 0


def _crawl(task: dict[str, Any], output: Any) -> dict[str, Any]:
    from itemadapter import ItemAdapter
    from scrapy import Spider, signals
    from scrapy.crawler import CrawlerProcess
    from scrapy.utils.project import get_project_settings

    module, _dot, name = task["spider"].rpartition(".")
    spider = getattr(import_module(module), name, None)
    if not (isinstance(spider, type) and issubclass(spider, Spider)):
        return {"failed": f"{task['spider']} is no Scrapy spider"}
    settings = get_project_settings()
    process = CrawlerProcess(settings, install_root_handler=True)
    crawler = process.create_crawler(spider)
    # After the spider's own settings, which come with "spider" priority; nothing is above this one.
    crawler.settings.setdict(task["settings"], priority=10_000)
    crawler.signals.connect(
        lambda item, **_rest: _write(output, {"item": ItemAdapter(item).asdict()}), signals.item_scraped, weak=False
    )
    # A delay of the spider's own would come before the setting.
    delay = float(task["settings"]["DOWNLOAD_DELAY"])
    crawler.signals.connect(lambda spider: setattr(spider, "download_delay", delay), signals.spider_opened, weak=False)
    arguments = dict(task["arguments"])
    if task["start"]:
        arguments["start_urls"] = [task["start"]]
    process.crawl(crawler, **arguments)
    process.start()
    stats = crawler.stats.get_stats() if crawler.stats else {}
    summary = {
        "requests": stats.get("downloader/request_count", 0),
        "bytes": stats.get("downloader/response_bytes", 0),
    }
    if process.bootstrap_failed:
        return {**summary, "failed": "The spider could not be started."}
    if stats.get("item_scraped_count", 0) == 0:
        problems = [key for key in stats if key.startswith(("spider_exceptions/", "downloader/exception_type_count/"))]
        if problems:
            return {**summary, "failed": f"No item, but {problems[0].rpartition('/')[2]}."}
    return summary


def _write(output: Any, message: dict[str, Any]) -> None:
    output.write(json.dumps(message, default=str) + "\n")
    output.flush()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however it went."""
    # Not by sys.stdin, whose lock the interpreter wants when it ends.
    while os.read(0, 1024):
        pass
    os._exit(3)


def _guard_connections(networks: list[str]) -> None:
    """Let no socket connect to an address that must not be asked."""
    from django.conf import settings

    settings.configure(NEWSS_ALLOW_NETWORKS=networks, USE_I18N=False)
    from scrapers.fetch.safety import is_allowed

    plain_connect, plain_connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refused(own: socket.socket, address: Any) -> bool:
        return own.family in (socket.AF_INET, socket.AF_INET6) and not is_allowed(str(address[0]))

    def connect(self: socket.socket, address: Any) -> None:
        if refused(self, address):
            raise OSError(errno.EACCES, "not a public address")
        plain_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        return errno.EACCES if refused(self, address) else plain_connect_ex(self, address)

    socket.socket.connect = connect  # type: ignore[method-assign,assignment]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    sys.exit(main())
