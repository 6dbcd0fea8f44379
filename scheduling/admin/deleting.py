"""What a page that asks before deleting says: the rows by name, and of what goes along with them only how many.

Django would fetch and list every row that goes along, by names that are often none ("… object (1)").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib.admin.utils import model_ngettext
from django.db.models import CASCADE, ManyToOneRel, Model, OneToOneRel, QuerySet
from django.http import HttpRequest
from django.utils.formats import localize
from django.utils.translation import gettext as _t

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    _Admin = ModelAdmin[Any]
else:
    _Admin = object

NAMED = 100
"""So many rows are named; of more, how many there are."""


class DeletingMixin(_Admin):
    """An admin whose pages that ask before deleting stay short and name no row by its number."""

    def get_deleted_objects(
        self, objs: QuerySet[Any] | Sequence[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Return the names of the rows, how many of each model go, and what the person may not delete.

        Who may delete a row may delete what belongs to it: an editor of schedules need not have a right to backfills.
        """
        rows: QuerySet[Any] = self.model._default_manager.all()
        rows = objs if isinstance(objs, QuerySet) else rows.filter(pk__in=[row.pk for row in objs])
        total = rows.count()
        named = [self.deleted_name(row) for row in rows[:NAMED]]
        if total > NAMED:
            named.append(_t("and %(number)s more") % {"number": localize(total - NAMED)})
        counts: dict[str, int] = {model_ngettext(self.opts, total): total}
        needed = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        counts |= {model_ngettext(model._meta, count): count for model, count in _going_along(rows).items()}
        return named, counts, needed, []

    def deleted_name(self, row: Any) -> str:
        """Return what a row that is to be deleted is called."""
        return str(row)


def _going_along(rows: QuerySet[Any]) -> Counter[type[Model]]:
    """Return how many rows of each model the database deletes along with some; what only links two is none of these."""
    found: Counter[type[Model]] = Counter()
    for model, name in _parts(rows.model):
        going = model._base_manager.filter(**{f"{name}__in": rows.order_by().values("pk")})
        if count := going.count():
            found[model] += count
            found.update(_going_along(going))
    return found


def _parts(model: type[Model]) -> Iterator[tuple[type[Model], str]]:
    """Yield the models whose rows go along, with the name of their field; one row for each row is a part of it."""
    for relation in model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ManyToOneRel) or isinstance(relation, OneToOneRel):
            continue
        other = relation.related_model
        if relation.on_delete is CASCADE and not other._meta.auto_created:
            yield other, relation.field.name
