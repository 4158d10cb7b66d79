"""The guard under what speaks through the websockets library, such as Google's client."""

from __future__ import annotations

from typing import Any, ClassVar

from websockets.asyncio.client import ClientConnection, connect

from process.addresses import Allowed
from process.guarded_connect import Resolver, connect_checked, resolve_by_system


class SafeConnection(ClientConnection):
    """A connection to a public address; `connection_to` makes the kind that may go elsewhere."""

    allowed: ClassVar[Allowed] = Allowed()
    resolve: ClassVar[Resolver] = staticmethod(resolve_by_system)


def connection_to(allowed: Allowed) -> type[SafeConnection]:
    """Return the kind of connection that may go to `allowed` addresses, too."""
    return type("SafeConnection", (SafeConnection,), {"allowed": allowed})


class SafeConnect(connect):
    """As `websockets.connect`: checked at connect, never redirected, without a proxy.

    Args:
        create_connection: a `SafeConnection`, which says what is allowed; public addresses only
            for any other.
    """

    def __init__(
        self, uri: str, *, create_connection: type[ClientConnection] | None = None, **options: Any
    ) -> None:
        kind = create_connection or SafeConnection
        self._kind = kind if issubclass(kind, SafeConnection) else SafeConnection
        super().__init__(uri, create_connection=kind, **{**options, "proxy": None})

    async def open_tcp_connection(self) -> ClientConnection:
        """Open a connection to an address that was checked.

        Raises:
            AddressRefused: it is neither public nor allowed.
        """
        self.create_connection_kwargs["sock"] = await connect_checked(
            self.ws_uri.host, self.ws_uri.port, self._kind.allowed, self._kind.resolve
        )
        return await super().open_tcp_connection()

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Follow none."""
        return exc
