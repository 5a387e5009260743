"""Messages between a Worker and whoever started it."""

from __future__ import annotations

import json
import select
import socket
from typing import Any


class Mail:
    """JSON lines over a socket, which can say whether another one has come."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = b""

    def send(self, message: dict[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """Wait for a message; None when the socket is closed."""
        while b"\n" not in self._unread:
            received = self._connection.recv(1 << 16)
            if not received:
                return None
            self._unread += received
        line, self._unread = self._unread.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def has_more(self) -> bool:
        """Whether a message, or the end, is here already."""
        return bool(self._unread) or bool(select.select([self._connection], [], [], 0)[0])
