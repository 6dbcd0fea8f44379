"""The short form of `make chaos`: a few kills, a stopped leader and a restart of PostgreSQL amid edits."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAST = re.compile(r"(\d+) kills, (\d+) database restarts, (\d+) edits, (\d+) due times: (\d+) lost, (\d+) doubled")


def test_nothing_is_lost_or_doubled_whatever_dies(on_postgresql: bool) -> None:
    database = "postgresql" if on_postgresql else "sqlite"
    options = ["--kills=2", "--restarts=1", "--stops=1", "--schedules=100", "--deadline=600", "--forked"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.driver", f"--database={database}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=660,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = LAST.fullmatch(done.stdout.strip().splitlines()[-1])
    assert last is not None, done.stdout
    kills, restarts, edits, due_times, lost, doubled = map(int, last.groups())
    assert (kills, restarts, lost, doubled) == (2, int(on_postgresql), 0, 0)
    assert edits > 100
    assert due_times > 100
