from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    name = "orchestrator"

    def ready(self) -> None:
        import orchestrator.celery  # noqa: F401 - makes our application Celery's current one in every process
