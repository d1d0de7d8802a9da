"""/healthz: the process answers. /readyz: what it needs answers too, each within a second or two."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import redis
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from kombu import Connection, Producer
from kombu.exceptions import KombuError
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from orchestrator import broker
from tasks_app import hints
from tasks_app.api.documents import base as documents
from tasks_app.scheduling import leader
from workers_app.selectors import present_workers
from workers_app.stats import Summary

TIMEOUT = 2.0  # seconds for all dependencies together: they are asked at the same time
NOBODYS_QUEUE = "baton.readiness"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    ok: bool
    detail: str


class Probe:
    """Asks on a thread of its own, since a frozen server runs into no driver's time-out. One question at a time."""

    def __init__(self, names: tuple[str, ...], ask: Callable[[], dict[str, Verdict]]) -> None:
        self._names, self._ask = names, ask
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._answered.set()
        self._verdicts: dict[str, Verdict] = {}

    def begin(self) -> None:
        with self._lock:
            if self._answered.is_set():
                self._answered.clear()
                self._verdicts = {}
                threading.Thread(target=self._run, name="readiness", daemon=True).start()

    def verdicts(self, until: float) -> dict[str, Verdict]:
        self._answered.wait(max(0.0, until - time.monotonic()))
        silent = Verdict(False, f"no answer within {TIMEOUT:g} s")
        return {name: self._verdicts.get(name, silent) for name in self._names}

    def _run(self) -> None:
        try:
            self._verdicts = self._ask()
        except Exception as error:  # noqa: BLE001  the boundary of a thread: whatever it was, the answer is "not ready"
            log.warning("readiness_unknown", reason=str(error))
            self._verdicts = {name: Verdict(False, str(error).strip()) for name in self._names}
        finally:
            self._answered.set()


_migrated = False  # once true, always true for this code


def ask_database() -> dict[str, Verdict]:
    try:
        connection.ensure_connection()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        migrations = _migrations()
        unknown = Verdict(False, "not known before the migrations ran")
        scheduler, worker = (_scheduler(), _worker()) if migrations.ok else (unknown, unknown)
    except DatabaseError as error:
        away = Verdict(False, str(error).strip().splitlines()[0])
        return dict.fromkeys(("database", "migrations", "scheduler", "worker"), away)
    finally:
        connection.close()
    return {"database": Verdict(True, "answers"), "migrations": migrations, "scheduler": scheduler, "worker": worker}


def _migrations() -> Verdict:
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return Verdict(False, f"{len(missing)} to run, first {missing[0][0]}: manage.py migrate")
        _migrated = True
    return Verdict(True, "all run")


def _scheduler() -> Verdict:
    return Verdict(True, "leads") if leader.exists() else Verdict(False, "no scheduler leads")


def _worker() -> Verdict:
    online = Summary.of(present_workers(), timezone.now()).online
    return Verdict(online > 0, f"{online} online")


def ask_broker() -> dict[str, Verdict]:
    url = settings.CELERY_BROKER_URL
    if broker.is_redis(url):
        return {"broker": _redis(url)}
    return {"broker": _rabbitmq(url) if broker.is_amqp(url) else _other_broker(url)}


def _redis(url: str) -> Verdict:
    try:
        tls = broker.redis_tls(url, settings.BROKER_TLS)
        with redis.Redis.from_url(hints.address(url), socket_timeout=1.0, socket_connect_timeout=1.0, **tls) as client:
            client.ping()
            return _eviction(client)
    except redis.RedisError as error:
        return Verdict(False, str(error) or type(error).__name__)


def _eviction(client: redis.Redis) -> Verdict:
    """A server that evicts keys when it is full loses whole queues."""
    try:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.ResponseError:
        return Verdict(True, "answers; whether it is noeviction it does not tell")
    if policy != "noeviction":
        return Verdict(False, f"maxmemory-policy is {policy}, it must be noeviction")
    return Verdict(True, "answers, noeviction")


def _rabbitmq(url: str) -> Verdict:
    """Sends a message that no queue takes: under an alarm RabbitMQ lets everybody in, and accepts nothing."""
    tls = broker.celery_tls(url, settings.BROKER_TLS)
    server = Connection(url, connect_timeout=1.0, transport_options=broker.transport_options(url), ssl=tls)
    try:
        server.ensure_connection(max_retries=1, timeout=1.0)
        Producer(server.default_channel).publish({}, routing_key=NOBODYS_QUEUE, timeout=1.0, confirm_timeout=1.0)
    except TimeoutError:
        return Verdict(False, "accepts no messages: frozen, or blocked by its memory or disk alarm")
    except (KombuError, OSError, *server.connection_errors, *server.channel_errors) as error:
        return Verdict(False, str(error) or type(error).__name__)
    finally:
        server.collect()  # an orderly farewell would wait for the answer of a blocked server
    return Verdict(True, "answers, takes messages")


def _other_broker(url: str) -> Verdict:
    try:
        with Connection(url, connect_timeout=1.0) as server:
            server.ensure_connection(max_retries=1, timeout=1.0)
    except (KombuError, OSError) as error:
        return Verdict(False, str(error) or type(error).__name__)
    return Verdict(True, "answers")


PROBES = (Probe(("database", "migrations", "scheduler", "worker"), ask_database), Probe(("broker",), ask_broker))


def readiness() -> dict[str, Verdict]:
    until = time.monotonic() + TIMEOUT
    for probe in PROBES:
        probe.begin()
    found = {name: verdict for probe in PROBES for name, verdict in probe.verdicts(until).items()}
    return {name: found[name] for name in ("database", "migrations", "broker", "scheduler", "worker")}


class VerdictShape(serializers.Serializer[Verdict]):
    ok = serializers.BooleanField()
    detail = serializers.CharField()


class ReadyShape(serializers.Serializer[object]):
    database = VerdictShape()
    migrations = VerdictShape()
    broker = VerdictShape()
    scheduler = VerdictShape()
    worker = VerdictShape()


class HealthShape(serializers.Serializer[object]):
    status = serializers.CharField()


class Healthz(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @documents.call(operation_id="healthz", tags=["probes"], summary="The process answers", responses=HealthShape)
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class Readyz(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    @documents.call(
        operation_id="readyz",
        tags=["probes"],
        summary="What it needs answers too",
        responses={200: ReadyShape, 503: ReadyShape},
    )
    def get(self, request: Request) -> Response:
        found = readiness()
        status = 200 if all(verdict.ok for verdict in found.values()) else 503
        response = Response({name: asdict(verdict) for name, verdict in found.items()}, status=status)
        response._has_been_logged = True  # type: ignore[attr-defined]  # "not yet" is an answer, not an error of Django's
        return response
