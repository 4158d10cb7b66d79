"""The front on a real socket: a taken port is named; a phone gets its answer."""

from __future__ import annotations

import asyncio

import pytest

from sip.front import Front, PortBusy, Reply
from tests.sip.wire import invite

pytestmark = pytest.mark.system


class _Phone(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.put_nowait(data)


async def test_a_busy_port_is_named_and_a_phone_is_answered() -> None:
    front = Front(("127.0.0.1", 0), lambda _: Reply(603, "Decline"))
    await front.start()
    host, port = front.address
    second = Front((host, port), lambda _: Reply(603, "Decline"))
    with pytest.raises(PortBusy, match=rf"127\.0\.0\.1:{port}") as caught:
        await second.start()
    assert (caught.value.host, caught.value.port) == (host, port)
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(
        _Phone, remote_addr=(host, port), local_addr=("127.0.0.1", 0)
    )
    transport.sendto(invite())
    answer = await asyncio.wait_for(phone.heard.get(), 10)
    assert answer.startswith(b"SIP/2.0 603 Decline")
    transport.close()
    await front.stop()
    assert not front.alive
