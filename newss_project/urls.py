"""The addresses of NEWSS: the admin, the views of `scheduling`, the API."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from newss_project import dashboard, moving
from newss_project.api import api

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/dashboard/strip/", admin.site.admin_view(dashboard.live_strip), name="dashboard_strip"),
    path("i18n/", include("django.conf.urls.i18n")),
    path("admin/dashboard/live/", admin.site.admin_view(dashboard.live), name="dashboard_live"),
    path("admin/move/", admin.site.admin_view(moving.move_view), name="move"),
    path("admin/move/newss.<str:form>", admin.site.admin_view(moving.export_view), name="move_export"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("", include("scheduling.urls")),
]
