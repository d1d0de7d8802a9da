"""Every setting of Baton, read from the environment (or `.env`) in one place; a wrong value stops the start.

`DATABASE_URL` and `CELERY_BROKER_URL` are set by `orchestrator.local` for the embedded start.
"""

import hmac
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from environs import Env, EnvError, validate

from orchestrator import broker

env = Env()
env.read_env(str(Path(__file__).resolve().parent.parent / ".env"))

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("DATA_DIR", str(BASE_DIR / ".data"))).absolute()
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY")
HOST = env.str("HOST", "127.0.0.1")
PORT = env.int("PORT", 8002)
BASE_URL = env.str("BASE_URL", f"http://{HOST}:{PORT}").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]", urlsplit(BASE_URL).hostname or HOST])
CSRF_TRUSTED_ORIGINS = [BASE_URL]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
    "django_celery_results",
    "orchestrator",
    "tenants_app",
    "workers_app",
    "tasks_app",
]

MIDDLEWARE = [
    "orchestrator.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tasks_app.api.limiting.RateLimitHeaders",
]

ROOT_URLCONF = "orchestrator.urls"
ASGI_APPLICATION = "orchestrator.asgi.application"
APPEND_SLASH = False  # the API takes both forms; a redirect would lose the body of a POST
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# ---------------------------------------------------------------- database

DATABASE_POOL = env.bool("DATABASE_POOL", False)  # on in the web process: its threads come and go
# A frozen process must not hide a row for ever, nor a slow statement hold a slot.
_GUARDS = "-c idle_in_transaction_session_timeout=10s -c statement_timeout=30s -c lock_timeout=5s -c timezone=UTC"
DATABASES = {"default": env.dj_db_url("DATABASE_URL")}
DATABASES["default"].update(
    CONN_MAX_AGE=0 if DATABASE_POOL else None,
    CONN_HEALTH_CHECKS=DATABASE_POOL,
    OPTIONS={
        **DATABASES["default"].get("OPTIONS", {}),
        "options": _GUARDS,
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        **(
            {"pool": {"min_size": 2, "max_size": env.int("DATABASE_POOL_SIZE", 16), "timeout": 5}}
            if DATABASE_POOL
            else {}
        ),
    },
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ---------------------------------------------------------------- broker and hints

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL")
CELERY_TASK_DEFAULT_QUEUE = "gpu_queue"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_DIRECT = True  # a queue per worker: placement is the scheduler's, up to the last moment
CELERY_TASK_IGNORE_RESULT = True  # the finishing transaction writes the TaskResult row itself
CELERY_RESULT_BACKEND = "django-db"  # so that AsyncResult(attempt_id) can read it
CELERY_TASK_ACKS_LATE = False  # recovery is the lease's job
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_TIMEOUT = 3
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TIMEZONE = "UTC"
CELERY_DB_REUSE_MAX = 1000
CELERY_BROKER_TRANSPORT_OPTIONS = broker.transport_options(CELERY_BROKER_URL)
CELERY_BROKER_HEARTBEAT = 10  # seconds; of RabbitMQ alone: a connection that is silent for longer is made again
# For amqps:// and rediss://, the broker's and the hints' alike. Empty: the system's authorities, no client certificate.
BROKER_TLS = broker.TlsFiles(
    env.str("BROKER_CA_FILE", ""), env.str("BROKER_CERT_FILE", ""), env.str("BROKER_KEY_FILE", "")
)
CELERY_BROKER_USE_SSL = broker.celery_tls(CELERY_BROKER_URL, BROKER_TLS)
# Live hints (wake-ups, "task changed"). Losing them costs a second, never an event. Empty: no hints, only polling.
REDIS_URL = env.str("REDIS_URL", "")
if not REDIS_URL and CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
    REDIS_URL = CELERY_BROKER_URL
STREAM_LENGTH = env.int("STREAM_LENGTH", 5000)  # entries of live output kept in Redis per attempt, 20 a second at most
REDIS_TLS = broker.redis_tls(REDIS_URL, BROKER_TLS)

# ---------------------------------------------------------------- orchestration

HEARTBEAT_INTERVAL = env.float("HEARTBEAT_INTERVAL", 2.0)  # seconds between two heartbeats of a worker
LEASE_SECONDS = env.float("LEASE_SECONDS", 10.0)  # five missed heartbeats: the worker is lost
SCHEDULER_INTERVAL = env.float("SCHEDULER_INTERVAL", 1.0)  # seconds; it looks by itself this often, hints or not
CLAIM_TIMEOUT = env.float("CLAIM_TIMEOUT", 5.0)  # seconds after which an unclaimed dispatch is sent again
RETRY_BACKOFF_SECONDS = env.float("RETRY_BACKOFF_SECONDS", 1.0)  # first retry; doubles up to RETRY_BACKOFF_MAX_SECONDS
RETRY_BACKOFF_MAX_SECONDS = env.float("RETRY_BACKOFF_MAX_SECONDS", 60.0)
CANCEL_GRACE_SECONDS = env.float("CANCEL_GRACE_SECONDS", 5.0)  # cooperative stop; then the engine is killed
STALL_SECONDS = env.float("STALL_SECONDS", 120.0)  # no step of a busy model for so long: the engine hangs
MODEL_LOAD_SECONDS = env.float("MODEL_LOAD_SECONDS", 1800.0)  # a load that takes longer has failed
WORKER_NAME = env.str("WORKER_NAME", "")  # empty: the part of Celery's --hostname before the @
WORKER_KINDS = env.list("WORKER_KINDS", ["llm", "stable_diffusion", "tts", "image_to_text"])
WORKER_MODELS: list[str] = env.list("WORKER_MODELS", [])  # names this worker may run; empty: all of the catalogue
WORKER_DRAIN_SECONDS = env.float("WORKER_DRAIN_SECONDS", 30.0)  # SIGTERM: so long running work may still finish

# Somebody else's Celery workers as an external pool (docs/external-workers.md). Empty: there is none.
EXTERNAL_BROKER_URL = env.str("EXTERNAL_BROKER_URL", "")
EXTERNAL_RESULT_BACKEND = env.str("EXTERNAL_RESULT_BACKEND", "") or EXTERNAL_BROKER_URL
EXTERNAL_QUEUE = env.str("EXTERNAL_QUEUE", "gpu_queue")
EXTERNAL_START_SECONDS = env.float("EXTERNAL_START_SECONDS", 600.0)  # not started there by then: back to the queue
WORKER_EXTERNAL = env.bool("WORKER_EXTERNAL", False)  # this worker hands its tasks to the external pool
if WORKER_EXTERNAL and not EXTERNAL_BROKER_URL:
    raise EnvError("WORKER_EXTERNAL needs EXTERNAL_BROKER_URL")

MODELS_FILE = env.str("MODELS_FILE", str(BASE_DIR / "models.toml"))
SIMULATED_MODELS = env.bool("SIMULATED_MODELS", True)

DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024  # bytes of one JSON body: a data URL of a 14 MB image fits
MAX_IMAGE_BYTES = 14 * 1024 * 1024
MAX_IMAGE_PIXELS = 64_000_000
# Workers download the images that clients name; only public addresses, unless an intranet wants otherwise.
ALLOW_PRIVATE_IMAGE_HOSTS = env.bool("ALLOW_PRIVATE_IMAGE_HOSTS", False)
# The same for webhooks, which go to addresses that clients name.
ALLOW_PRIVATE_WEBHOOK_HOSTS = env.bool("ALLOW_PRIVATE_WEBHOOK_HOSTS", False)
WEBHOOK_TIMEOUT_SECONDS = env.float("WEBHOOK_TIMEOUT_SECONDS", 10.0)  # for a whole exchange with a receiver
WEBHOOK_RETRY_FACTOR = env.float("WEBHOOK_RETRY_FACTOR", 1.0)  # stretches the times between two tries
# So long a call under /v1 is held; OpenAI's own clients wait as long.
OPENAI_WAIT_SECONDS = env.int("OPENAI_WAIT_SECONDS", 600, validate=validate.Range(1, 86_400))
WEB_THREADS = env.int("WEB_THREADS", 12)  # of one web process; fewer than DATABASE_POOL_SIZE, so that none waits long

# ---------------------------------------------------------------- files

MEDIA_ROOT = DATA_DIR / "artifacts"
FILE_UPLOAD_PERMISSIONS = 0o600
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]

# ---------------------------------------------------------------- people, time, safety

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_NAME = "baton_session"
CSRF_COOKIE_NAME = "baton_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
X_FRAME_OPTIONS = "DENY"

# ---------------------------------------------------------------- API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants_app.authentication.ApiKeyAuthentication",
        "tenants_app.authentication.AccessTokenAuthentication",
        "tenants_app.authentication.OperatorSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["tenants_app.permissions.RolePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["tasks_app.api.limiting.RequestLimit"],
    "DEFAULT_RENDERER_CLASSES": ["tasks_app.api.renderers.OrjsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tasks_app.api.renderers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "tasks_app.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
# Tokens of people who sign in over the API: the access token's life is how long nobody asks for the refresh token.
JWT_ACCESS_SECONDS = env.int("JWT_ACCESS_SECONDS", 300)
JWT_REFRESH_SECONDS = env.int("JWT_REFRESH_SECONDS", 7 * 24 * 3600)  # without use; each use begins it anew
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": hmac.digest(SECRET_KEY.encode(), b"baton.jwt", "sha256").hex(),  # never the key of the sessions
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=JWT_ACCESS_SECONDS),
    "REFRESH_TOKEN_LIFETIME": timedelta(seconds=JWT_REFRESH_SECONDS),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Baton",
    "DESCRIPTION": "One API and one queue for AI inference on your own GPUs.",
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.0",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "ENUM_NAME_OVERRIDES": {
        "FailureCode": "tasks_app.schemas.bulk.CODES",
        "ImageFormat": ["png", "webp", "jpeg"],
        "WorkerHealthWord": ["online", "late", "lost", "stopped"],
        "WorkerState": ["active", "draining", "paused", "retired"],
        "DeliveryState": ["pending", "delivered", "failed"],
        "MemberRole": ["viewer", "operator", "admin"],
        "CallerRole": ["viewer", "operator", "admin", "staff"],
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# ---------------------------------------------------------------- logs

LOG_FORMAT = env.str("LOG_FORMAT", "console")  # console, json
LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
LOGGING_CONFIG = "orchestrator.logs.configure"
LOGGING = {"format": LOG_FORMAT, "level": LOG_LEVEL}
