"""Which articles somebody asks for: the filters of the API, of exports and of `manage.py export_articles`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from scheduling.models import Tag
from scrapers import query as queries
from scrapers.models import Article, Source, Topic
from scrapers.models.article import ArticleQuerySet


@dataclass(frozen=True)
class Selection:
    """Filters that all must hold; an empty one holds for all.

    `source`, `tag` and `topic` are numbers or names; `since` and `until` bound the time of publication (or, without
    one, of storing), the latter exclusive. Copies are left out unless `copies` says so.
    """

    q: str = ""
    source: str = ""
    tag: str = ""
    topic: str = ""
    language: str = ""
    since: datetime | None = None
    until: datetime | None = None
    copies: bool = False

    def articles(self) -> ArticleQuerySet:
        """Return the articles, newest first; raises `ValidationError` naming each filter that cannot be understood."""
        errors: dict[str, str] = {}
        found = Article.objects.all() if self.copies else Article.objects.originals()
        for name, model in (("source", Source), ("tag", Tag), ("topic", Topic)):
            if asked := getattr(self, name):
                key = _key(model, asked)
                if key is None:
                    errors[name] = _("There is no “%(name)s” here.") % {"name": asked}
                else:
                    found = {"source": found.seen_in, "tag": found.tagged, "topic": found.in_topic}[name](key)
        try:
            found = found.search(queries.parse(self.q))
        except queries.QueryError as error:
            errors["q"] = str(error)
        if self.since and self.until and self.since >= self.until:
            errors["until"] = _("This is not after “since”.")
        if errors:
            raise ValidationError({name: [message] for name, message in errors.items()})
        if self.language:
            found = found.filter(language=self.language.lower())
        if self.since:
            found = found.filter(dated_at__gte=self.since)
        if self.until:
            found = found.filter(dated_at__lt=self.until)
        return found.order_by("-dated_at", "-id")


def _key(model: type[Source | Tag | Topic], asked: str) -> int | None:
    """Return the key of the row that a name or a number means; a name of digits is a name first."""
    rows = model._default_manager.values_list("pk", flat=True)
    key: int | None = rows.filter(name=asked).first()
    if key is None and asked.isascii() and asked.isdecimal() and len(asked) < 19:
        key = rows.filter(pk=int(asked)).first()
    return key
