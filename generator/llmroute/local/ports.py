"""Looks at addresses of this machine: which ports are free, and what answers there."""

from __future__ import annotations

import errno
import http.client
import socket
from contextlib import ExitStack
from typing import Final

_TAKEN: Final = (errno.EADDRINUSE, errno.EACCES)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Choose ``count`` different TCP ports that nothing listens on right now.

    Nothing reserves them: for programs that cannot choose a port of their own (port 0).
    """
    with ExitStack() as stack:
        probes = [stack.enter_context(_probe(host, 0)) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


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
