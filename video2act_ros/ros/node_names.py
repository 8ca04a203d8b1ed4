"""One node of a name in each ROS domain: a second one on this machine is refused.

A name is held as an abstract Unix socket. The kernel lets go of it when its process ends, however it ends, and
keeps one set of names for each network namespace: as far as DDS reaches on a machine, containers and other
users included. Nothing is written to the disk. Other machines are not seen here; the command node looks for
those on its command topics.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
import struct
from collections.abc import Mapping

from video2act_ros.core.errors import ConfigurationError

_PREFIX = "video2act_ros"
_LONGEST = 100  # bytes of a socket's name; the kernel takes 107
_REMEDY = "give this one another namespace (namespace:=NAME), or another ROS_DOMAIN_ID"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of the other side


class NodeName:
    """Holds a node's name from `take` until `release` or the end of the process."""

    def __init__(self, full_name: str, domain_id: int) -> None:
        """Say which name: `full_name` is the fully qualified one, as in `/left/command`."""
        self._full_name = full_name
        self._domain_id = domain_id
        self._socket: socket.socket | None = None

    def take(self) -> None:
        """Take the name, where the system has such sockets.

        Raises:
            ConfigurationError: another process, or this one, holds it.
        """
        with contextlib.suppress(AttributeError):  # no Unix sockets
            held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                held.bind(self._address())
                held.listen()
                self._socket = held
            except OSError as error:
                held.close()
                if error.errno == errno.EADDRINUSE:
                    raise ConfigurationError(self._refusal()) from None
                # not Linux, or not permitted: a safeguard that is missing keeps no robot from starting

    def release(self) -> None:
        """Let go of the name."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _address(self) -> bytes:
        name = f"{_PREFIX}:{self._domain_id}:{self._full_name}".encode()
        if len(name) > _LONGEST:
            name = f"{_PREFIX}:{hashlib.sha256(name).hexdigest()}".encode()
        return b"\0" + name

    def _refusal(self) -> str:
        holder = self._holder()
        where = f"in process {holder}" if holder else "in another process"
        return (
            f"node {self._full_name} runs already in ROS domain {self._domain_id}, {where} on this machine; "
            f"stop that one, or {_REMEDY}"
        )

    def _holder(self) -> int:
        """Return the process id of who holds the name; 0 if it cannot be told."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            asking.connect(self._address())
            credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(credentials)[0])
        return 0


def check_names(full_names: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Check that none of these nodes runs already in the domain that `environ` names.

    Raises:
        ConfigurationError: one does, or ROS_DOMAIN_ID is no number.
    """
    text = environ.get("ROS_DOMAIN_ID") or "0"
    if not text.isdecimal():
        raise ConfigurationError(f"ROS_DOMAIN_ID is '{text}'; export a number from 0 to 101")
    for full_name in full_names:
        name = NodeName(full_name, int(text))
        name.take()
        name.release()
