"""`make bench-scheduling`: NEWSS and its peers side by side, on one PostgreSQL and on SQLite, as one table.

    python -m benchmarks.scheduling [--quick] [--systems NAME…] [--measures NAME…] --peers PYTHON

The peers run in the environment of benchmarks/requirements.txt, whose interpreter is given by `--peers`; what is not
installed there is left out, and said so. The figures also go to `benchmarks/out/scheduling.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import create_database, drop_database, machine

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "benchmarks" / "out" / "scheduling.json"
PEER, NEWSS, CELERY = (f"benchmarks.scheduling.{name}" for name in ("apscheduler_peer", "newss", "celery_peer"))
SYSTEMS = {
    "newss_postgresql": (NEWSS, "newss", "postgresql"),
    "newss_sqlite": (NEWSS, "newss", "sqlite"),
    "raw_postgresql": (PEER, "django", "postgresql"),
    "raw_sqlite": (PEER, "django", "sqlite"),
    "sqlalchemy_postgresql": (PEER, "sqlalchemy", "postgresql"),
    "sqlalchemy_sqlite": (PEER, "sqlalchemy", "sqlite"),
    "memory": (PEER, "memory", "sqlite"),
    "memory_patient": (PEER, "memory_patient", "sqlite"),
    "celery_postgresql": (CELERY, "celery", "postgresql"),
}
BURSTS = (1, 100, 1_000, 10_000)
LEVELS = {
    "newss": (1_000, 2_000, 5_000, 10_000, 15_000),
    "memory": (1_000, 2_000, 3_000, 5_000),
    "memory_patient": (1_000, 2_000, 3_000, 5_000),
    "django": (50, 100, 200, 300, 500),
    "sqlalchemy": (50, 100, 200, 300, 500),
    "celery": (50, 100, 200, 300),
}
"""Fires a second that are tried, from the lowest, until one is not held."""
MEASURES = ("burst", "sustained", "edits", "overdue", "start", "statements")
LIMIT_SECONDS = 420


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduling")
    parser.add_argument("--peers", default="", help="the Python that has the peers")
    parser.add_argument("--quick", action="store_true", help="bursts up to 1,000, few edits, 1,000 schedules to start")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.postgres import server

    figures: dict[str, dict[str, Any]] = {}
    with server(fsync=True) as url, tempfile.TemporaryDirectory(prefix="newss-bench-") as folder:
        for name in options.systems:
            module, _store, _kind = SYSTEMS[name]
            if module != NEWSS and not options.peers:
                print(f"{name}: left out, since no Python with the peers was given (--peers)")
                continue
            figures[name] = System(name, url, Path(folder), options).measure()
    print_table(figures)
    write(figures, quick=options.quick)
    return 0


class System:
    """One system under measurement: each measure is a process of its own on an empty database of its own."""

    def __init__(self, name: str, url: str, folder: Path, options: argparse.Namespace) -> None:
        self._name, self._url, self._folder, self._options = name, url, folder, options
        self._module, self._store, self._kind = SYSTEMS[name]
        self._python = sys.executable if self._module == NEWSS else options.peers
        self._number = 0

    def measure(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        many = 1_000 if self._options.quick else 10_000
        wanted = self._options.measures
        if "burst" in wanted:
            for count in BURSTS:
                if count <= many:
                    burst = self._run("burst", count)
                    found[f"burst_{count}_lag_p50_s"] = burst.get("p50")
                    found[f"burst_{count}_lag_p95_s"] = burst.get("p95")
                    found[f"burst_{count}_lag_p99_s"] = burst.get("p99")
                    found[f"burst_{count}_lag_max_s"] = burst.get("max")
                    found[f"burst_{count}_lost"] = burst.get("lost")
                    found[f"burst_{count}_expected"] = burst.get("expected")
        if "sustained" in wanted:
            found["sustained_fires_per_s"] = self._sustained()
        if "edits" in wanted and self._store in ("newss", "django", "celery"):
            edits = self._run(
                "edits", {"newss": 100, "django": 5, "celery": 10}[self._store] // (2 if many < 10_000 else 1)
            )
            found |= {"edit_to_effect_p50_s": edits.get("p50"), "edit_to_effect_p95_s": edits.get("p95")}
        if "overdue" in wanted:
            overdue = self._run("overdue", many)
            found |= {f"overdue_{many}_last_fire_s": overdue.get("seconds"), "overdue_lost": overdue.get("lost")}
        if "start" in wanted:
            start = self._run("start", many)
            found |= {"start_s": start.get("seconds"), "rss_mb": start.get("rss_mb")}
        if "statements" in wanted and self._store in ("newss", "django"):
            found["sql_per_burst"] = self._run("statements", 1_000).get("statements")
        return found

    def _sustained(self) -> int:
        best = 0
        for level in LEVELS[self._store][: 2 if self._options.quick else None]:
            if not self._run("sustained", level).get("held"):
                break
            best = level
        return best

    def _run(self, measure: str, number: int) -> dict[str, Any]:
        """Measure in a process of its own; a peer that fails or does not end in time has no figures, and it is said."""
        done: subprocess.CompletedProcess[str] | None = None
        try:
            with self._database() as url:
                done = subprocess.run(
                    [self._python, "-W", "ignore", "-m", self._module, self._store, url, measure, str(number)],
                    cwd=ROOT,
                    env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=LIMIT_SECONDS,
                )
            found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        except subprocess.TimeoutExpired:
            print(f"{self._name}: {measure} {number}: not done within {LIMIT_SECONDS} s", flush=True)
            return {}
        except (IndexError, ValueError):
            print(f"{self._name}: {measure} {number} failed: {(done.stderr if done else '')[-500:]}", flush=True)
            return {}
        print(f"{self._name}: {measure} {number}: {found}", flush=True)
        return found

    @contextlib.contextmanager
    def _database(self) -> Iterator[str]:
        """Yield the address of an empty database, which is gone afterwards."""
        self._number += 1
        if self._kind == "sqlite":
            yield f"sqlite:///{self._folder / f'{self._name}-{self._number}.sqlite3'}"
            return
        name = f"bench_{self._name}_{self._number}"
        url = create_database(self._url, name)
        try:
            yield url.replace("postgresql://", "postgres://", 1)
        finally:
            drop_database(self._url, name)


def print_table(figures: dict[str, dict[str, Any]]) -> None:
    keys = list(dict.fromkeys(key for found in figures.values() for key in found if not key.endswith("_expected")))
    print(f"\n{machine()}\n")
    print("| | " + " | ".join(figures) + " |")
    print("|---" * (len(figures) + 1) + "|")
    for key in keys:
        cells = []
        for found in figures.values():
            value = found.get(key)
            expected = found.get(key.replace("_lost", "_expected"))
            cells.append(
                "–"
                if value is None
                else f"{value:,}" + (f" of {expected:,}" if key.endswith("_lost") and expected else "")
            )
        print(f"| {key} | " + " | ".join(cells) + " |")


def write(figures: dict[str, dict[str, Any]], *, quick: bool) -> None:
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"machine": machine(), "quick": quick, **figures}, indent=2) + "\n")
    print(f"\nThe figures are in {OUT.relative_to(ROOT)}.")


if __name__ == "__main__":
    sys.exit(main())
