"""the addresses of webhooks are sealed, wherever one is kept

Their path or query may be all that keeps others from posting there. Copies of what was told and
answered keep a mask, and so does what receivers answered where they cited their path. On SQLite
the file is written anew; PostgreSQL gives up old versions of rows with VACUUM.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from alembic import op

from control_plane.db.rewriting import (
    SEALED,
    Change,
    as_text,
    leave_no_trace,
    opened_url,
    pages,
    rewrite,
    sealed_url,
    the_vault,
)
from control_plane.domain.masks import SealedUrl, shown_url, without_target

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_NAMED = ('%"webhook_url":%"%',)  # with or without the blank that some of our writers left


def upgrade() -> None:
    leave_no_trace()
    _mask_bodies()
    rewrite("webhook_endpoint", "url", sealed_url, unlike=SEALED)
    rewrite("delivery", "url", sealed_url, unlike=SEALED)
    rewrite("session", "webhook_url", sealed_url, unlike=SEALED)
    rewrite("call_order", "events_to", _seal_receiver)
    for name in ("assistant", "assistant_version"):
        rewrite(name, "spec", _seal_spec, like=_NAMED)
    rewrite("delivery", "payload", _mask_copy, like=_NAMED)
    rewrite("idempotent_answer", "answer", _mask_copy, like=_NAMED, key=("organization_id", "key"))


def downgrade() -> None:
    for name, column in (
        ("webhook_endpoint", "url"),
        ("delivery", "url"),
        ("session", "webhook_url"),
    ):
        rewrite(name, column, opened_url, like=(SEALED,))
    rewrite("call_order", "events_to", _open_receiver)
    for name in ("assistant", "assistant_version"):
        rewrite(name, "spec", _open_spec, like=_NAMED)


def _seal_receiver(text: str) -> str | None:
    told = msgspec.json.decode(text)
    if not told or not isinstance(told["url"], str):
        return None
    sealed = the_vault().seal_url(told["url"])
    return as_text({**told, "url": msgspec.to_builtins(sealed)})


def _open_receiver(text: str) -> str | None:
    told = msgspec.json.decode(text)
    if not told:
        return None
    return as_text({**told, "url": the_vault().open_url(msgspec.convert(told["url"], SealedUrl))})


def _seal_spec(text: str) -> str | None:
    return _with_url(text, sealed_url)


def _open_spec(text: str) -> str | None:
    return _with_url(text, opened_url)


def _with_url(text: str, change: Change) -> str | None:
    spec = msgspec.json.decode(text)
    old = spec.get("webhook_url")
    new = change(old) if old else None
    return as_text({**spec, "webhook_url": new}) if new is not None else None


def _mask_copy(text: str) -> str | None:
    """Mask the addresses in a call or a session as it was told or answered."""
    whole = msgspec.json.decode(text)
    if not isinstance(whole, dict):
        return None
    changed = False
    for told in (whole.get("call"), whole.get("session")):
        if not isinstance(told, dict):
            continue
        for holder in (told, told.get("assistant")):
            if isinstance(holder, dict) and holder.get("webhook_url"):
                holder["webhook_url"] = shown_url(holder["webhook_url"])
                changed = True
    return as_text(whole) if changed else None


def _mask_bodies() -> None:
    """Take the paths out of what receivers answered and what went wrong with them."""
    tries = sa.table(
        "delivery_try", *(sa.column(each) for each in ("id", "delivery_id", "error", "body"))
    )
    deliveries = sa.table("delivery", sa.column("id"), sa.column("url"))
    said = (
        sa.select(tries.c.id, tries.c.error, tries.c.body, deliveries.c.url)
        .join(deliveries, deliveries.c.id == tries.c.delivery_id)
        .where(deliveries.c.url.not_like(SEALED))
    )
    statement = (
        tries.update()
        .where(tries.c.id == sa.bindparam("k"))
        .values(error=sa.bindparam("e"), body=sa.bindparam("b"))
    )
    for rows in pages(said, [tries.c.id]):
        changed = []
        for row in rows:
            error, body = (each and without_target(each, row.url) for each in (row.error, row.body))
            if (error, body) != (row.error, row.body):
                changed.append({"k": row.id, "e": error, "b": body})
        if changed:
            op.get_bind().execute(statement, changed)
