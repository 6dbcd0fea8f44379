"""What every kind of source has in common: the items it yields, and the registry of kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a source, before its page is fetched.

    `url` is absolute, http or https, or empty where the entry has no address that may be fetched. `published` and
    `updated` are aware; a time that was written without a zone is taken as UTC and `zone_known` is false.
    """

    guid: str
    url: str
    title: str = ""
    summary: str = ""
    content: str = ""
    published: datetime | None = None
    updated: datetime | None = None
    zone_known: bool = True
    authors: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    language: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one answer of a source holds."""

    title: str = ""
    language: str = ""
    items: tuple[Item, ...] = field(default=())


class Kind(Protocol):
    """A kind of source."""

    name: str
    label: Any
    #: What the request says it would like (the Accept header).
    accept: str

    def read(self, body: bytes, *, url: str, content_type: str) -> Listing:
        """Return what a body holds; `url` is where it really came from.

        Raises `CollectError` if it is not of this kind. Must not touch the network.
        """
        ...


class Registry:
    """The kinds by name."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}

    def add(self, kind: Kind) -> None:
        """Register a kind; raises `ValueError` if its name is taken."""
        if kind.name in self._kinds:
            raise ValueError(f"two kinds of sources are named {kind.name!r}")
        self._kinds[kind.name] = kind

    def get(self, name: str) -> Kind:
        """Return a kind; raises `ValidationError` with the names that exist."""
        if name not in self._kinds:
            raise ValidationError(
                _("There is no kind of source “%(kind)s”; known are: %(known)s.")
                % {"kind": name, "known": ", ".join(sorted(self._kinds))}
            )
        return self._kinds[name]

    def choices(self) -> list[tuple[str, Any]]:
        """Return (name, label) of all kinds for a form field."""
        return [(kind.name, kind.label) for kind in self._kinds.values()]


registry = Registry()
