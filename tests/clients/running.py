"""Programs of other people, started and waited for while the API goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path


async def run(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, *, limit_s: float = 60
) -> str:
    """Return what a program that ended well has written; else the assertion has its last words."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=dict(environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(limit_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command[:3]}: {out.decode()[-2000:]}{err.decode()[-2000:]}"
    return out.decode()
