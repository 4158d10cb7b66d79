"""Clients that others' generators make of the native OpenAPI document are used against the API."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from offhook import widget
from tests.clients import generator
from tests.clients.conftest import Api
from tests.clients.running import run

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

HERE = Path(__file__).parent
LEFT_OUT = ("audio/wav", "audio/ogg", "text/csv", "text/event-stream")
"""What the Python generator says it has no words for; it makes the rest."""


async def check(api: Api, told: dict[str, Any]) -> None:
    """Check that what a client says it did is what the API has."""
    made = (await api.get(f"/assistant/{told['assistant']}"))["assistant"]
    assert (made["name"], made["prompt"]) == ("Reception", "You answer for a bike shop.")
    call = (await api.get(f"/call/{told['call']}"))["call"]
    assert call["metadata"] == {"order": "4711"}
    assert call["assistant"]["id"] == told["assistant"]
    assert told["listed"] == [call["id"]]
    assert (told["status"], told["code"]) == (422, "bad_phone_number")
    assert told["field"] == "phone_number"


async def test_a_python_client_is_generated_and_works(api: Api, tmp_path: Path) -> None:
    package = tmp_path / "offhook_client"
    python = generator.obtain(os.environ, print)
    command = [str(python), "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", str(api.document), "--output-path", str(package)]
    programs = f"{python.parent}{os.pathsep}{api.environ['PATH']}"
    words = await run(command, {**api.environ, "PATH": programs}, tmp_path)
    assert "will not be generated" not in words or all(
        any(kind in part for kind in LEFT_OUT)
        for part in words.split("WARNING")[1:]
        if "will not be generated" in part
    ), words
    assert "Unable to process schema" not in words, words
    folders = os.pathsep.join([str(tmp_path), api.environ.get("PYTHONPATH", "")])
    environ = {**api.environ, "PYTHONPATH": folders}
    told = await run([sys.executable, str(HERE / "use_python.py")], environ, tmp_path)
    await check(api, json.loads(told))


async def test_typescript_types_are_generated_and_work(api: Api, tmp_path: Path) -> None:
    widget.obtain_checks(os.environ, print)
    node = widget.find_node(os.environ, print).node
    modules = widget.WEB / "node_modules"
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "node_modules").symlink_to(modules)
    shutil.copy(HERE / "use_typescript.ts", folder / "use.ts")
    made = [str(modules / "openapi-typescript" / "bin" / "cli.js"), str(api.document)]
    made += ["--output", "api.d.ts", "--default-non-nullable", "false"]
    await run([node, *made], api.environ, folder)
    settings = {"extends": str(widget.WEB / "tsconfig.json"), "include": ["use.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(settings))
    await run([node, str(modules / "typescript" / "bin" / "tsc")], api.environ, folder)
    bundled = ["use.ts", "--bundle", "--format=esm", "--platform=node", "--outfile=use.mjs"]
    await run([node, str(modules / "esbuild" / "bin" / "esbuild"), *bundled], api.environ, folder)
    await check(api, json.loads(await run([node, "use.mjs"], api.environ, folder)))
