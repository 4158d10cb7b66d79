"""Assistants as clients see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from control_plane.assistants import specs
from control_plane.assistants.schemas import AssistantNow, AssistantView
from control_plane.db.crypto import Vault
from control_plane.db.models.assistant import Assistant
from control_plane.domain.assistant import TELEPHONE_DELAY_MS, AssistantSpec
from control_plane.domain.declared import not_yet_supported
from control_plane.domain.providers import Provider, in_force
from control_plane.http.auth import Principal
from control_plane.providers.needed import keys_for_default, providers_of


def opener_for(principal: Principal, vault: Vault) -> Vault | None:
    """Return what opens addresses for who may change them: the scope `admin`."""
    return vault if "admin" in principal.scopes else None


async def load(
    db: AsyncSession, rows: Sequence[Assistant], *, vault: Vault | None = None
) -> list[AssistantNow]:
    """Return the current versions of assistants of one organization.

    Args:
        vault: as for `view_of_spec`.
    """
    if not rows:
        return []
    keys = await keys_for_default(db, rows[0].organization_id)
    return [_now(row, keys, vault) for row in rows]


def _now(row: Assistant, keys: set[Provider], vault: Vault | None) -> AssistantNow:
    shown = view_of_spec(
        specs.load(row.spec),
        assistant_id=row.id,
        organization_id=row.organization_id,
        version=row.version,
        is_default=row.is_default,
        created_at=row.created_at,
        updated_at=row.updated_at,
        vault=vault,
    )
    model = in_force(shown.llm_model, keys)
    return AssistantNow(**msgspec.structs.asdict(shown), llm_model_in_force=model)


def view_of_spec(
    spec: AssistantSpec,
    *,
    assistant_id: str | None,
    organization_id: str,
    version: int,
    is_default: bool,
    created_at: datetime,
    updated_at: datetime,
    vault: Vault | None = None,
) -> AssistantView:
    """Return a loaded spec as an assistant, its secrets masked.

    Args:
        vault: opens its addresses, for whoever may change assistants; else they are masked.
    """
    spec = specs.shown(spec, vault)
    return AssistantView(
        id=assistant_id,
        organization_id=organization_id,
        version=version,
        is_default=is_default,
        created_at=created_at,
        updated_at=updated_at,
        pending_faq_count=sum(item.needs_human_answer for item in spec.faq_items),
        needs_keys=sorted(providers_of(spec)),
        not_yet_supported=not_yet_supported(spec),
        **(msgspec.structs.asdict(spec) | {"first_sentence_delay_ms": _delay_ms(spec)}),
    )


def _delay_ms(spec: AssistantSpec) -> int:
    """Return the delay as answers tell it, which is never null in them: a telephone's."""
    given = spec.first_sentence_delay_ms
    return TELEPHONE_DELAY_MS if given is None else given
