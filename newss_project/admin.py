"""Users, groups and stored jobs in the admin's own look, and what the list of schedules offers that takes both apps."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_apscheduler.admin import DjangoJobAdmin, DjangoJobExecutionAdmin
from django_apscheduler.models import DjangoJob, DjangoJobExecution
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelect2MultipleWidget

from scheduling.admin.deleting import DeletingMixin
from scheduling.admin.remembered import ListMixin, SearchMixin
from scheduling.admin.schedules import ScheduleAdmin
from scheduling.display import badge_html
from scheduling.models import Schedule
from scrapers import transfer

admin.site.unregister(User)
admin.site.unregister(Group)
admin.site.unregister(DjangoJob)
admin.site.unregister(DjangoJobExecution)


DEFAULTS = {
    "add": _("Can add %(what)s"),
    "change": _("Can change %(what)s"),
    "delete": _("Can delete %(what)s"),
    "view": _("Can view %(what)s"),
}
"""Django's own permissions, whose names it stores in English."""


LOOKS = {
    DjangoJobExecution.SUCCESS: ("green", "check_circle"),
    DjangoJobExecution.SENT: ("blue", "play_circle"),
    DjangoJobExecution.ERROR: ("red", "error"),
}
"""Colour and icon of what django-apscheduler says of an execution."""


class PermissionsField(ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Permissions to choose from, in the language of the page."""

    def label_from_instance(self, permission: Any) -> str:
        """Return the app, the model and what may be done with it."""
        model = permission.content_type.model_class()
        action = DEFAULTS.get(permission.codename.partition("_")[0])
        if action and model and permission.codename.endswith(f"_{model._meta.model_name}"):
            words = action % {"what": model._meta.verbose_name}
        else:
            words = gettext(permission.name)
        return f"{permission.content_type.app_labeled_name} | {words}"


class PermissionsAdmin(DeletingMixin, ListMixin, ModelAdmin):  # type: ignore[misc]
    """What has permissions: its form names them in the language of the page."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return the form field of a many-to-many field."""
        if db_field.remote_field.model is Permission:
            kwargs["form_class"] = PermissionsField
        # The two lists with arrows between them that Django offers cannot be read by everybody.
        kwargs["widget"] = UnfoldAdminSelect2MultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, PermissionsAdmin):  # type: ignore[type-arg]
    """Django's users."""

    card_columns = ("username",)
    filter_horizontal = ()
    form: Any = UserChangeForm
    add_form: Any = UserCreationForm
    change_password_form: Any = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, PermissionsAdmin):
    """Django's groups."""

    filter_horizontal = ()


@admin.register(DjangoJob)
class JobAdmin(SearchMixin, DjangoJobAdmin):  # type: ignore[misc]
    """django-apscheduler's own list of jobs."""


@admin.register(DjangoJobExecution)
class ExecutionAdmin(DjangoJobExecutionAdmin):  # type: ignore[misc]
    """django-apscheduler's own list of executions, in colours that can be read."""

    @admin.display(description=_("Status"))
    def html_status(self, execution: Any) -> SafeString:
        """Return how it went, by word, colour and icon."""
        colour, icon = LOOKS.get(execution.status, ("amber", "schedule"))
        return badge_html(execution.status, colour, icon)


@admin.action(description=_("Export as JSON"), permissions=["view"])
def export_schedules(model_admin: Any, request: HttpRequest, queryset: QuerySet[Schedule]) -> HttpResponse:
    """Answer the chosen schedules as a file that `import_config` takes elsewhere; secrets are masked."""
    text = transfer.to_text(transfer.dump_schedules(queryset.prefetch_related("tags")), "json")
    headers = {"Content-Disposition": 'attachment; filename="schedules.json"'}
    return HttpResponse(text, content_type="application/json; charset=utf-8", headers=headers)


# What a schedule's job names, only the apps together can write down.
ScheduleAdmin.actions = (*ScheduleAdmin.actions, "export_schedules")
ScheduleAdmin.export_schedules = export_schedules  # type: ignore[attr-defined]
