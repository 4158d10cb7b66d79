"""Addresses whose path is the secret: messages get there, and what comes back names none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
import structlog
from cryptography.fernet import Fernet

from control_plane.db.crypto import Vault
from control_plane.domain.masks import looks_masked_url, shown_url, without_target
from control_plane.domain.order_request import EventReceiver
from process import logs
from tests import dumps, factories
from tests.webhooks.conftest import Desk, Receiver

pytestmark = pytest.mark.db

MARK = "B0Zx81SecretPath"
TARGET = f"/services/T0/{MARK}/tail?key={MARK}%21"


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Has everything logged, and returns what was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("scheduler", level="DEBUG")

    def so_far() -> str:
        logs.get_logger(__name__).info("read so far")
        said = "".join(capsys.readouterr())
        assert "read so far" in said
        return said

    yield so_far
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_what_a_receiver_cites_of_its_path_is_kept_nowhere(
    desk: Desk, receiver: Receiver, logged: Callable[[], str]
) -> None:
    address = receiver.url.removesuffix("/hook") + TARGET
    await desk.endpoint(address)
    told = EventReceiver(desk.vault.seal_url(address), ("call.completed",))
    order = await desk.order(events_to=told, assistant=factories.spec(webhook_url=address))
    cited = f"Cannot POST {TARGET} ({MARK}!)"
    receiver.then(404, 404, 404, text=cited)
    await desk.announce(order, "call.completed", status="completed")
    assert await desk.go() == 3
    assert {each.target for each in receiver.messages} == {TARGET}
    kept = await dumps.everything(desk.database)
    assert "Cannot POST ****" in kept
    assert MARK not in kept
    assert MARK not in logged()
    assert MARK.encode() not in b"".join(each.body for each in receiver.messages)


async def test_a_url_that_no_key_opens_is_said_so_and_tried_again(
    desk: Desk, receiver: Receiver
) -> None:
    own, desk.vault = desk.vault, Vault([Fernet.generate_key()])
    address = desk.vault.seal_url(receiver.url)
    desk.vault = own
    order = await desk.order(events_to=EventReceiver(address, ("call.ringing",)))
    await desk.announce(order, "call.ringing", status="calling")
    await desk.go()
    [row] = await desk.tries()
    assert row.error == "its URL cannot be read: restore secret.key"
    assert receiver.messages == []
    [sent] = await desk.deliveries()
    assert sent.next_at is not None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/services/T0/0123456789abcdef", "https://a.example/****cdef"),
        ("https://a.example:8443/h?sig=0123456789abcdef", "https://a.example:8443/****cdef"),
        ("https://a.example?sig=0123456789abcdef", "https://a.example/****cdef"),
        ("https://a.example/short", "https://a.example/****"),
        ("https://a.example/a/long/way/to/ab12", "https://a.example/****"),
        ("https://a.example/", "https://a.example/"),
        ("https://a.example", "https://a.example"),
        ("http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/****"),
        ("HTTPS://A.example/x", "HTTPS://A.example/****"),
        ("nonsense", "/****"),
    ],
)
def test_of_an_address_no_more_is_shown_than_the_host_and_the_last_characters(
    url: str, shown: str
) -> None:
    assert shown_url(url) == shown
    assert looks_masked_url(shown) == (shown != url)
    assert not looks_masked_url(url)


def test_what_is_no_path_is_left_as_it_was_said() -> None:
    assert without_target("ok / no", "https://a.example/") == "ok / no"
    assert without_target("a.example and/or b", "https://a.example/or") == "a.example and/or b"
