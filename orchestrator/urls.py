"""Every address: the API, its documents, the probes, the admin and the pages."""

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularSwaggerView

from orchestrator.health import Healthz, Readyz
from orchestrator.openapi import SchemaView

handler400 = "tasks_app.api.error_pages.bad_request"
handler403 = "tasks_app.api.error_pages.permission_denied"
handler404 = "tasks_app.api.error_pages.page_not_found"
handler500 = "tasks_app.api.error_pages.server_error"

urlpatterns = [
    re_path(r"^healthz/?$", Healthz.as_view(), name="healthz"),
    re_path(r"^readyz/?$", Readyz.as_view(), name="readyz"),
    re_path(r"^schema/?$", SchemaView.as_view(), name="schema"),
    re_path(r"^docs/?$", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("", include("tasks_app.api.urls")),
    path("", include("tasks_app.openai.urls")),
    path("admin/", admin.site.urls),
    path("", include("tasks_app.dashboard.urls")),
]
