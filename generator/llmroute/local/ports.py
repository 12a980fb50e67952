"""Looks at addresses of this machine: which ports are free, and what answers there."""

from __future__ import annotations

import errno
import http.client
import random
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Final

_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST: Final = 20_000
"""Below it are the ports that well-known programs, Envoy Gateway's among them, have for good."""
_TAKEN: Final = (errno.EADDRINUSE, errno.EACCES)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Choose ``count`` different TCP ports that nothing listens on right now.

    Nothing reserves them: for programs that cannot choose a port of their own (port 0). They lie below those
    that the system gives to outgoing connections: one of these would take such a port in a blink.

    Raises:
        OSError: when there are not so many.
    """
    end = _first_ephemeral()
    ports = list(range(_FIRST if end > _FIRST else end // 2, end))
    random.shuffle(ports)
    with ExitStack() as stack:
        found: list[int] = []
        for port in ports:
            if len(found) == count:
                break
            try:
                stack.enter_context(_probe(host, port))
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
            else:
                found.append(port)
    if len(found) < count:
        raise OSError(errno.EADDRINUSE, f"there are no {count} free ports")
    return found


def _first_ephemeral() -> int:
    """The lowest port of outgoing connections; Linux says it, and other systems begin higher than its default."""
    try:
        return int(_EPHEMERAL.read_text("ascii").split()[0])
    except OSError:
        return 32768


def free_port(host: str = "127.0.0.1") -> int:
    """Choose one TCP port that nothing listens on right now."""
    return free_ports(1, host)[0]


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen on ``host:port`` now.

    Raises:
        OSError: when the trouble is another one, such as a host that is not of this machine.
    """
    try:
        _probe(host, port).close()
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def http_get(address: tuple[str, int], path: str, timeout: float = 2.0) -> tuple[int, bytes]:
    """GET ``path`` at ``(host, port)``: status and body.

    Raises:
        OSError: when nothing answers within ``timeout`` seconds, or no HTTP.
    """
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(f"{address[0]}:{address[1]} does not speak HTTP: {error!r}") from error
    finally:
        connection.close()


def split_address(address: str) -> tuple[str, int]:
    """Split ``host:port``; an IPv6 host may stand in brackets.

    Raises:
        ValueError: when it is no such thing.
    """
    host, colon, port = address.strip().rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"not an address of the form host:port: {address!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _probe(host: str, port: int) -> socket.socket:
    """Bind as a server would: past connections that linger do not make a port busy."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    probe = socket.socket(family, kind, protocol)
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
    except BaseException:
        probe.close()
        raise
    return probe
