"""Addresses of tools, models and providers that release 0026 kept in clear: sealed by 0027."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, text

from control_plane.assistants import specs
from control_plane.db.crypto import Vault
from control_plane.db.engine import Database
from control_plane.db.migrate import migrate
from control_plane.db.models.assistant import Assistant, AssistantVersion
from control_plane.db.models.organization import ProviderKey
from control_plane.db.models.preset import Preset
from control_plane.domain.ids import new_id
from control_plane.presets import repository as presets
from tests import dumps
from tests.control_plane.test_sealed_by_migration import AT, compact, downgrade, old

pytestmark = pytest.mark.db

MARK = "B0Zx81SecretPath"
HOST = "https://one.example"
MASKED = f"{HOST}/****tail"
MANY = 1_203
"""More than are changed at once."""


def url(place: str) -> str:
    return f"{HOST}/hooks/{place}/{MARK}tail"


def spec(place: str) -> dict[str, Any]:
    """Return an assistant with each kind of address, as release 0026 kept it."""
    tool = {
        "name": "look_up", "description": "d", "method": "GET", "url": url(f"{place}/{{{{shop}}}}"),
        "headers": [], "query_params": [], "body_template": "", "input_schema": [],
    }  # fmt: skip
    model = {"type": "custom", "model_name": "m", "api_key": "secret:none"}
    return {
        "name": "Ann", "prompt": "Be kind.", "custom_tools": [tool],
        "llm_model": {**model, "api_url": url(f"{place}-model")},
        "llm_fallbacks": [
            {"type": "dedicated-instance", "name": "gpt-4.1"},
            {**model, "api_url": url(f"{place}-fallback")},
        ],
    }  # fmt: skip


def before(owner: str) -> dict[str, list[dict[str, Any]]]:
    """Return rows with an address wherever release 0026 kept one."""
    stamps = {"created_at": AT, "updated_at": AT}
    own = {"organization_id": owner}
    secret = new_id()
    plain = {"name": "Ann", "prompt": "Be kind.", "custom_tools": [], "llm_model": None}
    told = {"assistant": spec("told"), "call_metadata": {"api_url": "https://own.example/kept"}}
    model = {"type": "custom", "model_name": "m", "api_key": "k", "api_url": url("preset")}
    delivery = {
        **own, "event_type": "call.completed", "state": "delivered", "tries": 1, "failures": 0,
        "claim": 1, "receiver": "r", "created_at": AT, "url": "sealed:AAAA https://h.example",
        "endpoint_id": None,
    }  # fmt: skip
    return {
        "organization": [
            {"id": owner, "name": "a", "consent_required": False, "created_at": AT,
             "allowed_number_types": "[]"}
        ],
        "secret": [{"id": secret, **own, **stamps, "ciphertext": "c", "hint": ""}],
        "provider_key": [
            {"id": f"p-{name}", **own, "name": name, "secret_id": secret, "api_url": address,
             "updated_at": AT}
            for name, address in (("openai", url("provider")), ("google", None))
        ],
        "assistant": [
            {"id": "a", **own, **stamps, "name": "Ann", "version": 1, "is_default": True,
             "spec": compact(spec("assistant"))}
        ],
        "assistant_version": [
            {"id": f"v{n:05}", **own, "version": 0, "created_at": AT, "spec": kept}
            for n, kept in enumerate(
                [compact(plain), json.dumps(spec("blanks")), *[compact(spec("version"))] * MANY]
            )
        ],
        "preset": [
            {"id": "m", **own, **stamps, "kind": "model", "name": "mine",
             "value": compact({"kind": "model", "name": "mine", "model": model})},
            {"id": "t", **own, **stamps, "kind": "prompt", "name": "text",
             "value": compact({"kind": "prompt", "name": "text", "prompt": "Say it."})},
        ],
        "delivery": [
            {**delivery, "id": f"d{n}", "message_id": f"m{n}", "payload": compact({kind: told})}
            for n, kind in enumerate(("call", "session"))
        ],
        "idempotent_answer": [
            {**own, "key": "k", "operation": "placeCall", "body_sha256": "0", "status": 200,
             "answer": compact({"call": told}), "created_at": AT}
        ],
    }  # fmt: skip


async def stored(database: Database, rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return what each table of those that are sealed holds, by id."""
    found = {}
    columns = {"assistant": "spec", "assistant_version": "spec", "preset": "value"}
    for table, column in (columns | {"provider_key": "api_url"}).items():
        async with database.engine.connect() as connection:
            query = text(f"SELECT id, {column} FROM {table}")
            found[table] = {key: plain(kept) for key, kept in await connection.execute(query)}
        assert set(found[table]) == {row["id"] for row in rows[table]}
    return found


def plain(kept: str | None) -> Any:
    return json.loads(kept) if kept is not None and kept.startswith("{") else kept


async def test_every_address_is_sealed_where_it_is_kept(
    bare_url: str, tmp_path: Path, vault: Vault
) -> None:
    owner = new_id()
    database = await old(bare_url, tmp_path, before(owner), at="0026")
    assert MARK in await dumps.everything(database)
    await migrate(database, vault=vault)
    kept = await dumps.everything(database)
    assert MARK not in kept
    assert kept.count("https://own.example/kept") >= 3, "metadata is its owner's own"
    async with database.reading() as db:
        whole = {row.name: row.api_url for row in await db.scalars(select(ProviderKey))}
        assert whole["google"] is None
        assert whole["openai"] is not None
        assert vault.open_url(whole["openai"]) == url("provider")
        [assistant] = await db.scalars(select(Assistant))
        versions = {row.id: row.spec for row in await db.scalars(select(AssistantVersion))}
        shown = [specs.load(each) for each in (assistant.spec, versions["v00001"])]
        for loaded, place in zip(shown, ("assistant", "blanks"), strict=True):
            given = specs.load(spec(place))
            masked = specs.shown(loaded)
            assert masked.custom_tools[0].url == MASKED
            told = specs.shown(loaded, vault)
            assert told.custom_tools == given.custom_tools
            assert [getattr(m, "api_url", None) for m in (told.llm_model, *told.llm_fallbacks)] == [
                getattr(m, "api_url", None) for m in (given.llm_model, *given.llm_fallbacks)
            ]
        assert len({str(versions[f"v{n:05}"]) for n in range(2, MANY)}) == 1, "sealed once"
        rows = {row.name: row for row in await db.scalars(select(Preset))}
        preset = specs.shown(presets.load(rows["mine"]), vault)
        assert msgspec.to_builtins(preset)["model"]["api_url"] == url("preset")
        assert msgspec.to_builtins(presets.load(rows["text"]))["prompt"] == "Say it."
    assert f'"api_url":"{MASKED}"' in kept
    await database.close()


async def test_no_address_is_lost_on_the_way_back(
    bare_url: str, tmp_path: Path, vault: Vault
) -> None:
    rows = before(new_id())
    database = await old(bare_url, tmp_path, rows, at="0026")
    there = await stored(database, rows)
    await migrate(database, vault=vault)
    assert await stored(database, rows) != there
    async with database.engine.begin() as connection:
        await connection.run_sync(downgrade, vault, to="0026")
    assert await stored(database, rows) == there
    await database.close()
