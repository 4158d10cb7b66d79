"""How often a key may be used."""

from __future__ import annotations

import pytest

from control_plane.db.base import read_clock
from control_plane.db.engine import Database
from control_plane.domain.errors import TooMany
from control_plane.keys.making import make_key
from control_plane.keys.ring import KeyRing
from tests import factories

pytestmark = pytest.mark.db


async def test_who_looked_its_key_up_longer_costs_nobody_a_token(database: Database) -> None:
    owner = await factories.organization(database)
    async with database.transaction() as session:
        now = await read_clock(session)
        row, key = make_key(owner, name="k", scopes=["calls"], now=now)
        session.add(row)
    times = iter([100.0, 40.0, *[100.0] * 20])  # the second asked earlier, and was served later
    ring = KeyRing(database, per_minute=60, clock=lambda: next(times))
    for _ in range(10):
        await ring.check(key, client="c")
    with pytest.raises(TooMany):
        await ring.check(key, client="c")
