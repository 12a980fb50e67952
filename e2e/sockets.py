"""What Linux knows of the two ends of a connection on this machine: whether the other end has read all that was sent.

``/proc/net/tcp`` says it as well, but it is the table of all sockets and takes milliseconds to read; ``sock_diag`` answers
for one socket in microseconds.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import Final

_SOCK_DIAG: Final = 4
"""The family of netlink that answers about sockets."""
_BY_FAMILY: Final = 20
"""The type of a question about a socket, and of its answer."""
_REQUEST: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_ANY_STATE: Final = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
_ANY_COOKIE: Final = struct.pack("=I8s", 0, b"\xff" * 8)
_QUEUED: Final = struct.Struct("=I")
_QUEUED_AT: Final = _HEADER.size + 4 + 48 + 4
"""Where an answer says how many bytes wait to be read: after state, addresses and timer."""

Address = tuple[str, int]


class Sockets:
    """Asks the kernel. To be closed."""

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)

    def close(self) -> None:
        """Ask no more."""
        self._netlink.close()

    def read_by_peer(self, ours: socket.socket) -> bool:
        """Whether all that was sent over ``ours`` has been taken by the program at the other end.

        First it must have arrived, then it must be gone: in this order nothing can be under way unseen.

        Raises:
            ConnectionError: the other end is gone.
        """
        return not _unsent(ours) and not self._unread(ours.getpeername(), ours.getsockname())

    def _unread(self, local: Address, remote: Address) -> int:
        ports = struct.pack("!HH", local[1], remote[1])
        addresses = struct.pack("4s12x4s12x", socket.inet_aton(local[0]), socket.inet_aton(remote[0]))
        question = _ANY_STATE + ports + addresses + _ANY_COOKIE
        self._netlink.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST, 0, 0) + question)
        answer = self._netlink.recv(4096)
        if _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
            raise ConnectionError(f"no socket {local} - {remote}")
        return int(_QUEUED.unpack_from(answer, _QUEUED_AT)[0])


def _unsent(sock: socket.socket) -> int:
    """Bytes that the kernel of the other end does not have yet."""
    return int(struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0])
