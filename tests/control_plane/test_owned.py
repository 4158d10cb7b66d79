"""A row is its organization's: another asks for it in vain, and anybody once it is deleted."""

from __future__ import annotations

import pytest

from control_plane.db.engine import Database
from control_plane.db.models.trunk import Trunk
from control_plane.db.owned import find_own, get_own
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import new_id
from control_plane.trunks.repository import list_trunks
from tests import factories

pytestmark = pytest.mark.db


async def test_another_organization_asks_in_vain(database: Database) -> None:
    owner, other = [await factories.organization(database) for _ in range(2)]
    async with database.reading() as db:
        [mine] = await list_trunks(db, owner)
        assert (await get_own(db, Trunk, owner, mine.id, what="trunk")).id == mine.id
        for stranger, key in ((other, mine.id), (owner, new_id())):
            assert await find_own(db, Trunk, stranger, key) is None
            with pytest.raises(NotFound) as caught:
                await get_own(
                    db, Trunk, stranger, key, what="trunk", field="trunk_id", remedy="look"
                )
            assert (str(caught.value), caught.value.field) == (
                f"there is no trunk with the id {key}; look",
                "trunk_id",
            )


async def test_what_is_deleted_and_what_is_something_else_is_not_found(database: Database) -> None:
    owner = await factories.organization(database)
    async with database.transaction() as db:
        [row] = await list_trunks(db, owner)
        assert await find_own(db, Trunk, owner, row.id, Trunk.direction == "inbound") is None
        assert await find_own(db, Trunk, owner, row.id, lock=True) is row
        row.deleted_at = factories.ago()
        assert await find_own(db, Trunk, owner, row.id) is None
