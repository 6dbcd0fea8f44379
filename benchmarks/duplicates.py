"""How well copies are told from other stories: `python -m benchmarks.duplicates` (needs ../shared/data/pages).

From each page's true text copies are made as outlets make them, and stories that share part of it as follow-ups do;
printed is, for each sort, how alike the pairs are and which share of them is taken for copies.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

DATA = Path(os.environ.get("NEWSS_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "pages"
OUT = Path(__file__).parent / "out" / "duplicates.json"
THRESHOLDS = (0.4, 0.5, 0.55, 0.6, 0.7)


def cut(share: float) -> Callable[[str, random.Random], str]:
    """Return what keeps a share of the words: an outlet prints the beginning."""
    return lambda text, _: " ".join(text.split()[: max(1, int(len(text.split()) * share))])


def reworded(share: float) -> Callable[[str, random.Random], str]:
    """Return what replaces a share of the words: an editor's hand."""
    return lambda text, rng: " ".join("other" if rng.random() < share else word for word in text.split())


def framed(text: str, _: random.Random) -> str:
    """Add a byline, a dateline and a last line of the outlet's own."""
    return f"By our own correspondents\nLONDON (Agency) -\n{text}\nRead more on our pages and subscribe to our letter."


def opened(text: str, rng: random.Random) -> str:
    """Put an opening of the outlet's own in place of the first tenth, change a word in thirty, cut the last tenth."""
    found = text.split()
    tenth = len(found) // 10
    own = [f"own{number}" for number in range(tenth)]
    return reworded(0.033)(" ".join([*own, *found[tenth : len(found) - tenth]]), rng)


COPIES: dict[str, Callable[[str, random.Random], str]] = {
    "framed by byline and last line": framed,
    "last 20 % cut": cut(0.8),
    "last 40 % cut": cut(0.6),
    "1 word in 50 changed": reworded(0.02),
    "1 word in 20 changed": reworded(0.05),
    "own opening, cut, 1 in 30 changed": opened,
}


def followed_up(share: float) -> Callable[[str, str], str]:
    """Return what makes a new story with a share of an old one as its background."""

    def make(old: str, new: str) -> str:
        length = len(old.split())
        return " ".join([*new.split()[: int(length * (1 - share))], *old.split()[: int(length * share)]])

    return make


def main() -> None:
    """Print the table and write its figures."""
    import django

    django.setup()
    from scrapers.dedupe import bands, shingles, similarity

    if not DATA.is_dir():
        sys.exit(f"The pages are not there: {DATA}")
    truth = json.loads((DATA / "ground-truth.json").read_text())
    texts = [one["articleBody"] for one in truth.values() if shingles(one["articleBody"])]
    rng = random.Random(7)
    sorts: dict[str, list[tuple[str, str]]] = {
        name: [(text, make(text, rng)) for text in texts] for name, make in COPIES.items()
    }
    shifted = texts[1:] + texts[:1]
    for share in (0.3, 0.5):
        make = followed_up(share)
        pairs = [(old, make(old, new)) for old, new in zip(texts, shifted, strict=True)]
        sorts[f"NOT: new story, {share:.0%} old background"] = pairs
    sorts["NOT: any two pages"] = [(one, other) for one in texts for other in texts if one is not other]
    begun = time.process_time()
    different = {text for pairs in sorts.values() for pair in pairs for text in pair}
    made = {text: (found := shingles(text), set(bands(found))) for text in different}
    cost = (time.process_time() - begun) / len(made)
    print(f"{len(texts)} texts; shingles and signature of a text: {cost * 1000:.2f} ms\n")
    print(f"| pairs | how many | likeness, median | least | most | {' | '.join(f'≥ {t}' for t in THRESHOLDS)} |")
    print("|---" * (5 + len(THRESHOLDS)) + "|")
    report = {}
    for name, pairs in sorts.items():
        alike = [similarity(made[a][0], made[b][0]) for a, b in pairs]
        meets = [bool(made[a][1] & made[b][1]) for a, b in pairs]
        taken = {t: sum(m and s >= t for m, s in zip(meets, alike, strict=True)) / len(pairs) for t in THRESHOLDS}
        figures = f"{statistics.median(alike):.2f} | {min(alike):.2f} | {max(alike):.2f}"
        print(f"| {name} | {len(pairs)} | {figures} | {' | '.join(f'{share:.1%}' for share in taken.values())} |")
        report[name] = {"pairs": len(pairs), "median": statistics.median(alike), "taken": taken}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
