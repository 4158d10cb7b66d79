"""What every table shares: UUIDv7 keys, instants as UTC, JSON as text, the database's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, String, Text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement, select
from sqlalchemy.types import TypeDecorator

from control_plane.domain.ids import new_id
from control_plane.domain.masks import SealedUrl, shown_url

CLOCK = "clock"
"""The key in a session's `info` of a clock that stands for the database's own."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """A UTC instant, stored as microseconds since the epoch, so that both databases agree."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the stored number; a time without a zone is a programming error."""
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the instant."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Json(TypeDecorator[Any]):
    """Plain values as JSON text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """Return the stored text."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        """Return the plain value."""
        return None if value is None else msgspec.json.decode(value)


class SealedAddress(TypeDecorator[SealedUrl]):
    """An address, sealed; one in clear is a programming error."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: SealedUrl | None, dialect: Dialect) -> str | None:
        """Return the stored text."""
        if value is not None and not isinstance(value, SealedUrl):
            raise TypeError("the address is not sealed: Vault.seal_url does that")
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> SealedUrl | None:
        """Return the address; one that is in clear nothing opens, and nobody is shown."""
        if value is None:
            return None
        return SealedUrl.parse(value) or SealedUrl(shown_url(value), value)


class Word(TypeDecorator[Any]):
    """A member of a string enum, stored as its value."""

    impl = String(40)
    cache_ok = True

    def __init__(self, kind: type[StrEnum]):
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """Return the stored word; a word the enum lacks is a programming error."""
        return None if value is None else str(self.kind(value).value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        """Return the member."""
        return None if value is None else self.kind(value)


class database_now(FunctionElement[datetime]):
    """The database's own clock: leases of all processes are measured by it."""

    type = Instant()
    inherit_cache = True


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **_kw: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)"


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: SQLCompiler, **_kw: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


async def read_clock(db: AsyncSession) -> datetime:
    """Return the database's time, or that of the clock its `Database` was given.

    SQLite has no clock but the machine's.
    """
    clock: Callable[[], datetime] | None = db.info.get(CLOCK)
    if clock is not None:
        return clock()
    if db.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    return (await db.execute(select(database_now()))).scalar_one()


class Base(DeclarativeBase):
    """Every table; relations are never loaded by surprise because there are none."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        datetime: Instant,
        dict[str, Any]: Json,
        list[str]: Json,
        SealedUrl: SealedAddress,
        str: String,
    }


def id_column() -> Mapped[str]:
    """Return a UUIDv7 primary key."""
    return mapped_column(String(36), primary_key=True, default=new_id)
