"""`manage.py makemessages`: Django's command, which finds every way in which we mark words for translation."""

from __future__ import annotations

from pathlib import Path

import polib
from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """Collect the words of all apps; modules that use `_` for lazy words write `_t` for those said at once."""

    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=_t"]

    def write_po_file(self, potfile: str, locale: str) -> None:
        """Write a catalogue in one form and without the time, so that a difference shows what changed."""
        super().write_po_file(potfile, locale)
        path = Path(potfile).parent / locale / "LC_MESSAGES" / f"{self.domain}.po"
        catalogue = polib.pofile(str(path), wrapwidth=0)
        catalogue.metadata.pop("POT-Creation-Date", None)
        catalogue.save(str(path))
