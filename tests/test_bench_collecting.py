"""`make bench-collecting`: its short form runs, and its figures are those of a collected site."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.collecting.world import source_pages, varied, varied_text

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.anydb
def test_a_varied_page_keeps_its_form_and_tells_another_story() -> None:
    page = source_pages()[0]
    other = varied(page.html, 3)
    assert varied(page.html, 0) == page.html
    assert len(other) == len(page.html) and other.count("<") == page.html.count("<")
    assert varied_text(page.text, 3) != page.text and len(varied_text(page.text, 3).split()) == len(page.text.split())


@pytest.mark.long
@pytest.mark.anydb
def test_the_short_form_collects_every_page_and_polls_with_304s() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "DJANGO"))}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.collecting", "--quick", "--systems", "newss",
               "--measures", "collect", "poll", "--copies", "1"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((ROOT / "benchmarks" / "out" / "collecting.json").read_text())
    assert figures["newss_pages"] >= 0.9 * len(source_pages())
    assert figures["newss_second_poll_not_304"] == 0
    assert figures["poll_500_sources_not_modified"] == 500
