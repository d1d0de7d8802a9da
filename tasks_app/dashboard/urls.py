"""The addresses of the pages. What begins with /ui/_ is a fragment that a page polls."""

from __future__ import annotations

from django.urls import path, re_path

from tasks_app.dashboard.views import access, overview, submit, task, tasks, verbs, workers

urlpatterns = [
    path("", overview.page, name="overview"),
    path("login/", access.Login.as_view(), name="login"),
    path("logout/", access.Logout.as_view(), name="logout"),
    path("ui/tasks/", tasks.page, name="tasks-page"),
    path("ui/tasks/<uuid:task_id>/", task.page, name="task-page"),
    path("ui/tasks/<uuid:task_id>/cancel/", verbs.cancel, name="task-cancel"),
    path("ui/tasks/<uuid:task_id>/retry/", verbs.retry, name="task-retry"),
    path("ui/tasks/<uuid:task_id>/webhook/resend/", verbs.resend_webhook, name="task-webhook-resend"),
    path("ui/submit/<str:task_type>/", submit.page, name="submit"),
    path("ui/workers/", workers.page, name="workers-page"),
    path("ui/workers/<str:name>/state/", workers.steer, name="worker-state"),
    path("ui/_overview/", overview.fragment, name="overview-fragment"),
    path("ui/_tasks/", tasks.fragment, name="tasks-fragment"),
    path("ui/_tasks/<uuid:task_id>/", task.fragment, name="task-fragment"),
    path("ui/_workers/", workers.fragment, name="workers-fragment"),
    # APPEND_SLASH is off for the API's sake, but people type addresses
    re_path(r"^(?:admin|login|ui/.*[^/])$", access.with_slash),
]
