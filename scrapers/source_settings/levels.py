"""What holds for a source and where it comes from: its own setting, else that of the first of its tags that has one, in
the order that people gave the tags' settings, else that of all sources, else the default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from scrapers.source_settings.fields import SETTINGS

if TYPE_CHECKING:
    from scrapers.models import SettingsLevel, Source


@dataclass(frozen=True)
class Resolved:
    """The value of each setting, and in words where it comes from ("tag daily")."""

    values: Mapping[str, Any] = field(repr=False)
    origins: Mapping[str, str]
    #: What would hold if the source itself set nothing.
    inherited: Mapping[str, Any] = field(repr=False)
    inherited_from: Mapping[str, str]


def resolve(source: Source) -> Resolved:
    """Return what holds for one source; one that is not saved yet has no tags."""
    return resolve_all([source])[0]


def resolve_all(sources: Iterable[Source]) -> list[Resolved]:
    """Return what holds for each source, in their order, with two queries for all of them."""
    from scrapers.models import SettingsLevel, Source

    sources = list(sources)
    levels = SettingsLevel.objects.all().by_strength()
    through = Source.tags.through.objects
    keys = [source.pk for source in sources if source.pk]
    tags: dict[int, set[int]] = {}
    if any(level.tag_id for level in levels) and keys:
        for source_id, tag_id in through.filter(source__in=keys).values_list("source", "tag"):
            tags.setdefault(source_id, set()).add(tag_id)
    return [
        _resolved(
            source.settings,
            [level for level in levels if level.tag_id is None or level.tag_id in tags.get(source.pk or 0, ())],
        )
        for source in sources
    ]


def _resolved(own: Mapping[str, Any], levels: Sequence[SettingsLevel]) -> Resolved:
    inherited = {name: setting.default for name, setting in SETTINGS.items()}
    origins = dict.fromkeys(SETTINGS, _("default"))
    # From the weakest to the strongest.
    for level in reversed(levels):
        known = {name: value for name, value in level.values.items() if name in SETTINGS}
        inherited |= known
        origins |= dict.fromkeys(known, level.words)
    mine = {name: value for name, value in own.items() if name in SETTINGS}
    return Resolved({**inherited, **mine}, {**origins, **dict.fromkeys(mine, _("this source"))}, inherited, origins)
