"""Addresses of the pages of many rows: `reverse` would take much of the time of a list with hundreds of links."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from django.urls import get_script_prefix, get_urlconf, reverse


def address_of(view: str, key: object) -> str:
    """Return what `reverse(view, args=[key])` does, for a view that takes a whole number as its only argument."""
    return addresses(view)(key)


def addresses(view: str) -> Callable[[object], str]:
    """Return what makes such addresses of many keys."""
    return _addresses(view, get_script_prefix(), get_urlconf())


@lru_cache(maxsize=100)
def _addresses(view: str, _prefix: str, urlconf: str | None) -> Callable[[object], str]:
    before, _key, after = reverse(view, urlconf, args=[0]).rpartition("/0/")
    return lambda key: f"{before}/{key}/{after}"
