"""What the admins of this package share: read-only ones, permissions, and answers to buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin as UnfoldModelAdmin
from unfold.admin import TabularInline as UnfoldTabularInline

from scheduling.admin.deleting import DeletingMixin
from scheduling.admin.remembered import ListMixin
from scheduling.models import Run

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as _ModelAdmin
    from django.contrib.admin import TabularInline as _TabularInline
    from django.contrib.auth.models import User
    from django.db.models import Model

    class ModelAdmin(_ModelAdmin[Any]):
        """For the type checker: unfold brings no types."""

    class TabularInline(_TabularInline[Any, Any]):
        """For the type checker: unfold brings no types."""
else:
    ModelAdmin = UnfoldModelAdmin
    TabularInline = UnfoldTabularInline


class ListedAdmin(DeletingMixin, ListMixin, ModelAdmin):
    """Base of this app's admins: lists whose filters can be turned round, remembered as they were left."""


class ReadOnlyAdmin(ListedAdmin):
    """Rows that only the engine writes: to be looked at and, by permission, deleted."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody adds a row by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody edits a row by hand."""
        return False


def person(request: HttpRequest) -> User:
    """Return who asks; raises `PermissionDenied` for nobody (the admin's views have seen to it before)."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    return request.user


def require(request: HttpRequest, permission: str) -> None:
    """Raise `PermissionDenied` if the person lacks `app.codename`."""
    if not request.user.has_perm(permission):
        raise PermissionDenied


def back(request: HttpRequest, default: str) -> HttpResponseRedirect:
    """Return to the page that the button was on, or to `default`."""
    target = request.POST.get("next") or request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(target if target and safe else default)


def keys_in(text: str) -> list[int]:
    """Return the primary keys that stand in an address or a form, with commas; what is none is passed over."""
    return [int(key) for key in text.split(",") if key.isdecimal() and len(key) < 19]


def undo_button(request: HttpRequest, address: str, **values: Any) -> SafeString:
    """Return a button for a message that posts these values to an address, to undo what the message tells."""
    from django.utils.translation import gettext as _

    hidden = format_html_join("", '<input type="hidden" name="{}" value="{}">', values.items())
    return format_html(
        '<form method="post" action="{}" class="newss-undo"><input type="hidden" name="csrfmiddlewaretoken" value="{}">'
        '{}<button type="submit" class="newss-button">{}</button></form>',
        address,
        get_token(request),
        hidden,
        _("Undo"),
    )


def tell_started(request: HttpRequest, run: Run, *, created: bool) -> None:
    """Say on the next page that a run was started, or which one is in the way, and what it waits for."""
    from django.utils.translation import gettext as _

    if created:
        text, level = _("{run} is started. {waits}"), messages.SUCCESS
    else:
        text, level = _("No second run was started: {run} is already there. {waits}"), messages.WARNING
    waits = run.waits_for()
    link = format_html('<a class="newss-link" href="{}">{}</a>', run.get_absolute_url(), run)
    messages.add_message(request, level, format_html(text, run=link, waits=waits))
