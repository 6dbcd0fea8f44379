"""Who may import whom (DESIGN.md §3), held by import-linter's contracts in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.anydb


def test_the_import_directions_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_differs_between_databases_stands_in_a_few_named_files() -> None:
    allowed = {"changes.py", "leader.py", "store.py", "statements.py", "slots.py", "search.py", "settings.py"}
    allowed |= {"database.py"}
    found = {
        str(path.relative_to(ROOT))
        for app in ("newss_project", "scheduling", "scrapers")
        for path in (ROOT / app).rglob("*.py")
        if "connection.vendor" in path.read_text() and path.name not in allowed and "migrations" not in path.parts
    }
    assert not found


def test_time_zones_are_looked_for_on_the_disk_in_one_place() -> None:
    """Doing so opens six hundred files, and a form asks several times."""
    found = [
        str(path.relative_to(ROOT))
        for app in ("newss_project", "scheduling", "scrapers")
        for path in (ROOT / app).rglob("*.py")
        if "available_timezones" in path.read_text()
    ]
    assert found == ["scheduling/zones.py"]
