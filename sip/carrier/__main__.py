"""`python -m sip.carrier`: run the simulated carrier, list its numbers, or place a call."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

from process import logs, settings
from sip.carrier.call_out import call
from sip.carrier.carrier import Carrier
from sip.carrier.health import Health
from sip.carrier.persona import PERSONAS
from sip.carrier.scenarios import listing
from sip.carrier.senses import Senses
from sip.carrier.settings import CarrierSettings
from sip.carrier.witness import Witness
from speech.offline.extra import EmbeddedSpeechMissing, WeightsChanged

log = logs.get_logger("sip.carrier")


async def serve(config: CarrierSettings) -> None:
    """Run until told to stop."""
    senses = await asyncio.to_thread(Senses.load)
    witness = Witness(config.witness_path)
    carrier = Carrier(config, witness, senses=senses)
    health = Health(carrier, config.host, config.health_port)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    # What a phone saw of its call is in the witness' file, with the words and the far end's id.
    logging.getLogger("baresip.call").setLevel(logging.WARNING)
    await carrier.start()
    try:
        await health.start()
        log.info("Simulated carrier ready", sip=f"{config.host}:{config.port}")
        await _until_stopped(stopping, carrier)
    finally:
        await health.stop()
        await carrier.stop()
        senses.close()
        witness.close()


async def _until_stopped(stopping: asyncio.Event, carrier: Carrier) -> None:
    phones = carrier.phones
    waits = [asyncio.ensure_future(stopping.wait())]
    if phones is not None:
        waits.append(asyncio.ensure_future(phones.dead.wait()))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if not stopping.is_set():
        # A dead SIP thread cannot be restarted in this process: whoever supervises it does.
        raise SystemExit("the SIP thread died")


async def place(config: CarrierSettings, args: argparse.Namespace) -> int:
    """Place one call and return the exit code."""
    senses = await asyncio.to_thread(Senses.load)
    try:
        heard = await call(
            args.uri,
            PERSONAS[args.persona],
            senses,
            sys.stdout,
            host=config.host,
            rtp_ports=config.uas_rtp,
            caller=args.caller,
            max_seconds=args.max_seconds,
        )
    finally:
        senses.close()
    return 0 if heard else 1


def main() -> int:
    """Read the command line and the environment, and do what they say."""
    parser = argparse.ArgumentParser(prog="python -m sip.carrier", description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the numbers and their scenarios")
    commands = parser.add_subparsers(dest="command")
    out = commands.add_parser("call", help="place one call")
    out.add_argument("uri", help="whom to call, such as sip:101@127.0.0.1:5060")
    out.add_argument("--persona", choices=sorted(PERSONAS), default="dana")
    out.add_argument("--max-seconds", type=float, default=60.0)
    out.add_argument("--caller", default="+12025550199", help="the calling number")
    args = parser.parse_args()
    if args.list:
        print(listing())
        return 0
    try:
        config = settings.load(CarrierSettings, os.environ)
        logs.configure("carrier", level=config.log_level, show_pii=config.show_pii)
        if args.command == "call":
            return asyncio.run(place(config, args))
        asyncio.run(serve(config))
    except (settings.SettingsError, OSError, EmbeddedSpeechMissing, WeightsChanged) as exc:
        # An OSError is a port that is taken (PortBusy is one) or a folder that cannot be written.
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
