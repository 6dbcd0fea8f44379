"""How right the text and the metadata of article pages are, against trafilatura in the same run.

usage: python -m benchmarks.collecting.quality [--rounds N]

Prints one table for the pages of `shared/data/pages` and one for the news world's pages (from pages alone: the address
and the HTML; the last line is that of its own `score.py`), with processor time a page, ours and trafilatura's by turns.
Also written to `benchmarks/out/quality.json`. What is not there is left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import trafilatura

from scrapers.extract.encoding import decode
from scrapers.extract.page import read_page
from tests.shared import shared

OUT = Path(__file__).resolve().parents[1] / "out" / "quality.json"


@dataclass
class Case:
    """A page with its right text."""

    id: str
    url: str
    body: bytes
    content_type: str
    texts: list[str]


def pages() -> list[Case]:
    """Return the pages of the article extraction benchmark."""
    folder = shared("data") / "pages"
    if not folder.is_dir():
        return []
    truth = json.loads((folder / "ground-truth.json").read_text())
    return [
        Case(name, entry["url"], unzip(folder, name), "text/html; charset=utf-8", [entry["articleBody"]])
        for name, entry in truth.items()
    ]


def world() -> list[Case]:
    """Return the pages of the news world, at the addresses at which it serves them."""
    folder = shared("newsworld") / "data"
    if not folder.is_dir():
        return []
    return [
        Case(
            entry["id"],
            urlunsplit(urlsplit(entry["url"])._replace(scheme="http", netloc="127.0.1.1:8600")),
            unzip(folder / "pages", entry["id"]),
            "text/html",
            [entry["text"], "\n".join([*entry["summary"], entry["text"]])],
        )
        for entry in json.loads((folder / "articles.json").read_text())
    ]


def unzip(folder: Path, name: str) -> bytes:
    """Return a page's bytes."""
    return gzip.decompress((folder / f"{name}.html.gz").read_bytes())


def shingles(text: str) -> Counter[tuple[str, ...]]:
    """Return the multiset of a text's runs of four words (`shared/data/README.md`)."""
    tokens = re.findall(r"\w+", text)
    return Counter(tuple(tokens[i : i + 4]) for i in range(max(1, len(tokens) - 3)) if tokens)


def overlap(truth: str, found: str) -> tuple[float, float]:
    """Return precision and recall of one text."""
    right, mine = shingles(truth), shingles(found)
    same = (right & mine).total()
    return same / max(1, mine.total()), same / max(1, right.total())


def f1(cases: list[Case], found: list[str]) -> dict[str, float]:
    """Return precision, recall and F1 over pages; an empty text does not count for the precision."""
    pairs = [
        max((overlap(text, mine) for text in case.texts), key=sum) for case, mine in zip(cases, found, strict=True)
    ]
    given = [precision for (precision, _), mine in zip(pairs, found, strict=True) if mine]
    precision, recall = sum(given) / max(1, len(given)), sum(recall for _, recall in pairs) / len(pairs)
    return {"f1": 2 * precision * recall / max(1e-9, precision + recall), "precision": precision, "recall": recall}


def ours(case: Case) -> dict[str, Any]:
    """Read a page as NEWSS does."""
    page = read_page(case.body, case.content_type, case.url)
    assert page is not None
    found = page.metadata
    published = found.published.isoformat() if found.published else None
    return {"text": page.text, "title": found.title, "published": published, "authors": found.authors}


def theirs(case: Case) -> dict[str, Any]:
    """Read a page, text and metadata, as trafilatura does by default."""
    html = decode(case.body, case.content_type)
    page = trafilatura.bare_extraction(html, url=case.url, include_comments=False, with_metadata=True)
    if page is None:
        return {"text": "", "title": None, "published": None, "authors": []}
    authors = (page.author or "").split("; ")
    return {"text": page.text, "title": page.title, "published": page.date, "authors": authors}


def theirs_text(case: Case) -> dict[str, Any]:
    """Read a page's text alone as trafilatura does by default."""
    html = decode(case.body, case.content_type)
    return {"text": trafilatura.extract(html, url=case.url, include_comments=False) or ""}


def score(cases: list[Case], found: list[dict[str, Any]]) -> str:
    """Return what the news world's own judge says."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.jsonl"
        lines = [json.dumps(page | {"url": case.url}) for case, page in zip(cases, found, strict=True)]
        path.write_text("\n".join(lines))
        command = [sys.executable, str(shared("newsworld") / "score.py"), str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


WAYS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "NEWSS": ours,
    "trafilatura": theirs,
    "trafilatura, text alone": theirs_text,
}


def measure(name: str, cases: list[Case], rounds: int) -> dict[str, Any]:
    """Read the pages in each way, page by page by turns, print a table and return its figures."""
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(rounds):
        for case in cases:
            for way, read in WAYS.items():
                start = time.process_time()
                page = read(case)
                seconds[way].append(time.process_time() - start)
                if turn == 0:
                    found[way].append(page)
    figures: dict[str, Any] = {}
    print(f"\n{name}: {len(cases)} pages, {rounds} rounds")
    print(f"{'':26} {'F1':>6} {'prec.':>6} {'recall':>6} {'ms/page':>8} {'ratio':>6} {'worst s':>8}")
    base = sum(seconds["NEWSS"])
    for way in WAYS:
        figure = f1(cases, [page["text"] for page in found[way]])
        figure |= {"ms": 1000 * sum(seconds[way]) / len(seconds[way]), "ratio": base / sum(seconds[way])}
        figure["worst"] = max(seconds[way])
        figures[way] = figure
        columns = f"{figure['f1']:6.3f} {figure['precision']:6.3f} {figure['recall']:6.3f} {figure['ms']:8.1f}"
        print(f"{way:26} {columns} {figure['ratio']:6.2f} {figure['worst']:8.2f}")
    if name == "news world":
        for way in ("NEWSS", "trafilatura"):
            figures[way]["score"] = score(cases, found[way])
            print(f"{way}: {figures[way]['score']}")
    return figures


def main() -> None:
    """Measure what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    logging.disable(logging.WARNING)
    names = ("trafilatura", "readability-lxml", "resiliparse", "lxml")
    result: dict[str, Any] = {"versions": {name: version(name) for name in names}, "python": platform.python_version()}
    print(result["versions"], "Python", result["python"])
    for name, cases in (("pages", pages()), ("news world", world())):
        if cases:
            result[name] = measure(name, cases, rounds)
        else:
            print(f"{name}: not here")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
