"""What every kind of source has in common: the items it yields, what it must give, and the registry of kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.exceptions import ValidationError
from django.forms import Field
from django.utils.translation import gettext as _

from scrapers.kinds.forms import OptionsForm

if TYPE_CHECKING:
    from scrapers.kinds.poll import Poll


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a source, before its page is fetched.

    `url` is absolute, http or https, or empty where the entry has no address that may be fetched. `published` and
    `updated` are aware; a time that was written without a zone is taken as UTC and `zone_known` is false. `content` is
    HTML as a feed carries it; `text` is the plain text of the story where the source itself brings all of it: then its
    page is not fetched.
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
    text: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one answer of a source holds.

    `more` says that the kind means to yield a further listing after it; `unmatched` names the selectors ("title: h2")
    that found nothing in any item; `ttl` is for how many seconds it says that nothing new is to be expected.
    """

    title: str = ""
    language: str = ""
    items: tuple[Item, ...] = field(default=())
    more: bool = False
    unmatched: tuple[str, ...] = ()
    ttl: float = 0.0


class Kind(ABC):
    """A kind of source: from its address and its options to listings of items.

    `options` are what a person set in the kind's form, as JSON can hold them (`Poll.options`).
    """

    name: ClassVar[str]
    label: ClassVar[Any]
    #: The form of its options; its fields stand in the form of a source.
    form: ClassVar[type[OptionsForm]] = OptionsForm
    #: What the address of such a source is, in a sentence.
    address_help: ClassVar[Any] = ""
    #: Whether the source's address may hold `{query}`, which a run's query is put in for.
    takes_query: ClassVar[bool] = False
    #: Whether each answer lists all that the source has: what is not in it, the source does not carry any more.
    lists_all: ClassVar[bool] = False

    @abstractmethod
    def poll(self, poll: Poll) -> AsyncIterator[Listing]:
        """Yield what the source holds now, newest first as far as that can be known.

        All requests go through `poll` (`first`, then `fetch`), which is polite and carries the source's headers. What
        takes the processor long runs in `poll.read`. Each listing is dealt with before the next is asked for, so a kind
        with following pages looks at `poll.found_new` before it asks for another. Raises `CollectError` for what is not
        of this kind; lets `NotModified` through.
        """

    def clean_options(self, options: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return options as they are stored; a secret's mask stands for what is `stored`.

        Raises `ValidationError` naming each wrong or unknown one.
        """
        return self.form.clean_options(options, stored)


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

    def find(self, name: str) -> Kind | None:
        """Return a kind, or None where there is none of this name."""
        return self._kinds.get(name)

    def form_fields(self, name: str) -> Mapping[str, Field]:
        """Return the fields of a kind's options; none where there is none of this name."""
        return self._kinds[name].form.base_fields if name in self._kinds else {}

    def choices(self) -> list[tuple[str, Any]]:
        """Return (name, label) of all kinds for a form field."""
        return [(kind.name, kind.label) for kind in self._kinds.values()]


registry = Registry()
