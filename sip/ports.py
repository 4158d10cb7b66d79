"""The error of an address that is taken."""

from __future__ import annotations


class PortBusy(OSError):
    """The UDP address to listen on cannot be had; `host` and `port` say which."""

    def __init__(self, host: str, port: int, cause: OSError):
        super().__init__(cause.errno, f"UDP {host}:{port} cannot be bound: {cause.strerror}")
        self.host = host
        self.port = port
