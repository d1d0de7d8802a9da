"""Connections to public addresses only, for whatever goes to an address that a client named: images, webhooks.

What is checked is what is connected to, so no second lookup can differ.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out; the rest is special in some way


class RefusedAddress(httpcore.ConnectError):
    """A host that leads to no public address."""


class PublicOnly(httpcore.NetworkBackend):
    """Resolves the host itself and connects to the address that it checked; TLS still speaks to the host's name."""

    def __init__(self) -> None:
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """`timeout` is for all addresses together: a name may have many that do not answer."""
        failure: Exception = RefusedAddress(f"{host} has no public address")
        begun = time.monotonic()
        for address in resolve(host, port):
            if not is_public(address):
                continue
            left = None if timeout is None else timeout - (time.monotonic() - begun)
            if left is not None and left <= 0:
                raise httpcore.ConnectTimeout(f"{host} does not answer")
            try:
                return self._sockets.connect_tcp(str(address), port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def resolve(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from None
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def is_public(address: Address) -> bool:
    """Global, not multicast, and so is every IPv4 address that it may stand for."""
    return all(_is_global(each) for each in (address, *_embedded(address)))


def literal(host: str) -> Address | None:
    """The address that a host is, in any spelling that a resolver takes for one (`127.1`, `0x7f000001`)."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _is_global(address: Address) -> bool:
    known = address.version == 4 or any(address in network for network in (GLOBAL_UNICAST, NAT64, MAPPED))
    return known and address.is_global and not address.is_multicast


def _embedded(address: Address) -> Iterator[Address]:
    if not isinstance(address, ipaddress.IPv6Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if address in NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
