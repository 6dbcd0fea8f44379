"""`make bench-collecting`: NEWSS and its peers collect from one local site, on one PostgreSQL, as one table.

    python -m benchmarks.collecting [--quick] [--systems NAME…] [--measures NAME…] [--rounds N]

The peers run in environments of their own below `.venv-bench/`, made from benchmarks/requirements-NAME.txt; one that
cannot be installed is left out, and that is said. The figures also go to `benchmarks/out/collecting.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import create_database, machine

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "benchmarks" / "out" / "collecting.json"
PEERS = ("scrapy", "newspaper4k", "newsplease", "fundus")
SLOW = ("newspaper4k", "newsplease", "fundus")
"""Peers that are given each page once, since a rate is all that is asked."""
MEASURES = ("collect", "poll", "quality")
LIMIT_SECONDS = 1800
STARTS = (
    "Counted are the starts of a run's own processes (NEWSS: one, and those that extract), not what is imported before"
    " by a scheduler that has been up, or by a peer's interpreter.\n"
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collecting")
    parser.add_argument("--quick", action="store_true", help="few pages and sources, one round")
    parser.add_argument("--systems", nargs="+", choices=["newss", "newss_sqlite", *PEERS])
    parser.add_argument("--measures", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--rounds", type=int, default=0, help="of NEWSS and Scrapy, by turns (default: 2; quick: 1)")
    parser.add_argument("--copies", type=int, default=0, help="of each page (default: 12; quick: 2)")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from tests.postgres import server

    options.rounds = options.rounds or (1 if options.quick else 2)
    options.copies = options.copies or (2 if options.quick else 12)
    options.systems = options.systems or ["newss", "scrapy", "newss_sqlite", *SLOW]
    figures: dict[str, Any] = {"machine": machine(), "quick": options.quick}
    with server() as url, tempfile.TemporaryDirectory(prefix="newss-bench-") as folder:
        bench = Bench(url, Path(folder))
        if "collect" in options.measures:
            figures |= collecting(bench, options)
            write(figures)
        if "poll" in options.measures:
            figures |= polling(bench, options)
            write(figures)
    if "quality" in options.measures:
        figures |= reading(1 if options.quick else 2)
    # On a busy machine rates say little; processor time says more.
    figures["load"] = [round(load, 1) for load in os.getloadavg()]
    print_table(figures)
    write(figures)
    print(f"\nThe figures are in {OUT.relative_to(ROOT)}.")
    return 0


class Bench:
    """The database server and the folder that all systems work with; each run gets an empty database."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder
        self._number = 0

    @contextlib.contextmanager
    def site(self, **options: int) -> Iterator[Path]:
        """Yield the file that tells of a local site, which serves meanwhile."""
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.collecting.world", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            self._number += 1
            path = self._folder / f"site-{self._number}.json"
            path.write_text(json.dumps(told | {"feeds": options.get("feeds", 0)}))
            yield path
        finally:
            process.terminate()
            process.wait()

    def run(self, system: str, measure: str, site: Path) -> dict[str, Any]:
        """Return the figures of a system, measured in a process of its own; none, and a word, where it fails."""
        from benchmarks.collecting.usage import Clock, tree_cpu

        newss = system.startswith("newss") and system != "newsplease"
        if newss:
            python, command = sys.executable, ["benchmarks.collecting.newss", self._database(system), measure]
        else:
            home = ROOT / ".venv-bench" / system
            if not (home / "installed").exists():
                print(f"{system}: left out, since it is not installed here", flush=True)
                return {}
            python, command = str(home / "bin" / "python"), [f"benchmarks.collecting.peers.{system}"]
            command.append(self._database(system))
        postgres, clock = self._postgres(), Clock()
        before = tree_cpu(postgres)
        done: subprocess.CompletedProcess[str] | None = None
        try:
            done = subprocess.run(
                [python, "-W", "ignore", "-m", *command, str(site)],
                cwd=ROOT,
                # The peers are installed with their bytecode, so ours may be kept too.
                env={key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
                | {"PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                # Ours tells how far it is.
                stderr=None if newss else subprocess.PIPE,
                text=True,
                check=False,
                timeout=LIMIT_SECONDS,
            )
            found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError, subprocess.TimeoutExpired):
            why = (done.stderr or "see above") if done else "not done in time"
            print(f"{system}: {measure} failed: {why[-800:]}", flush=True)
            return {}
        # Ours says it for each poll, without what its migrations took.
        found.setdefault("database_cpu_s", round(tree_cpu(postgres) - before, 2))
        shown = {key: value for key, value in found.items() if key != "texts"}
        found["truth"] = json.loads(site.read_text())["truth"]
        print(f"{system}: {measure} after {clock.seconds():.0f} s: {shown}", flush=True)
        return found

    def _database(self, system: str) -> str:
        """Return the address of an empty database."""
        self._number += 1
        if system == "newss_sqlite":
            return f"sqlite:///{self._folder / f'{system}-{self._number}.sqlite3'}"
        url = create_database(self._url, f"bench_{system}_{self._number}")
        return url.replace("postgresql://", "postgres://", 1) if system == "newss" else url

    def _postgres(self) -> int:
        """Return the process of the server."""
        import psutil
        import psycopg2

        own = psycopg2.connect(self._url.replace("/newss?", "/postgres?"))
        pid = own.get_backend_pid()
        parent = psutil.Process(pid).parent()
        own.close()
        assert parent is not None
        return int(parent.pid)


def collecting(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Pages a second from the request of a run to the last stored article, by system."""
    hosts = 20 if options.quick else 100
    found: dict[str, list[dict[str, Any]]] = {}
    with bench.site(hosts=hosts, copies=options.copies) as site:
        rates = [system for system in options.systems if system not in SLOW]
        for _round in range(options.rounds):
            for system in rates:
                found.setdefault(system, []).append(bench.run(system, "collect", site))
    slow = [system for system in options.systems if system in SLOW]
    if slow:
        with bench.site(hosts=hosts, copies=1) as site:
            for system in slow:
                found[system] = [bench.run(system, "collect", site)]
    figures: dict[str, Any] = {}
    for system, runs in found.items():
        figures |= figures_of(system, [run for run in runs if run.get("pages")])
    if "newss_pages_per_s" in figures and "scrapy_pages_per_s" in figures:
        figures["ratio_to_scrapy"] = round(figures["newss_pages_per_s"] / figures["scrapy_pages_per_s"], 2)
        if "newss_warm_pages_per_s" in figures and "scrapy_warm_pages_per_s" in figures:
            warm = figures["newss_warm_pages_per_s"] / figures["scrapy_warm_pages_per_s"]
            figures["warm_ratio_to_scrapy"] = round(warm, 2)
        figures["processor_time_ratio_to_scrapy"] = round(by_processor_time(figures), 2)
    return figures


def by_processor_time(figures: dict[str, Any]) -> float:
    """Return the ratio to Scrapy that processor time allows on an idle machine, which a busy one does not show.

    NEWSS shares its work and the database's among all cores; Scrapy is one process, and whatever it leaves to others
    is not counted for it.
    """
    ours = figures["newss_cpu_ms_per_page"] + figures["newss_database_ms_per_page"]
    return float((os.cpu_count() or 1) * figures["scrapy_cpu_ms_per_page"] / ours)


def figures_of(system: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a system's figures: the median of its runs, each for a page where it grows with their number."""
    from benchmarks.collecting.quality import Case, f1

    if not runs:
        return {}
    last = runs[-1]
    figures = {
        f"{system}_pages_per_s": round(statistics.median(run["pages"] / run["seconds"] for run in runs), 1),
        f"{system}_cpu_ms_per_page": round(statistics.median(1e3 * run["cpu_s"] / run["pages"] for run in runs), 1),
        f"{system}_database_ms_per_page": round(
            statistics.median(1e3 * run["database_cpu_s"] / run["pages"] for run in runs), 1
        ),
        f"{system}_server_cpu_s": last["server_cpu_s"],
        f"{system}_pages": last["pages"],
        f"{system}_seconds": last["seconds"],
        f"{system}_cpu_s": last["cpu_s"],
        f"{system}_rss_mb": last["rss_mb"],
    }
    warm = [(run["pages"], run["seconds"] - run["first_article_s"]) for run in runs if run.get("first_article_s")]
    if warm:
        figures[f"{system}_first_article_s"] = round(statistics.median(run["first_article_s"] for run in runs), 1)
        figures[f"{system}_warm_pages_per_s"] = round(statistics.median(pages / left for pages, left in warm), 1)
    if "pss_mb" in last:
        figures[f"{system}_pss_mb"] = last["pss_mb"]
    if last["truth"] and system != "fundus":
        cases = [Case(url, url, b"", "", [text]) for url, text in last["truth"].items()]
        score = f1(cases, [last["texts"].get(case.url, "") for case in cases])
        figures[f"{system}_stored_text_f1"] = round(score["f1"], 3)
    if second := last.get("second"):
        figures[f"{system}_second_poll_bytes"] = second["bytes"]
        figures[f"{system}_second_poll_requests"] = second["requests"]
        figures[f"{system}_second_poll_not_304"] = second["requests"] - second["unchanged"]
    return figures


def polling(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds for a run that polls thousands of sources in which nothing has changed."""
    hosts, feeds = (50, 10) if options.quick else (500, 20)
    systems = [system for system in options.systems if system in ("newss", "newss_sqlite")]
    figures: dict[str, Any] = {}
    with bench.site(hosts=hosts, copies=0, feeds=feeds) as site:
        for system in systems:
            found = bench.run(system, "many", site)
            if not found:
                continue
            name = f"poll_{hosts * feeds}_sources" + system.removeprefix("newss")
            first, second = found["first"], found["second"]
            figures |= {
                f"{name}_s": second["seconds"],
                f"{name}_not_modified": second["not_modified"],
                f"{name}_cpu_s": second["cpu_s"],
                f"{name}_database_cpu_s": second["database_cpu_s"],
                f"{name}_rss_mb": second["rss_mb"],
                f"{name}_bytes": second["bytes"],
                f"{name}_first_s": first["seconds"],
                f"{name}_first_cpu_s": first["cpu_s"],
                f"{name}_first_database_cpu_s": first["database_cpu_s"],
            }
    return figures


def reading(rounds: int) -> dict[str, Any]:
    """How right texts and metadata are, beside trafilatura."""
    from benchmarks.collecting import quality

    figures: dict[str, Any] = {}
    for name, cases in (("pages", quality.pages()), ("world", quality.world())):
        if not cases:
            print(f"quality: {name}: not here")
            continue
        found = quality.measure("news world" if name == "world" else name, cases, rounds)
        prefix = "" if name == "pages" else "world_"
        ours, theirs = found["NEWSS"], found["trafilatura"]
        figures |= {
            f"{prefix}text_f1": round(ours["f1"], 4),
            f"{prefix}text_precision": round(ours["precision"], 4),
            f"{prefix}text_recall": round(ours["recall"], 4),
            f"{prefix}trafilatura_text_f1": round(theirs["f1"], 4),
            f"{prefix}ms_per_page": round(ours["ms"], 1),
            f"{prefix}times_trafilatura": round(theirs["ratio"], 2),
            f"{prefix}times_trafilatura_text_alone": round(found["trafilatura, text alone"]["ratio"], 2),
            f"{prefix}worst_page_s": round(ours["worst"], 2),
        }
        if "score" in ours:
            figures["world_score"] = ours["score"]
    return figures


def print_table(figures: dict[str, Any]) -> None:
    """Print the figures of all systems side by side, then the others, a line each."""
    systems = [system for system in ("newss", "newss_sqlite", *PEERS) if f"{system}_pages_per_s" in figures]
    names = ("pages_per_s", "first_article_s", "warm_pages_per_s", "cpu_ms_per_page", "database_ms_per_page", "rss_mb",
             "pss_mb", "stored_text_f1", "second_poll_bytes", "second_poll_not_304", "pages")  # fmt: skip
    load = " ".join(map(str, figures["load"]))
    print(f"\n{figures['machine']}, load {load}\n")
    if systems:
        print("| | " + " | ".join(systems) + " |")
        print("|---" * (len(systems) + 1) + "|")
    used = set()
    for name in names if systems else ():
        keys = [f"{system}_{name}" for system in systems]
        used |= {*keys, *(f"{system}_{other}" for system in systems for other in ("seconds", "cpu_s", "server_cpu_s"))}
        print(f"| {name} | " + " | ".join(_cell(figures.get(key)) for key in keys) + " |")
    print()
    if systems:
        print(STARTS)
    for key, value in figures.items():
        if key not in used and key not in ("machine", "load", "quick"):
            print(f"{key}: {_cell(value)}")


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:,}" if isinstance(value, int | float) else str(value)


def write(figures: dict[str, Any]) -> None:
    """Keep the figures that there are; called after each measure, since the next one may take long or fail."""
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
