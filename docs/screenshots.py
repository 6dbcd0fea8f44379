"""`make screenshots`: take the README's pictures from a demo that is started for it, and put them into docs/images.

The demo gets a folder and ports of its own, so a demo that is running is left alone.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
WARM_UP_SECONDS = 150
"""So long the demo runs before its picture is taken: a few schedules have fired by then."""
START_SECONDS = 180
PAGES = {
    "dashboard": "/admin/",
    "schedules": "/admin/scheduling/schedule/",
    "articles": "/admin/scrapers/article/",
}
"""The pictures by name, and the page of each."""


def main() -> int:
    """Start a demo, take the pictures, stop it; return the exit code."""
    with tempfile.TemporaryDirectory(prefix="newss-screenshots-") as folder:
        port = free_port("127.0.0.1")
        environment = {
            **os.environ,
            "PORT": str(port),
            "SITE_PORT": str(free_port("127.0.0.11")),
            "NEWSS_DEMO_FOLDER": folder,
        }
        command = [sys.executable, "-m", "newss_project.demo"]
        demo = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert demo.stdout
            password = wait_for(demo.stdout, r"Log in: admin / (\S+)")
            wait_for(demo.stdout, "(first article stored)")
            time.sleep(WARM_UP_SECONDS)
            take(f"http://127.0.0.1:{port}", password)
        finally:
            demo.send_signal(signal.SIGTERM)
            demo.communicate(timeout=60)
    return 0


def free_port(host: str) -> int:
    """Return a port of a host that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def wait_for(output: IO[str], pattern: str) -> str:
    """Return the first group of a pattern in the demo's output; raises `TimeoutError` when it does not come."""
    end = time.monotonic() + START_SECONDS
    for line in output:
        if found := re.search(pattern, line):
            return found.group(1)
        if time.monotonic() > end:
            break
    raise TimeoutError(f"the demo did not print {pattern!r}")


def take(url: str, password: str) -> None:
    """Log in and write one picture for each page."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{url}/admin/login/?next=/admin/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", password)
        page.press("input[name=password]", "Enter")
        page.wait_for_url(f"{url}/admin/")
        for name, path in PAGES.items():
            page.goto(f"{url}{path}")
            page.wait_for_load_state("load")
            page.evaluate("document.fonts.ready")
            picture = IMAGES / f"{name}.png"
            page.screenshot(path=picture)
            print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} kB")
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
