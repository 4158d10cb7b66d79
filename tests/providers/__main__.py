"""`python -m tests.providers`: the servers for development, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal

from tests.providers.servers import KEY, PORTS, ProviderServers, serving

FIRST_PORT = 18_800


def main() -> None:
    """Serve, and say where and how Offhook is pointed there."""
    parser = argparse.ArgumentParser(prog="python -m tests.providers", description=__doc__)
    parser.add_argument(
        "--first-port", type=int, default=FIRST_PORT, help=f"the first of {PORTS} (%(default)s)"
    )
    parser.add_argument(
        "--tone", action="store_true", help="voices give a tone; needs no embedded engine"
    )
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen.first_port, tone=chosen.tone))


async def _serve(first_port: int, *, tone: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with serving(first_port, tone=tone) as servers:
        for line in lines(servers):
            print(line, flush=True)
        await stop.wait()


def lines(servers: ProviderServers) -> list[str]:
    """Return a line per server: its name, its base URL and how Offhook gets there."""
    found = [
        f"{provider.value:<11} {access.api_url}  "
        f"echo {KEY} | offhook provider set {provider.value} --api-url {access.api_url} --no-check"
        for provider, access in servers.access().items()
    ]
    custom = f'"llm_model": {{"type": "custom", "api_url": "{servers.custom_url}", …}}'
    return [
        *found,
        f"{'custom':<11} {servers.custom_url}  {custom}",
        f"{'google':<11} its clients need SSL_CERT_FILE={servers.ca_file}",
        f"{'control':<11} {servers.control_url}  POST /control, GET /log, DELETE /log",
    ]


if __name__ == "__main__":
    main()
