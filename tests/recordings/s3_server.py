"""An S3-compatible server on loopback: moto's, in a process of its own."""

from __future__ import annotations

import collections
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from control_plane.recordings.settings import RecordingSettings
from tests.free_ports import block

BUCKET = "recordings"


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the URL of a server that has an empty `BUCKET`."""
    port = block(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = any("Running on" in line for line in iter(process.stderr.readline, ""))
            assert said, "the S3 server did not start"
            # It tells of every request: somebody has to read that, or it waits.
            rest = threading.Thread(target=collections.deque, args=(process.stderr, 0), daemon=True)
            rest.start()
            url = f"http://127.0.0.1:{port}"
            # Its first answer takes seconds: it loads what it needs then.
            httpx.put(f"{url}/{BUCKET}", trust_env=False, timeout=60.0).raise_for_status()
            yield url
        finally:
            process.kill()


def bucket(endpoint: str, prefix: str = "") -> RecordingSettings:
    """Return settings that lead into the server's bucket."""
    return RecordingSettings(
        url=f"s3://{BUCKET}/{prefix}",
        s3_endpoint=endpoint,
        access_key_id="key",
        secret_access_key="secret",
        region="us-east-1",
    )
