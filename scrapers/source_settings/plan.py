"""The plan of collecting from one source: its resolved settings, ready to use, and the rules of what is taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils.translation import gettext as _t

from scrapers.fetch.failures import CollectError, FailureClass
from scrapers.fetch.identity import Identity
from scrapers.kinds import Item
from scrapers.models import Source
from scrapers.secrets import SecretError, hidden_places, revealed
from scrapers.source_settings.levels import Resolved
from scrapers.source_settings.page_rules import PageRules
from scrapers.source_settings.patterns import first_found


@dataclass(frozen=True)
class Plan:
    """How one source is collected; `key` tells plans apart that may lead to other articles."""

    identity: Identity = field(repr=False)
    rules: PageRules
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    max_age: timedelta | None
    first_import: int
    text_from_source: bool
    javascript: bool
    keep_page: bool
    encoding: str
    search_words: str
    key: str

    @classmethod
    def of(cls, source: Source, resolved: Resolved) -> Plan:
        """Return the plan of a source; raises `CollectError` (`NO_SECRET`) where a secret cannot be had."""
        values = resolved.values
        days = int(values["max_age_days"] or 0)
        return cls(
            identity=_identity(source, resolved),
            rules=PageRules(
                title=values["title_selector"],
                text=values["text_selector"],
                date=values["date_selector"],
                author=values["author_selector"],
                cut=tuple(values["cut_selectors"] or ()),
            ),
            include=tuple(values["include"] or ()),
            exclude=tuple(values["exclude"] or ()),
            max_age=timedelta(days=days) if days else None,
            first_import=int(values["first_import"] or 0),
            text_from_source=values["text_from"] == "source",
            javascript=values["javascript"] == "yes",
            keep_page=values["keep_page"] == "yes",
            encoding=values["encoding"],
            search_words=values["search_words"],
            key=hashlib.sha256(json.dumps(dict(values), sort_keys=True).encode()).hexdigest(),
        )

    def excludes(self, item: Item) -> bool:
        """Tell whether the patterns leave an item out: by address or title."""
        if self.include and not first_found(self.include, item.url, item.title):
            return True
        return bool(self.exclude and first_found(self.exclude, item.url, item.title))

    def is_too_old(self, published: datetime | None, now: datetime) -> bool:
        """Tell whether something published then is older than is wanted; what has no time never is."""
        return self.max_age is not None and published is not None and now - published > self.max_age

    def beyond_first_import(self, items: Sequence[Item], taken: int) -> set[int]:
        """Return the places of the items that a first import leaves out, when `taken` were let through before.

        The newest are taken, in the order of the source where their times do not tell.
        """
        if not self.first_import:
            return set()
        ages = [-when.timestamp() if (when := item.published or item.updated) else 0.0 for item in items]
        order = sorted(range(len(items)), key=lambda place: (ages[place], place))
        return set(order[max(0, self.first_import - taken) :])


def _identity(source: Source, resolved: Resolved) -> Identity:
    values = resolved.values
    if missing := [name for name in hidden_places(source.url) if name not in (values["parameters"] or {})]:
        sentence = _t("A hidden part of the address is missing: type %s among the parameters of the address.")
        raise CollectError(FailureClass.NO_SECRET, sentence % ", ".join(f"{name}=…" for name in missing))
    try:
        return Identity(
            home=source.url,
            headers={name: revealed(stored) for name, stored in (values["headers"] or {}).items()},
            cookies={name: revealed(stored) for name, stored in (values["cookies"] or {}).items()},
            parameters={name: revealed(stored) for name, stored in (values["parameters"] or {}).items()},
            proxy=revealed(values["proxy"] or ""),
        )
    except SecretError as error:
        raise CollectError(FailureClass.NO_SECRET, str(error)) from None
