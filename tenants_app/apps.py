from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "tenants_app"
    verbose_name = "Organizations and access"
    default_auto_field = "django.db.models.BigAutoField"
