"""Changes for those who copy on: every article that was stored or changed and every one that was deleted, in an order
that nothing can be inserted into later.

1. A row that changes loses its number (`Article.change`, `Tombstone.change`).
2. Whoever asks for changes first gives a number to rows without one, under the lock of one row (`ChangeCounter`) and so
   one after another. A row that is seen then is committed; one that is committed later gets a higher number. Neither
   clocks nor sequences, which are drawn before the commit, could promise that.
3. Rows of one numbering share its number and become visible with its commit, all at once. A cursor is the number, the
   kind and the key of the last row that somebody has; what comes after it in this order is what he lacks.

A row that changes between two looks is told once, as it is then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from scrapers.export import with_sources
from scrapers.models import Article, ChangeCounter, Tombstone

NUMBERED_AT_ONCE = 2_000
"""Rows that one request gives numbers to; what is left is for the next."""
_ARTICLE, _DELETED = 0, 1


@dataclass(frozen=True, order=True)
class Cursor:
    """How far somebody has come."""

    change: int = 0
    kind: int = 0
    key: int = 0

    def __str__(self) -> str:
        return f"{self.change}-{self.kind}-{self.key}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that a text stands for, the beginning for an empty one; raises `ValidationError`."""
        if not text:
            return cls()
        found = re.fullmatch(r"(\d{1,18})-([01])-(\d{1,18})", text, re.ASCII)
        if not found:
            raise ValidationError({"since": [_("This is no cursor; give back what “next” said.")]})
        return cls(*map(int, found.groups()))


@dataclass(frozen=True)
class Changes:
    """Some changes in order; `next` is where to go on, `more` whether there is more already."""

    rows: list[Article | Tombstone]
    next: Cursor
    more: bool


def changes(since: Cursor, limit: int) -> Changes:
    """Return the changes after a cursor, `limit` at most."""
    found = list(_after(since, limit))
    if len(found) <= limit:
        number()
        found = list(_after(since, limit))
    shown = found[:limit]
    return Changes([row for _cursor, row in shown], shown[-1][0] if shown else since, len(found) > limit)


@transaction.atomic
def number() -> int:
    """Give the next number to changes that have none; return how many."""
    ChangeCounter.objects.get_or_create(pk=1)
    counter = ChangeCounter.objects.select_for_update().get(pk=1)
    numbered = 0
    for rows in (Article.objects.filter(change=None), Tombstone.objects.filter(change=None)):
        # A row that somebody is writing is left for the next time: waiting for him could be a deadlock.
        free = rows.order_by("id").select_for_update(skip_locked=True)
        keys = list(free.values_list("pk", flat=True)[: NUMBERED_AT_ONCE - numbered])
        numbered += rows.filter(pk__in=keys).update(change=counter.last + 1) if keys else 0
    if numbered:
        counter.last += 1
        counter.save()
    return numbered


def _after(since: Cursor, limit: int) -> Iterator[tuple[Cursor, Any]]:
    """Yield rows after a cursor in order, one more than the limit if there are."""
    articles = with_sources(Article.objects.filter(_beyond(since, _ARTICLE)).order_by("change", "id"))
    deleted = Tombstone.objects.filter(_beyond(since, _DELETED)).order_by("change", "id")
    rows = chain(
        ((Cursor(row.change or 0, _ARTICLE, row.pk), row) for row in articles[: limit + 1]),
        ((Cursor(row.change or 0, _DELETED, row.pk), row) for row in deleted[: limit + 1]),
    )
    yield from sorted(rows, key=lambda pair: pair[0])[: limit + 1]


def _beyond(since: Cursor, kind: int) -> Q:
    """Return the condition that a row of a kind comes after a cursor."""
    if kind < since.kind:
        return Q(change__gt=since.change)
    if kind > since.kind:
        return Q(change__gte=since.change)
    return Q(change__gt=since.change) | Q(change=since.change, pk__gt=since.key)
