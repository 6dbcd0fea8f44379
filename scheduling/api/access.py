"""Who may: the session login of the admin with CSRF, and Django's permissions."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security import SessionAuth


class SessionLogin(SessionAuth):
    """The login of the admin; who has none is told so (401) before the CSRF token is looked at (403)."""

    def __call__(self, request: HttpRequest) -> Any:
        """Return the user, None for nobody; raises `HttpError` for a missing or wrong CSRF token."""
        return super().__call__(request) if request.user.is_authenticated else None


def permitted(request: HttpRequest, permission: str) -> User:
    """Return the user of a request; raises `PermissionDenied`, in words, without the permission."""
    if not isinstance(request.user, User) or not request.user.has_perm(permission):
        raise PermissionDenied(_("Your account lacks the permission “%(name)s”.") % {"name": permission})
    return request.user
