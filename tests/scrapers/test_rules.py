"""Rules that hold for the code of collecting as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import scrapers

pytestmark = pytest.mark.anydb

PACKAGE = Path(scrapers.__file__).parent


def test_only_slots_search_and_the_database_thread_know_that_the_databases_differ() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "migrations" not in path.parts and "connection.vendor" in path.read_text()
    }
    assert found <= {"database.py", "fetch/slots.py", "search.py"}


def test_extraction_needs_no_django() -> None:
    code = "import sys, scrapers.extract.page; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, check=False).returncode == 0
