"""`python -m control_plane`: the public and the internal listener."""

from __future__ import annotations

import process.importing  # noqa: F401

# isort: split

import os
import sys

import uvloop

from control_plane.app import create_internal_app, create_public_app, open_resources
from control_plane.db.migrate import SchemaTooNew
from control_plane.http.server import beating, serve
from control_plane.recordings.settings import RecordingSettings
from control_plane.settings import ApiSettings, Settings, StorageSettings
from process import logs
from process.addresses import HttpSettings
from process.gc_tuning import begin_gc
from process.settings import SettingsError, load
from process.traces import TraceSettings, begin
from sip.settings import LiveKitSettings


def main() -> int:
    """Run until told to stop; 2 when it cannot start."""
    begin_gc()
    try:
        settings = Settings(
            storage=load(StorageSettings, os.environ),
            api=load(ApiSettings, os.environ),
            livekit=load(LiveKitSettings, os.environ),
            outbound=load(HttpSettings, os.environ),
            recordings=load(RecordingSettings, os.environ),
        )
        tracing = begin(load(TraceSettings, os.environ), "offhook-control-plane")
    except SettingsError as exc:
        print(exc, file=sys.stderr)
        return 2
    logs.configure("control_plane", level=settings.api.log_level, show_pii=settings.api.log_pii)
    try:
        uvloop.run(_run(settings))
    except (SchemaTooNew, SettingsError) as exc:
        print(exc, file=sys.stderr)
        return 2
    finally:
        if tracing is not None:
            tracing.shutdown()
    return 0


async def _run(settings: Settings) -> None:
    api = settings.api
    async with open_resources(settings) as resources, beating(resources.database):
        await serve(
            [
                (create_public_app(resources), api.host, api.port),
                (create_internal_app(resources), api.internal_host, api.internal_port),
            ]
        )


if __name__ == "__main__":
    sys.exit(main())
