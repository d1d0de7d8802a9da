"""What a broker's address asks of its client: time-outs and TLS, for Redis and RabbitMQ. Pure; read by the settings."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

REDIS = ("redis://", "rediss://", "redis+socket://", "unix://")
AMQP = ("amqp://", "amqps://", "pyamqp://")
SEND_TIMEOUT = 3.0  # seconds that a broker may take to accept a message; a frozen one would take for ever


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths; empty: the system's authorities, no client certificate."""

    authority: str = ""
    certificate: str = ""
    key: str = ""


def is_redis(url: str) -> bool:
    return url.startswith(REDIS)


def is_amqp(url: str) -> bool:
    return url.startswith(AMQP)


def transport_options(url: str) -> dict[str, Any]:
    """For Celery. Without time-outs a half-open connection stops a worker for good."""
    if is_amqp(url):
        return {"confirm_publish": True, "write_timeout": int(SEND_TIMEOUT)}
    if is_redis(url) or url.startswith("sentinel"):
        return {
            "socket_timeout": 5.0,
            "socket_connect_timeout": 3.0,
            "socket_keepalive": True,
            "health_check_interval": 10,
        }
    return {}


def redis_tls(url: str, files: TlsFiles) -> dict[str, Any]:
    """Arguments of redis-py, which refuses them for an address without TLS."""
    if not url.startswith("rediss://"):
        return {}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True} | _named(
        files, "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"
    )


def celery_tls(url: str, files: TlsFiles) -> dict[str, Any] | None:
    """Celery's `broker_use_ssl`."""
    if url.startswith("amqps://"):
        named = _named(files, "ca_certs", "certfile", "keyfile")
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None} | named  # None: the host of the address
    return redis_tls(url, files) or None


def _named(files: TlsFiles, authority: str, certificate: str, key: str) -> dict[str, str]:
    values = {authority: files.authority, certificate: files.certificate, key: files.key}
    return {name: value for name, value in values.items() if value}
