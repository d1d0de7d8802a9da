"""What to do about each thing that can be wrong: words only, by the codes that the API gives. Pure."""

from __future__ import annotations

UNREACHABLE = "Start Baton with `make run`, or name a running one with --url."
NOT_BATON = "Something else uses this address: name Baton's with --url, or start Baton on another PORT."
NO_KEY = "Give one with --api-key, or run this where DATA_DIR/credentials.json is. The admin makes new keys."

START_WORKER = "Start one: see WORKERS for `make run`, or its command in the README. A worker's log says why it ended."
START_SCHEDULER = "Start `manage.py run_scheduler`; with `make run` look into DATA_DIR/log/scheduler.log."
RESUME_WORKER = "Resume one on the page Workers; a quarantined one says there what is wrong with its device."

READINESS = {
    "database": "PostgreSQL must answer at DATABASE_URL; with `make run` look into DATA_DIR/log/postgres.log.",
    "migrations": "Run `manage.py migrate`.",
    "broker": "It must answer and take messages at CELERY_BROKER_URL. Accepted tasks wait for it; none is lost.",
    "scheduler": START_SCHEDULER,
    "worker": START_WORKER,
}

FAILURES = {
    "invalid_input": "The model refuses this short request: read its limits in the catalogue.",
    "model_load_failed": "Check the model's source and dtype in MODELS_FILE; the worker's machine must have the folder "
    "or reach the hub. The worker's log has the library's whole message.",
    "cuda_out_of_memory": "Take a smaller model or dtype, set its limits (max_pixels, max_new_tokens) in MODELS_FILE, "
    "or stop other programs that use the GPU.",
    "worker_lost": "A worker died or was cut off while it ran this. See its log and the kernel's (out of memory).",
    "engine_crashed": "The engine process died or hung. The worker's log has its last words.",
    "execution_timeout": "The device is too slow for this model; take a smaller one or give tasks a longer "
    "execution_timeout.",
    "artifact_store_failed": "The worker cannot write to DATA_DIR/artifacts: space, permissions, another DATA_DIR?",
    "download_failed": "The worker cannot fetch the image; it needs the network, or send a data URL.",
    "poisoned": "This request kills its engine each time. The worker's log has the engine's last words.",
    "internal_error": "A mistake in Baton or in a library: the worker's log has the traceback.",
}

_REFUSALS = {
    "model_not_found": "GET /models/ lists what is enabled; name a model of this type in MODELS_FILE and restart.",
    "no_capable_worker": "Start a worker that runs it: WORKER_KINDS and WORKER_MODELS say what each takes, the page "
    "Workers how much memory it has.",
    "unauthenticated": NO_KEY,
    "permission_denied": "This key may not do that: take a key of another role.",
    "database_unavailable": READINESS["database"],
}


def of_refusal(status: int, code: str) -> str:
    if code in _REFUSALS:
        return _REFUSALS[code]
    if status == 429:
        return "A limit of the organization is reached: try again later."
    return "The web process's log has more, under the X-Request-Id of the answer." if status >= 500 else ""


def of_failure(code: str) -> str:
    return FAILURES.get(code, FAILURES["internal_error"])
