"""The guard: what it refuses, what it bounds, and that it connects to what it checked."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ipaddress
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from process.addresses import (
    AddressRefused,
    Allowed,
    OutboundError,
    Unreachable,
    check_url,
    is_public,
)
from process.safe_http import Limits, Outbound, TimedOut, TooLarge, safe_client
from process.settings import SettingsError

pytestmark = pytest.mark.unit

LOOPBACK = Allowed.parse("127.0.0.0/8, ::1")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

REFUSED_ADDRESSES = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1",
    "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "fc00::1", "fd12::1", "fe80::1",
    "fec0::1", "ff02::1", "::5efe:127.0.0.1", "2606:4700::5efe:7f00:1", "fe80::200:5efe:a00:1",
    "2606:4700::200:5efe:a00:1", "3fff::1", "3fff:fff::1", "5f00::1", "2001:20::1",
]  # fmt: skip

REFUSED_URLS = [
    "http://127.0.0.1/", "http://127.0.0.1./", "http://127.1/", "http://127.0.1/", "http://0/",
    "http://0.0.0.0/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/",
    "http://0177.0.0.1/", "http://017700000001/", "http://1.2.3.4.5/", "http://127.0.0.1.0x1/",
    "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fe80::1%25eth0]/",
    "http://localhost/", "http://LOCALHOST./", "http://a.localhost/", "http://169.254.169.254/",
    "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http:///path", "http://a b/", "http://-/",
    "http://user@example.com/", "http://user:pw@example.com/", "http://127.0.0.1@example.com/",
    "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "//example.com/",
    "example.com", "", "http://example.com:0/", "http://example.com:99999/", "http://a..b/",
    "unix:///var/run/docker.sock", "http://exa\nmple.com/",
]  # fmt: skip


@contextlib.asynccontextmanager
async def server(
    handle: Handler, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """Yield the port of a server that hands each request to `handle`."""

    open_ones: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_ones.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await handle(reader, writer)
        writer.close()

    listening = await asyncio.start_server(serve, host, 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in open_ones:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def answers(head: str, body: bytes = b"") -> Handler:
    """Return a handler that sends one answer."""

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)
        await writer.drain()

    return handle


def resolves(*answers_in_turn: list[str]) -> Any:
    """Return a resolver that gives one list of addresses after the other, and counts."""
    queue = list(answers_in_turn)

    async def resolve(_host: str, port: int) -> list[Any]:
        found = queue.pop(0)
        kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (kinds[ipaddress.ip_address(each).version], socket.SOCK_STREAM, 6, "", (each, port))
            for each in found
        ]

    resolve.left = queue  # type: ignore[attr-defined]
    return resolve


@contextlib.asynccontextmanager
async def client(
    allowed: Allowed = LOOPBACK, limits: Limits | None = None, **options: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield an httpx client behind the guard."""
    async with safe_client(Outbound(allowed, limits or Limits(), **options)) as opened:
        yield opened


@pytest.mark.parametrize("text", REFUSED_ADDRESSES)
def test_no_special_address_is_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"])
def test_the_internet_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("url", REFUSED_URLS)
async def test_refused_urls(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, Allowed())
    async with client(Allowed()) as http:
        with pytest.raises((AddressRefused, httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
            await http.get(url)


def test_ordinary_urls_pass() -> None:
    for url in ("https://example.com/hook?a=1", "http://example.com.:8080/", "https://8.8.8.8/"):
        assert str(check_url(url, Allowed())) == url
    check_url("https://bücher.example/", Allowed())


def test_a_refusal_names_the_setting_that_would_allow_it() -> None:
    with pytest.raises(AddressRefused, match=r"OFFHOOK_ALLOW_PRIVATE=10\.0\.0\.7"):
        check_url("http://10.0.0.7/", LOOPBACK)
    check_url("http://10.0.0.7/", Allowed.parse("10.0.0.0/8"))
    check_url("http://[::ffff:10.0.0.7]/", Allowed.parse("10.0.0.7"))


@pytest.mark.parametrize("text", ["10.0.0.0/40", "http://x", "a b", "2130706433", "*"])
def test_a_setting_of_the_wrong_form_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="OFFHOOK_ALLOW_PRIVATE"):
        Allowed.parse(f"127.0.0.1, {text}")


async def test_an_allowed_name_may_be_private() -> None:
    async with server(answers("200 OK\r\nContent-Length: 2", b"ok")) as port:
        for allowed in (Allowed.parse("Inside.example"), LOOPBACK):
            async with client(allowed, resolve=resolves(["127.0.0.1"])) as http:
                assert (await http.get(f"http://inside.example.:{port}/")).text == "ok"


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:10.0.0.1"]])
async def test_a_name_with_any_private_address_is_refused(found: list[str]) -> None:
    async with client(Allowed(), resolve=resolves(found)) as http:
        with pytest.raises(AddressRefused, match=r"inside\.example \("):
            await http.get("http://inside.example/")


async def test_a_name_that_changes_its_address_gains_nothing() -> None:
    """Rebinding: the address that is checked is the one that is connected to."""
    met: list[str] = []

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.append(writer.get_extra_info("sockname")[0])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    # 127.0.0.2 stands for a public address here, 127.0.0.1 for a private one.
    resolve = resolves(["127.0.0.2"], ["127.0.0.1"])
    allowed = Allowed.parse("127.0.0.2")
    async with server(handle, host="0.0.0.0") as port, client(allowed, resolve=resolve) as http:
        assert (await http.get(f"http://flip.example:{port}/")).status_code == 200
        assert len(resolve.left) == 1, "one look-up per connection, none between check and connect"
        with pytest.raises(AddressRefused):
            await http.get(f"http://flip.example:{port}/")
    assert met == ["127.0.0.2"]


async def test_a_redirect_is_an_answer() -> None:
    head = "302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0"
    async with server(answers(head)) as port, client() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/")
    assert answer.status_code == 302
    assert answer.history == []


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with server(answers("200 OK\r\nContent-Length: 0")) as port, client() as http:
        assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200


async def test_a_large_body_is_cut_off() -> None:
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with server(endless) as port, client(limits=Limits(body_bytes=300_000)) as http:
        with pytest.raises(TooLarge, match="300000"):
            await http.get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_does_not_fill_the_memory(encoding: str) -> None:
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    bomb = pack(bytes(200_000_000))
    head = f"200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(bomb)}"
    async with server(answers(head, bomb)) as port, client() as http:
        tracemalloc.start()
        with pytest.raises(TooLarge):
            await http.get(f"http://127.0.0.1:{port}/")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8_000_000


async def test_compressed_bodies_are_read() -> None:
    text = bytes(range(256)) * 2000
    raw = zlib.compressobj(wbits=-15)
    bodies = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "DEFLATE ": raw.compress(text) + raw.flush(),
        "identity": text,
    }
    for encoding, body in bodies.items():
        head = f"200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}"
        async with server(answers(head, body)) as port, client() as http:
            assert (await http.get(f"http://127.0.0.1:{port}/")).content == text


@pytest.mark.parametrize(
    ("head", "body", "error"),
    [
        ("200 OK\r\nContent-Encoding: br", b"x", Unreachable),
        ("200 OK\r\nContent-Encoding: gzip, gzip", b"x", Unreachable),
        ("200 OK\r\nContent-Encoding: gzip", b"not gzip", Unreachable),
        ("200 OK\r\nContent-Length: 5", b"x", Unreachable),
        ("200 OK\r\nX: " + "y" * 40_000, b"", TooLarge),
        ("200 OK\r\nX: " + "y" * 400_000, b"", Unreachable),
        ("nonsense", b"", Unreachable),
    ],
)
async def test_bad_answers_have_a_type(head: str, body: bytes, error: type[OutboundError]) -> None:
    async with server(answers(head, body)) as port, client() as http:
        with pytest.raises(error):
            await http.get(f"http://127.0.0.1:{port}/")


async def test_slow_answers_time_out_wherever_they_stall() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await silent(_reader, writer)

    async def no_name(_host: str, _port: int) -> list[Any]:
        await asyncio.Event().wait()
        return []

    limits = Limits(total_s=0.2)
    for handle in (silent, drips):
        async with server(handle) as port, client(limits=limits) as http:
            with pytest.raises(TimedOut, match=r"0\.2 s"):
                await http.get(f"http://127.0.0.1:{port}/")
    async with client(limits=limits, resolve=no_name) as http:
        with pytest.raises(TimedOut):
            await http.get("http://nobody.example/")


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client() as http:
            with pytest.raises(Unreachable):
                await http.get(f"http://127.0.0.1:{taken.getsockname()[1]}/")

    async def unknown(_host: str, _port: int) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown name")

    async with client(resolve=unknown) as http:
        with pytest.raises(Unreachable, match="unknown name"):
            await http.get("http://nobody.example/")


async def test_connections_are_kept_and_a_closed_one_is_replaced() -> None:
    ports: list[int] = []

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for turn in range(2):
            ports.append(writer.get_extra_info("peername")[1])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            if turn == 0:
                await reader.readuntil(b"\r\n\r\n")

    async with server(twice) as port, client() as http:
        for _ in range(3):
            assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200
            await asyncio.sleep(0)
    assert ports[0] == ports[1] != ports[2]


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context with a certificate for `name`, and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(path)
    trusting = ssl.create_default_context()
    trusting.load_verify_locations(path)
    return serving, trusting


async def test_tls_is_verified_for_the_name_though_the_address_is_dialled(tmp_path: Path) -> None:
    serving, trusting = certificate(tmp_path, "hook.example")
    hosts: list[str] = []

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    serving.sni_callback = lambda _socket, name, _context: hosts.append(name)  # type: ignore[assignment,return-value]
    async with server(handle, serving) as port:
        to_loopback = resolves(*[["127.0.0.1"]] * 3)
        async with client(tls=trusting, resolve=to_loopback) as http:
            assert (await http.get(f"https://hook.example:{port}/")).text == "ok"
            with pytest.raises(Unreachable, match="TLS"):
                await http.get(f"https://other.example:{port}/")
        async with client(resolve=to_loopback) as http:
            with pytest.raises(Unreachable, match="TLS"):
                await http.get(f"https://hook.example:{port}/")
    assert hosts[0] == "hook.example"


async def test_an_answer_within_its_limit_is_given_and_others_refused() -> None:
    outbound = Outbound(LOOPBACK, Limits(body_bytes=10))
    body = gzip.compress(b"x" * 10)
    head = f"200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}"
    async with server(answers(head, body)) as port, safe_client(outbound) as http:
        answer: httpx2.Response = await http.get(f"http://127.0.0.1:{port}/")
        assert answer.text == "x" * 10
        with pytest.raises(AddressRefused):
            await http.get("http://169.254.169.254/")
    async with server(answers("200 OK\r\nContent-Length: 20", b"x" * 20)) as port:
        async with safe_client(Outbound(LOOPBACK, Limits(body_bytes=10))) as http:
            with pytest.raises(TooLarge):
                await http.get(f"http://127.0.0.1:{port}/")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            async with safe_client(Outbound(LOOPBACK, Limits())) as http:
                with pytest.raises(Unreachable):
                    await http.get(f"http://127.0.0.1:{taken.getsockname()[1]}/")
