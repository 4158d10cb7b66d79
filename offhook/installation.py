"""One Offhook on one machine: its folder, secrets, ports, and each process's environment."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from offhook import ports as port_table

ROOT = Path(__file__).resolve().parent.parent


class Running(Struct, frozen=True):
    """The Offhook that holds a data folder."""

    pid: int
    api_url: str
    sip_address: str


class AlreadyUp(Exception):
    """Another `offhook up` holds the data folder."""

    def __init__(self, running: Running | None) -> None:
        super().__init__("Offhook is already up")
        self.running = running


class Installation:
    """The data folder and what follows from it and the settings.

    Args:
        environ: the settings.
        lan: an address of this machine to take SIP calls at, instead of loopback.
    """

    def __init__(self, environ: Mapping[str, str], *, lan: str | None = None) -> None:
        self._environ = dict(environ)
        self.data = Path(environ.get("OFFHOOK_DATA") or "data").absolute()
        self.ports = port_table.resolve(environ)
        self.sip_host = lan or environ.get("OFFHOOK_SIP_HOST") or "127.0.0.1"
        self.lan = lan
        self.logs = self.data / "log"
        self.run = self.data / "run"

    @property
    def api_url(self) -> str:
        """Where the public API answers."""
        return f"http://127.0.0.1:{self.ports['OFFHOOK_API_PORT']}"

    @property
    def livekit_url(self) -> str:
        """Where livekit-server answers."""
        return f"ws://127.0.0.1:{self.ports['OFFHOOK_LIVEKIT_PORT']}"

    @property
    def sip_api_url(self) -> str:
        """Where the gateway serves LiveKit's SIP API."""
        return f"http://127.0.0.1:{self.ports['OFFHOOK_SIP_API_PORT']}"

    @property
    def sip_address(self) -> str:
        """What a softphone calls."""
        return f"sip:agent@{self.sip_host}:{self.ports['OFFHOOK_SIP_PORT']}"

    @property
    def carrier_address(self) -> str:
        """The carrier simulator's host and port.

        It lives where our SIP does: a user agent at a network address reaches no loopback.
        """
        return f"{self.sip_host}:{self.ports['OFFHOOK_CARRIER_PORT']}"

    @property
    def hosts(self) -> dict[str, str]:
        """The address of each port setting that is not on 127.0.0.1."""
        names = [name for name in self.ports if name.startswith("OFFHOOK_CARRIER_")]
        names += ["OFFHOOK_SIP_PORT", "OFFHOOK_SIP_UA_PORT"]
        return dict.fromkeys(names, self.sip_host)

    @property
    def carrier_log(self) -> Path:
        """What the simulator saw and heard, as JSON lines."""
        return self.logs / "carrier-invites.jsonl"

    @property
    def livekit_config(self) -> Path:
        """livekit-server's configuration with its keys."""
        return self.data / "livekit.yaml"

    def prepare(self) -> None:
        """Make the folders and the secrets that are not there yet."""
        for folder in (self.data, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)
        self._write_livekit_config()
        if self.lan:
            self._lan_login()

    def first_start(self) -> bool:
        """Return whether nothing was ever started in this folder."""
        return not (self.data / "credentials.toml").exists()

    def credentials(self) -> dict[str, str]:
        """Return api_url, api_key and organization_id of the first start; empty before it."""
        with suppress(FileNotFoundError):
            return {k: str(v) for k, v in _toml(self.data / "credentials.toml").items()}
        return {}

    @property
    def api_key(self) -> str:
        """Whose commands these are: OFFHOOK_API_KEY, else the first start's key; empty before."""
        return self._environ.get("OFFHOOK_API_KEY") or self.credentials().get("api_key", "")

    def lan_login(self) -> tuple[str, str] | None:
        """Return the user and password that softphones on the network need."""
        return self._lan_login() if self.lan else None

    def environment(self) -> dict[str, str]:
        """Return the environment of every process; one for all, each reads what it knows."""
        key, secret = self.livekit_keys()
        env = {
            **{name: value for name, value in self._environ.items() if name != "OFFHOOK_API_KEY"},
            **{name: str(number) for name, number in self.ports.items()},
            "PYTHONUNBUFFERED": "1",
            "HF_HUB_OFFLINE": "1",
            "OFFHOOK_DATA": str(self.data),
            "OFFHOOK_EMBEDDED": "true",
            "OFFHOOK_SIP_HOST": self.sip_host,
            "OFFHOOK_CARRIER_HOST": self.sip_host,
            "OFFHOOK_CARRIER_ADDRESS": self.carrier_address,
            "OFFHOOK_CARRIER_LOG": str(self.carrier_log),
            "OFFHOOK_INTERNAL_URL": f"http://127.0.0.1:{self.ports['OFFHOOK_INTERNAL_PORT']}",
            "OFFHOOK_WORKER_HEALTH_URL": (
                f"http://127.0.0.1:{self.ports['OFFHOOK_WORKER_PORT']}/worker"
            ),
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_SIP_URL": self.sip_api_url,
            "LIVEKIT_API_KEY": key,
            "LIVEKIT_API_SECRET": secret,
        }
        login = self.lan_login()
        if login is not None:
            env |= {"OFFHOOK_SIP_LAN_USERNAME": login[0], "OFFHOOK_SIP_LAN_PASSWORD": login[1]}
        return env

    def livekit_keys(self) -> tuple[str, str]:
        """Return livekit-server's API key and secret."""
        keys: dict[str, str] = yaml.safe_load(self.livekit_config.read_text())["keys"]
        return next(iter(keys.items()))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; nobody else can run Offhook in it meanwhile.

        Raises:
            AlreadyUp: somebody does.
        """
        path = self.run / "up.json"
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyUp(self.running()) from None
            facts = {"pid": os.getpid(), "api_url": self.api_url, "sip_address": self.sip_address}
            os.truncate(handle, 0)
            os.write(handle, json.dumps(facts).encode())
            yield
            os.truncate(handle, 0)
        finally:
            os.close(handle)

    def running(self) -> Running | None:
        """Return the Offhook that holds this folder, or null."""
        path = self.run / "up.json"
        if not path.exists():
            return None
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                facts = json.loads(file.read() or "{}")
                return Running(**facts) if facts else None
        return None

    def _write_livekit_config(self) -> None:
        """Take the repository's livekit.yaml, with our ports and this installation's keys."""
        config: dict[str, Any] = yaml.safe_load((ROOT / "livekit.yaml").read_text())
        if self.livekit_config.exists():
            keys = yaml.safe_load(self.livekit_config.read_text())["keys"]
        else:
            keys = {f"API{secrets.token_hex(6)}": secrets.token_urlsafe(36)}
        config["port"] = self.ports["OFFHOOK_LIVEKIT_PORT"]
        config["rtc"]["tcp_port"] = self.ports["OFFHOOK_LIVEKIT_TCP_PORT"]
        config["rtc"]["udp_port"] = self.ports["OFFHOOK_LIVEKIT_UDP_PORT"]
        config["keys"] = keys
        config["webhook"] = {
            "api_key": next(iter(keys)),
            "urls": [f"{self.api_url}/livekit/webhook"],
        }
        _write_private(self.livekit_config, yaml.safe_dump(config, sort_keys=False))

    def _lan_login(self) -> tuple[str, str]:
        path = self.data / "sip-login.toml"
        if not path.exists():
            password = secrets.token_urlsafe(12)
            _write_private(path, f'username = "softphone"\npassword = "{password}"\n')
        login = _toml(path)
        return str(login["username"]), str(login["password"])


def _write_private(path: Path, text: str) -> None:
    """Replace `path` in one step, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    fresh.replace(path)


def _toml(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return tomllib.load(file)
