"""Addresses of the views for starting and cancelling runs by hand."""

from django.urls import path

from scheduling import views

app_name = "scheduling"
urlpatterns = [
    path("schedules/<int:schedule_id>/run/", views.RunSchedule.as_view(), name="run-schedule"),
    path("runs/start/", views.StartRun.as_view(), name="start-run"),
    path("runs/<int:run_id>/cancel/", views.CancelRun.as_view(), name="cancel-run"),
]
