"""the addresses of webhooks are sealed, wherever one is kept

Their path or query may be all that keeps others from posting there. Copies of what was told and
answered keep a mask, and so does what receivers answered where they cited their path. On SQLite
the pages that held them are written over; PostgreSQL gives up old versions of rows with VACUUM.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import context, op

from control_plane.db.crypto import Vault
from control_plane.domain.masks import SealedUrl, shown_url, without_target

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_AT_ONCE = 500
_SEALED = "sealed:%"
_NAMED = '%"webhook_url":%"%'  # with or without the blank that some of our writers left

Change = Callable[[str], str | None]
"""Returns the new text of a column; None: it stays."""


def upgrade() -> None:
    with _written_over():
        _mask_bodies()
        _change("webhook_endpoint", "url", _seal, unless=_SEALED)
        _change("delivery", "url", _seal, unless=_SEALED)
        _change("session", "webhook_url", _seal, unless=_SEALED)
        _change("call_order", "events_to", _seal_receiver)
        for name in ("assistant", "assistant_version"):
            _change(name, "spec", _seal_spec, where=_NAMED)
        _change("delivery", "payload", _mask_copy, where=_NAMED)
        _change("idempotent_answer", "answer", _mask_copy, where=_NAMED, key=("organization_id", "key"))


def downgrade() -> None:
    for name, column in (
        ("webhook_endpoint", "url"),
        ("delivery", "url"),
        ("session", "webhook_url"),
    ):
        _change(name, column, _open, where=_SEALED)
    _change("call_order", "events_to", _open_receiver)
    for name in ("assistant", "assistant_version"):
        _change(name, "spec", _open_spec, where=_NAMED)


@contextlib.contextmanager
def _written_over() -> Iterator[None]:
    """Have SQLite write zeros where something was."""
    bind = op.get_bind()
    if bind.dialect.name != "sqlite":
        yield
        return
    bind.exec_driver_sql("PRAGMA secure_delete = ON")
    yield
    bind.exec_driver_sql("PRAGMA secure_delete = OFF")


def _vault() -> Vault:
    vault: Vault | None = context.config.attributes.get("vault")
    if vault is None:
        raise RuntimeError("addresses of webhooks are to be sealed, and there is no vault")
    return vault


def _seal(url: str) -> str:
    return str(_vault().seal_url(url))


def _open(text: str) -> str | None:
    sealed = SealedUrl.parse(text)
    return _vault().open_url(sealed) if sealed is not None else None


def _seal_receiver(text: str) -> str | None:
    told = msgspec.json.decode(text)
    if not told or not isinstance(told["url"], str):
        return None
    sealed = _vault().seal_url(told["url"])
    return _text({**told, "url": msgspec.to_builtins(sealed)})


def _open_receiver(text: str) -> str | None:
    told = msgspec.json.decode(text)
    if not told:
        return None
    return _text({**told, "url": _vault().open_url(msgspec.convert(told["url"], SealedUrl))})


def _seal_spec(text: str) -> str | None:
    return _with_url(text, lambda url: _seal(url) if SealedUrl.parse(url) is None else None)


def _open_spec(text: str) -> str | None:
    return _with_url(text, _open)


def _with_url(text: str, change: Change) -> str | None:
    spec = msgspec.json.decode(text)
    old = spec.get("webhook_url")
    new = change(old) if old else None
    return _text({**spec, "webhook_url": new}) if new is not None else None


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
    return _text(whole) if changed else None


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _change(
    name: str,
    column: str,
    change: Change,
    *,
    where: str | None = None,
    unless: str | None = None,
    key: tuple[str, ...] = ("id",),
) -> None:
    table = sa.table(name, *(sa.column(each, sa.String) for each in (*key, column)))
    keys, held = [table.c[each] for each in key], table.c[column]
    query = sa.select(*keys, held).where(held.is_not(None))
    if where is not None:
        query = query.where(held.like(where))
    if unless is not None:
        query = query.where(held.not_like(unless))
    same = [each == sa.bindparam(f"b_{each.name}") for each in keys]
    statement = table.update().where(*same).values({column: sa.bindparam("b_new")})
    for rows in _pages(query, keys):
        changed = [
            {**{f"b_{each}": row._mapping[each] for each in key}, "b_new": new}
            for row in rows
            if (new := change(row._mapping[column])) is not None
        ]
        if changed:
            op.get_bind().execute(statement, changed)


def _mask_bodies() -> None:
    """Take the paths out of what receivers answered and what went wrong with them."""
    tries = sa.table(
        "delivery_try", *(sa.column(each) for each in ("id", "delivery_id", "error", "body"))
    )
    deliveries = sa.table("delivery", sa.column("id"), sa.column("url"))
    said = (
        sa.select(tries.c.id, tries.c.error, tries.c.body, deliveries.c.url)
        .join(deliveries, deliveries.c.id == tries.c.delivery_id)
        .where(deliveries.c.url.not_like(_SEALED))
    )
    statement = (
        tries.update()
        .where(tries.c.id == sa.bindparam("k"))
        .values(error=sa.bindparam("e"), body=sa.bindparam("b"))
    )
    for rows in _pages(said, [tries.c.id]):
        changed = []
        for row in rows:
            error, body = (each and without_target(each, row.url) for each in (row.error, row.body))
            if (error, body) != (row.error, row.body):
                changed.append({"k": row.id, "e": error, "b": body})
        if changed:
            op.get_bind().execute(statement, changed)


def _pages(
    query: sa.Select[Any], keys: Sequence[sa.ColumnElement[str]]
) -> Iterator[Sequence[sa.Row[Any]]]:
    """Yield the rows, some at a time, by their keys, which come first in them."""
    page, last = query.order_by(*keys).limit(_AT_ONCE), [""] * len(keys)
    while rows := op.get_bind().execute(page.where(sa.tuple_(*keys) > sa.tuple_(*last))).all():
        yield rows
        last = list(rows[-1][: len(keys)])
