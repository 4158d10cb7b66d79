"""the addresses of tools, of models and of providers are sealed, wherever one is kept

Their path may be all that keeps others out. Copies of what was told and answered keep a mask. On
SQLite the file is written anew; PostgreSQL gives up old versions of rows with VACUUM.

Revision ID: 0027
Revises: 0026
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from control_plane.db.rewriting import (
    SEALED,
    Change,
    as_text,
    leave_no_trace,
    opened_url,
    rewrite,
    sealed_url,
)
from control_plane.domain.masks import shown_url

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

# With or without the blank that some of our writers left.
_NAMED = ('%"api_url":%"%', '%"custom_tools":[{%', '%"custom_tools": [{%')


def upgrade() -> None:
    leave_no_trace()
    rewrite("provider_key", "api_url", sealed_url, unlike=SEALED)
    for name, column in _SPECS:
        rewrite(name, column, lambda text: _changed(text, sealed_url), like=_NAMED)
    rewrite("delivery", "payload", _mask_copy, like=_NAMED)
    rewrite(
        "idempotent_answer", "answer", _mask_copy, like=_NAMED, key=("organization_id", "key")
    )


def downgrade() -> None:
    rewrite("provider_key", "api_url", opened_url, like=(SEALED,))
    for name, column in _SPECS:
        rewrite(name, column, lambda text: _changed(text, opened_url), like=_NAMED)


_SPECS = (("assistant", "spec"), ("assistant_version", "spec"), ("preset", "value"))


def _changed(text: str, change: Change) -> str | None:
    spec = msgspec.json.decode(text)
    return as_text(spec) if _change(spec, change) else None


def _mask_copy(text: str) -> str | None:
    """Mask the addresses in the assistant of a call or a session as it was told or answered."""
    whole = msgspec.json.decode(text)
    if not isinstance(whole, dict):
        return None
    told = [each for each in (whole.get("call"), whole.get("session")) if isinstance(each, dict)]
    specs = [each["assistant"] for each in told if isinstance(each.get("assistant"), dict)]
    changed = [_change(spec, shown_url) for spec in specs]
    return as_text(whole) if any(changed) else None


def _change(spec: dict[str, Any], change: Change) -> bool:
    """Change every address in `spec`; returns whether there was anything to change."""
    changed = False
    for holder, name in _addresses(spec):
        new = change(holder[name])
        if new is not None:
            holder[name], changed = new, True
    return changed


def _addresses(spec: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each address of an assistant or of a preset, as who holds it and under which name."""
    for tool in spec.get("custom_tools") or ():
        yield tool, "url"
    for model in (spec.get("llm_model"), spec.get("model"), *(spec.get("llm_fallbacks") or ())):
        if isinstance(model, dict) and model.get("api_url"):
            yield model, "api_url"
