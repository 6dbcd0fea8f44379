"""What a person is told before sources are deleted: what goes along, what stays, and which schedules poll them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib.admin.utils import model_ngettext
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.translation import gettext as _t
from django.utils.translation import ngettext

from scrapers.admin.source_columns import add_rows
from scrapers.models import ArticleSource, PassedItem, Source, SourceResult

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    class _Base(ModelAdmin[Any]):
        """What type checkers see of the admin that this is mixed into."""
else:
    _Base = object


class DeleteMixin(_Base):
    """Adds to the admin of sources what is told before some are deleted."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Tell in figures what becomes of what hangs on them: a source may have more articles than a page can list."""
        sources: list[Source] = list(objs)
        needed = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        add_rows(sources, request)
        articles, results = (_counts(model.objects.all(), sources) for model in (ArticleSource, SourceResult))
        # Those of deleted articles are remembered by their tombstones, too.
        passed = _counts(PassedItem.objects.filter(buried_at=None), sources)
        lines: list[Any] = []
        for source in sources:
            told = _told(articles.get(source.pk, 0), passed.get(source.pk, 0), results.get(source.pk, 0))
            if names := [poller.name for poller in source.row.pollers]:  # type: ignore[attr-defined]
                told.append(_t("It is polled by these schedules: %(names)s.") % {"names": ", ".join(names)})
            lines += [str(source), told] if told else [str(source)]
        return lines, {model_ngettext(self.opts, len(sources)): len(sources)}, needed, []


def _counts(rows: QuerySet[Any], sources: Sequence[Source]) -> dict[int, int]:
    rows = rows.filter(source__in=sources).order_by().values("source").annotate(number=Count("pk"))
    return dict(rows.values_list("source", "number"))


def _told(articles: int, passed: int, results: int) -> list[str]:
    """Return sentences about what there is."""
    said: Iterable[tuple[int, str]] = (
        (
            articles,
            ngettext(
                "%(count)s article that was seen in it stays.",
                "%(count)s articles that were seen in it stay.",
                articles,
            ),
        ),
        (results, ngettext("%(count)s result stays, by its name.", "%(count)s results stay, by its name.", results)),
        (
            passed,
            ngettext(
                "%(count)s entry that was left out is forgotten.",
                "%(count)s entries that were left out are forgotten.",
                passed,
            ),
        ),
    )
    return [sentence % {"count": localize(count)} for count, sentence in said if count]
