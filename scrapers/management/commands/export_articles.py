"""`manage.py export_articles`: the articles of a filter or a topic on standard output."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from scrapers.export import FORMATS, export
from scrapers.selection import Selection


class Command(BaseCommand):
    """Write articles as CSV, JSON Lines, RSS or JSON Feed."""

    help = "Write the articles of a filter or a topic on standard output, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the filters and the format."""
        parser.add_argument("--format", choices=list(FORMATS), default="jsonl")
        parser.add_argument("-q", "--query", default="", help='words, "a phrase", -not, OR, title:, source:, lang:')
        for name in ("source", "tag", "topic"):
            parser.add_argument(f"--{name}", default="", help="number or name")
        parser.add_argument("--language", default="")
        parser.add_argument("--since", default="", help="a day or an instant (ISO 8601)")
        parser.add_argument("--until", default="", help="a day or an instant (ISO 8601), exclusive")
        parser.add_argument("--copies", action="store_true", help="also copies of a story in other outlets")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write; raises `CommandError` for what cannot be understood."""
        names = ("source", "tag", "topic", "language", "copies")
        filters = {name: options[name] for name in names}
        since, until = _instant("since", options["since"]), _instant("until", options["until"])
        selection = Selection(q=options["query"], since=since, until=until, **filters)
        try:
            for piece in export(selection.articles(), options["format"], options["topic"] or "NEWSS"):
                self.stdout.write(piece, ending="")
            self.stdout.flush()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except BrokenPipeError:
            # Whoever read has enough, as `head` does; nothing is written at the end either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _instant(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        day = parse_date(text)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)  # noqa: DTZ001
    except ValueError:
        found = None
    if found is None:
        raise CommandError(_("--%(name)s: “%(text)s” is neither a day nor an instant.") % {"name": name, "text": text})
    return found if timezone.is_aware(found) else timezone.make_aware(found)
