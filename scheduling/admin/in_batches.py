"""Actions on all that match a list, however many: they are counted and named first, then dealt with in batches.

1. Who chooses an action for all that match, where the list counts only some pages ahead, is asked with their number.
2. Batches are dealt with for `SECONDS_AT_ONCE`, each in a transaction of its own, so that no request runs for minutes.
3. What is dealt with matches no more. While something is left, the page tells so and offers to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.formats import localize
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.admin.options import ModelAdmin

    _Admin = ModelAdmin[Any]
else:
    _Admin = object

SECONDS_AT_ONCE = 10.0
"""So long batches are dealt with in one request; servers and proxies give up after some 30 s."""
BATCH = 500


@dataclass(frozen=True)
class InBatches:
    """An action that can be done in batches: its name for people, which rows are left, and what it does to some."""

    label: Any
    left: Callable[[QuerySet[Any]], QuerySet[Any]]
    do: Callable[[Any, HttpRequest, QuerySet[Any]], object]


def _delete(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> None:
    model_admin.log_deletions(request, rows)
    model_admin.delete_queryset(request, rows)


DELETE = InBatches(_("Delete"), lambda rows: rows, _delete)


class InBatchesMixin(_Admin):
    """A list with actions on all that match, however many those are."""

    #: Such actions by name.
    in_batches: ClassVar[dict[str, InBatches]] = {"delete_selected": DELETE}

    def act_on_all(self, request: HttpRequest, name: str, matching: QuerySet[Any]) -> HttpResponse:
        """Ask, or deal with as many as there is time for, and offer to go on; the person may take the action."""
        action, done = self.in_batches[name], 0
        # Joins and orders of the list are of no use here, and some statements forbid them.
        rows = action.left(self.model._default_manager.filter(pk__in=matching.order_by().values("pk")))
        if request.POST.get("sure") == "1":
            end = time.monotonic() + SECONDS_AT_ONCE
            while time.monotonic() < end and (keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])):
                with transaction.atomic():
                    action.do(self, request, self.model._default_manager.filter(pk__in=keys))
                done += len(keys)
        left = rows.count()
        names = {"action": action.label, "done": localize(done), "name": self.opts.verbose_name_plural}
        if not left:
            self.message_user(request, _t("%(action)s: %(done)s %(name)s.") % names, messages.SUCCESS)
            return HttpResponseRedirect(request.get_full_path())
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": action.label,
            "done": done,
            "left": left,
            "name": self.opts.verbose_name_plural,
            "hidden": {"action": name, "select_across": "1", "sure": "1", ACTION_CHECKBOX_NAME: "0"},
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "scheduling/all_that_match.html", context)
