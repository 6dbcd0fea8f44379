"""Addresses of the views for starting runs by hand."""

from django.urls import URLPattern

app_name = "scheduling"
urlpatterns: list[URLPattern] = []
