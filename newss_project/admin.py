"""Users and groups in the admin's own look, and what the list of schedules offers that takes both apps."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from scheduling.admin.schedules import ScheduleAdmin
from scheduling.models import Schedule
from scrapers import transfer

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg,misc]
    """Django's users."""

    form: Any = UserChangeForm
    add_form: Any = UserCreationForm
    change_password_form: Any = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Django's groups."""


@admin.action(description=_("Export as JSON"), permissions=["view"])
def export_schedules(model_admin: Any, request: HttpRequest, queryset: QuerySet[Schedule]) -> HttpResponse:
    """Answer the chosen schedules as a file that `import_config` takes elsewhere; secrets are masked."""
    text = transfer.to_text(transfer.dump_schedules(queryset.prefetch_related("tags")), "json")
    headers = {"Content-Disposition": 'attachment; filename="schedules.json"'}
    return HttpResponse(text, content_type="application/json; charset=utf-8", headers=headers)


# What a schedule's job names, only the apps together can write down.
ScheduleAdmin.actions = (*ScheduleAdmin.actions, "export_schedules")
ScheduleAdmin.export_schedules = export_schedules  # type: ignore[attr-defined]
