"""Near-duplicates: agency copy that several outlets print, with a line here and a cut there.

1. A text is the set of its shingles: runs of three words.
2. Its MinHash signature (60 values, by rensa) is cut into 20 bands of 3. Texts that are as alike as `SIMILAR` share a
   band with a chance of 97 %. The bands stand in an indexed table (`ArticleBand`) for `WINDOW`, so that the table does
   not grow with the archive.
3. Candidates share a band; of those that share most, `CANDIDATES` are compared by their whole sets. A copy is what has
   at least `SIMILAR` of all shingles in common with one of them (Jaccard). `benchmarks.duplicates` measures it.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import connection
from rensa import RMinHash

from scrapers.models import Article, ArticleBand
from scrapers.words import words

SHINGLE_WORDS = 3
BANDS, ROWS = 20, 3
SEED = 1
SIMILAR = 0.55
"""The share of shingles in common (Jaccard) from which two texts are copies of each other.

Measured on 97 real texts: 96 to 100 % of the copies are found (framed, cut by up to 40 %, one word in 20 changed), and
1 % of new stories half of which is old background is taken for a copy; at 0.6 none is, and a cut of 40 % is missed.
"""
LEAST_SHINGLES = 40
"""Shorter texts are not compared: too much of them may be what every notice of a kind says."""
WINDOW = timedelta(days=14)
"""How long after an article was stored its copies are looked for."""
CANDIDATES = 10
"""Articles that one text is compared with at most."""
ROWS_READ = 5000
"""Rows of the table of bands that are read for one batch at most, newest first."""

ROWS_WRITTEN = 2000
"""Rows of the table of bands that one statement writes."""

Shingles = frozenset[str]


def shingles(text: str) -> Shingles:
    """Return the shingles of a text; empty for one that is too short to be compared."""
    found = words(text)
    runs = frozenset(map(" ".join, zip(*(found[at:] for at in range(SHINGLE_WORDS)), strict=False)))
    return runs if len(runs) >= LEAST_SHINGLES else frozenset()


def bands(found: Shingles) -> list[int]:
    """Return the hashes of the bands of a text's signature, each fit for a bigint; none for an empty set."""
    if not found:
        return []
    signature = RMinHash(BANDS * ROWS, SEED)
    signature.update(list(found))
    values = signature.digest()
    return [_band(number, values[number * ROWS : (number + 1) * ROWS]) for number in range(BANDS)]


def similarity(one: Shingles, other: Shingles) -> float:
    """Return the share of all their shingles that two texts have in common, 0 to 1."""
    common = len(one & other)
    return common / (len(one) + len(other) - common) if common else 0.0


class Copies:
    """Finds, for the texts of one batch, the articles that they are copies of; those of the batch itself included."""

    def __init__(self, texts: Iterable[str], now: datetime) -> None:
        self._shingles = {text: shingles(text) for text in texts}
        self._bands = {text: bands(found) for text, found in self._shingles.items()}
        self._by_band: dict[int, list[Article]] = defaultdict(list)
        self._read(now)

    def original_of(self, text: str) -> Article | None:
        """Return the article that a text is a copy of: the first of its kind, itself no copy."""
        counted: Counter[int] = Counter()
        found: dict[int, Article] = {}
        for value in self._bands[text]:
            for article in self._by_band[value]:
                counted[id(article)] += 1
                found[id(article)] = article
        for key, _count in counted.most_common(CANDIDATES):
            article = found[key]
            if similarity(self._shingles[text], self._of(article.text)) >= SIMILAR:
                return article.duplicate_of or article
        return None

    def differ(self, one: str, other: str) -> bool:
        """Tell whether two texts are long enough to be compared, and no copies of each other."""
        mine, theirs = self._of(one), self._of(other)
        return bool(mine and theirs) and similarity(mine, theirs) < SIMILAR

    def add(self, article: Article) -> None:
        """Let later texts of the batch be compared with an article that is about to be stored."""
        for value in self._bands.get(article.text, ()):
            self._by_band[value].append(article)

    def write(self, created: Sequence[Article], changed: Sequence[Article], now: datetime) -> None:
        """Store the bands of new articles, and those of changed ones in place of the bands that they had."""
        if changed:
            ArticleBand.objects.filter(article__in=[article.pk for article in changed]).delete()
        _insert(
            [
                (article.pk, value)
                for article in (*created, *changed)
                for value in self._bands.get(article.text) or bands(self._of(article.text))
            ],
            now,
        )

    def _of(self, text: str) -> Shingles:
        if text not in self._shingles:
            self._shingles[text] = shingles(text)
        return self._shingles[text]

    def _read(self, now: datetime) -> None:
        values = {value for found in self._bands.values() for value in found}
        if not values:
            return
        rows = ArticleBand.objects.filter(value__in=values, at__gte=now - WINDOW).order_by("-at")
        pairs = list(rows.values_list("value", "article")[:ROWS_READ])
        keys = {key for _value, key in pairs}
        known = Article.objects.select_related("duplicate_of").only("text", "duplicate_of__text").in_bulk(keys)
        for value, key in pairs:
            if key in known:
                self._by_band[value].append(known[key])


def forget_old(now: datetime) -> int:
    """Remove the bands that are no longer looked at; return how many."""
    removed, _by_model = ArticleBand.objects.filter(at__lt=now - WINDOW).delete()
    return removed


def _insert(rows: Sequence[tuple[int, int]], now: datetime) -> None:
    """Store bands, given as pairs of article and value; a model instance for each would cost more than all the rest."""
    at = connection.ops.adapt_datetimefield_value(now)
    with connection.cursor() as cursor:
        for start in range(0, len(rows), ROWS_WRITTEN):
            some = rows[start : start + ROWS_WRITTEN]
            places = ", ".join(["(%s, %s, %s)"] * len(some))
            cursor.execute(
                f"INSERT INTO {ArticleBand._meta.db_table} (article_id, value, at) VALUES {places}",
                [part for article, value in some for part in (article, value, at)],
            )


def _band(number: int, values: Sequence[int]) -> int:
    packed = struct.pack(f">B{len(values)}I", number, *values)
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big", signed=True)
