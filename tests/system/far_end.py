"""The far end of a test call: the pjsua2 phone in its own process, and what it said and heard."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from speech.offline.voice import Speaker
from tests.free_ports import block

ROOT = Path(__file__).resolve().parents[2]
RATE = 8_000


class FarEnd:
    """A running phone."""

    def __init__(self, process: subprocess.Popen[str], port: int, recording: Path) -> None:
        self.port = port
        self.recording = recording
        self.events: list[dict[str, Any]] = []
        self.watch: Callable[[dict[str, Any]], None] | None = None
        """Told every event as it happens, in the reader's thread."""
        self._process = process
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The phone's process."""
        return self._process.pid

    def wait(self, event: str, limit_s: float, **facts: Any) -> dict[str, Any]:
        """Return the next event of this name with these facts.

        Raises:
            AssertionError: it did not come; with what came instead.
        """
        while True:
            try:
                seen = self._lines.get(timeout=limit_s)
            except queue.Empty:
                raise AssertionError(f"no {event} within {limit_s} s: {self.events}") from None
            if seen is None:
                raise AssertionError(f"the phone ended without {event}: {self.events}")
            if seen["event"] == event and facts.items() <= seen.items():
                return seen

    def heard(self) -> npt.NDArray[np.int16]:
        """Return what the phone heard from the wire, mono at 8 kHz; call it once it is over."""
        self._process.wait(10)  # it closes the file last
        with wave.open(str(self.recording), "rb") as file:
            assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
            return np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)

    def close(self) -> None:
        """End the phone's process."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(10)
        self._reader.join(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("{"):
                    event = json.loads(line)
                    self.events.append(event)
                    if self.watch is not None:
                        self.watch(event)
                    self._lines.put(event)
        self._lines.put(None)


@contextmanager
def phone(
    folder: Path, script: list[dict[str, Any]], *, call: str | None = None
) -> Iterator[FarEnd]:
    """Run a phone that follows `script`; it calls `call`, or waits for a call at its port."""
    port = block(2)
    recording = folder / f"heard-{port}.wav"
    script_file = folder / f"script-{port}.json"
    script_file.write_text(json.dumps(script))
    command = [sys.executable, "-m", "tests.system.phone", "--port", str(port)]
    command += ["--record", str(recording), "--script", str(script_file)]
    command += ["--call", call] if call else []
    with (folder / f"phone-{port}.log").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        far_end = FarEnd(process, port, recording)
        try:
            far_end.wait("up", 20.0)
            yield far_end
        finally:
            far_end.close()


def render(speaker: Speaker, folder: Path, text: str, *, trimmed: bool = False) -> str:
    """Return a WAV file in which the embedded voice says `text`, at the telephone's rate.

    Args:
        trimmed: without the silence before the first sound and after the last.
    """
    pcm = np.frombuffer(b"".join(speaker.stream(text)), dtype=np.int16).astype(np.float64)
    thirds = pcm[: len(pcm) // 3 * 3].reshape(-1, 3).mean(axis=1).astype(np.int16)
    if trimmed:
        thirds = without_silence(thirds)
    path = folder / f"{abs(hash(text))}{'-trimmed' * trimmed}.wav"
    write_wav(path, thirds)
    return str(path)


def write_wav(path: Path | str, samples: npt.NDArray[np.int16]) -> None:
    """Write mono samples at the telephone's rate, in place of what is there."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


def asking(speaker: Speaker, folder: Path, *lines: str) -> list[dict[str, Any]]:
    """Return the steps that say each line once the other side has spoken."""
    return [
        step for line in lines for step in ({"listen": 0.8}, {"say": render(speaker, folder, line)})
    ]


def without_silence(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `samples` from the first sound to the last."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]
