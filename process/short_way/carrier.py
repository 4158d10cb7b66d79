"""One end of a call's short way: a connected Unix socket that keeps packets whole."""

from __future__ import annotations

import contextlib
import os
import socket
import struct

from process.short_way.messages import MOST, Bye, Malformed, Message, decode, encode

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)


class Broken(Exception):
    """The other end is gone without a word, or not to be understood."""


class Carrier:
    """Sends and receives messages; neither ever waits.

    What the other end has not read yet lies in the kernel's buffer, some hundred messages.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected

    def fileno(self) -> int:
        """The descriptor, for whoever waits until there is something to receive; -1 once closed."""
        return self._socket.fileno()

    def send(self, message: Message) -> bool:
        """Hand a message over; False when the other end has too many unread already.

        Raises:
            Broken: the other end is gone.
        """
        try:
            self._socket.send(encode(message))
        except BlockingIOError:
            return False
        except OSError as error:
            raise Broken(str(error)) from error
        return True

    def receive(self) -> Message | None:
        """The next message; null when there is none yet.

        Raises:
            Broken: the other end is gone without a BYE, or what it sent is no message.
        """
        try:
            packet = self._socket.recv(MOST + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Broken(str(error)) from error
        if not packet:
            raise Broken("the other end has closed")
        try:
            return decode(packet)
        except Malformed as error:
            raise Broken(f"not to be understood: {error}") from error

    def close(self, *, bye: bool = False) -> None:
        """Close; with `bye`, the call is over and the other end is told so."""
        if self._socket.fileno() < 0:
            return
        if bye:
            with contextlib.suppress(OSError):  # it has left before us, or reads nothing
                self._socket.send(encode(Bye()))
        self._socket.close()


def is_own_user(connected: socket.socket) -> bool:
    """Whether the process at the other end runs as the same user."""
    given = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(given)[1] == os.geteuid())
