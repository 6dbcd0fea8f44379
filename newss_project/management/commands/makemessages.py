"""`manage.py makemessages`: Django's command, which finds every way in which we mark words for translation."""

from __future__ import annotations

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """Collect the words of all apps; modules that use `_` for lazy words write `_t` for those said at once."""

    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=_t"]
