"""What migrations share that write over what rows hold: some rows at a time, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import context, op

from control_plane.db.crypto import Vault
from control_plane.domain.masks import SealedUrl

_AT_ONCE = 500
LEAVES_NO_TRACE = "leaves no trace"
SEALED = "sealed:%"
"""What a column with a sealed address is like."""

Change = Callable[[str], str | None]
"""Returns the new text of a column; None: it stays."""


def leave_no_trace() -> None:
    """Have SQLite write its file anew after the transaction, without what rows were before.

    `PRAGMA secure_delete` does not do: where rows grow, pages are divided, and what their unused
    parts held stays.
    """
    context.config.attributes[LEAVES_NO_TRACE] = True


def the_vault() -> Vault:
    """Return the vault that the start hands to migrations.

    Raises:
        RuntimeError: it handed none.
    """
    vault: Vault | None = context.config.attributes.get("vault")
    if vault is None:
        raise RuntimeError("addresses are to be sealed, and there is no vault")
    return vault


def sealed_url(url: str) -> str | None:
    """Return the text that keeps an address; None: it is sealed already."""
    return None if SealedUrl.parse(url) is not None else str(the_vault().seal_url(url))


def opened_url(text: str) -> str | None:
    """Return the address that a text keeps; None: it is in clear."""
    sealed = SealedUrl.parse(text)
    return the_vault().open_url(sealed) if sealed is not None else None


def as_text(value: Any) -> str:
    """Return plain values as columns hold them."""
    return msgspec.json.encode(value).decode()


def rewrite(
    name: str,
    column: str,
    change: Change,
    *,
    like: Sequence[str] = (),
    unlike: str | None = None,
    key: tuple[str, ...] = ("id",),
) -> None:
    """Change a column of a table wherever it is not null.

    Args:
        like: patterns, one of which it matches; none: any text.
    """
    table = sa.table(name, *(sa.column(each, sa.String) for each in (*key, column)))
    keys, held = [table.c[each] for each in key], table.c[column]
    query = sa.select(*keys, held).where(held.is_not(None))
    if like:
        query = query.where(sa.or_(*(held.like(each) for each in like)))
    if unlike is not None:
        query = query.where(held.not_like(unlike))
    same = [each == sa.bindparam(f"b_{each.name}") for each in keys]
    statement = table.update().where(*same).values({column: sa.bindparam("b_new")})
    for rows in pages(query, keys):
        changed = [
            {**{f"b_{each}": row._mapping[each] for each in key}, "b_new": new}
            for row in rows
            if (new := change(row._mapping[column])) is not None
        ]
        if changed:
            op.get_bind().execute(statement, changed)


def pages(
    query: sa.Select[Any], keys: Sequence[sa.ColumnElement[str]]
) -> Iterator[Sequence[sa.Row[Any]]]:
    """Yield the rows, some at a time, by their keys, which come first in them."""
    page, last = query.order_by(*keys).limit(_AT_ONCE), [""] * len(keys)
    while rows := op.get_bind().execute(page.where(sa.tuple_(*keys) > sa.tuple_(*last))).all():
        yield rows
        last = list(rows[-1][: len(keys)])
