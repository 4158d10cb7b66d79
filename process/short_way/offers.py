"""Who may take a call's short way, and where it is offered.

The offer is a listening socket in a folder that only our own user can enter. Its name comes from
the call's token, and the token alone is told: the taker finds the socket in its own data folder,
or it is on another machine and finds none.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from process.short_way.carrier import Broken, Carrier, is_own_user
from process.short_way.messages import Hello
from process.unix_sockets import short_path

ATTRIBUTE = "offhook.shortWay"
"""The participant attribute that carries a call's token."""
_BACKLOG = 4
_GREETING_S = 1.0  # so long a connection may stay silent


class NoFolder(Exception):
    """The folder of offers cannot be had, or is not ours alone; the text says why."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An offer that was taken: the way, and which participant of the room took it."""

    carrier: Carrier
    identity: str


@dataclass(slots=True)
class Offer:
    """One call's offer: the first who shows the token has it, nobody else ever.

    `look` and `close` belong to one thread.
    """

    token: str
    _path: Path
    _listening: socket.socket
    _waiting: list[tuple[socket.socket, float]] = field(default_factory=list)

    def accepted(self, now: float, rate: int) -> Taken | None:
        """Who took it, greeted with the sound's rate (Hz); null while nobody has. Never waits."""
        self._accept(now)
        for connected, since in list(self._waiting):
            carrier = Carrier(connected)
            try:
                greeting = carrier.receive()
                if isinstance(greeting, Hello) and hmac.compare_digest(greeting.token, self.token):
                    carrier.send(Hello(rate=rate))
                    self._waiting.remove((connected, since))
                    self.close()
                    return Taken(carrier, greeting.identity)
                refused = greeting is not None or now - since > _GREETING_S
            except Broken:
                refused = True
            if refused:
                self._waiting.remove((connected, since))
                carrier.close()
        return None

    def close(self) -> None:
        """Offer it no longer."""
        for connected, _ in self._waiting:
            connected.close()
        self._waiting.clear()
        self._listening.close()
        self._path.unlink(missing_ok=True)

    def _accept(self, now: float) -> None:
        with suppress(OSError):  # nobody is there, or is gone again
            while len(self._waiting) < _BACKLOG:
                connected, _ = self._listening.accept()
                connected.setblocking(False)
                if is_own_user(connected):
                    self._waiting.append((connected, now))
                else:
                    connected.close()


class Folder:
    """Where offers lie: `run/short-way` in the data folder, mode 0700."""

    def __init__(self, data: Path) -> None:
        self._path = data / "run" / "short-way"

    def prepare(self) -> None:
        """Make the folder, and remove what a process that died has left; raises NoFolder."""
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.chmod(0o700)
        except OSError as error:
            raise NoFolder(f"{self._path}: {error.strerror}") from error
        self._check()
        for left in self._path.glob("*.sock"):
            probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with probe, short_path(left) as at:
                try:
                    probe.connect(at)
                except OSError:
                    left.unlink(missing_ok=True)

    def offer(self) -> Offer:
        """A new call's offer; raises NoFolder."""
        self._check()
        token = secrets.token_hex(16)
        path = self._of(token)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with short_path(path) as name:
                listening.bind(name)
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise NoFolder(f"{path}: {error.strerror}") from error
        listening.setblocking(False)
        return Offer(token, path, listening)

    def accept(self, token: str, identity: str) -> Carrier | None:
        """Ask for the offer with this token as this participant; null when it is not to be had.

        The way is ours once the other end's HELLO is received.
        """
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connected.setblocking(False)
        carrier = Carrier(connected)
        try:
            self._check()
            with short_path(self._of(token)) as name:
                connected.connect(name)
            if is_own_user(connected) and carrier.send(Hello(token, identity)):
                return carrier
        except (OSError, NoFolder, Broken, UnicodeEncodeError):
            pass
        carrier.close()
        return None

    def _of(self, token: str) -> Path:
        return self._path / f"{hashlib.sha256(token.encode()).hexdigest()[:32]}.sock"

    def _check(self) -> None:
        try:
            found = self._path.lstat()
        except OSError as error:
            raise NoFolder(f"{self._path}: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise NoFolder(f"{self._path} is not a folder of this user")
        if found.st_mode & 0o077:
            raise NoFolder(f"{self._path} can be entered by others: chmod 700 it")
