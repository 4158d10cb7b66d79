"""The error tree and its HTTP statuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from control_plane.domain.errors import Busy, Refused
from control_plane.http.problems import status_of

pytestmark = pytest.mark.unit


def leaves(root: type[Refused]) -> Iterator[type[Refused]]:
    yield root
    for child in root.__subclasses__():
        yield from leaves(child)


def test_codes_are_unique_and_every_error_has_a_status() -> None:
    kinds = list(leaves(Refused))
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(400 <= status_of(kind) < 500 for kind in kinds if kind is not Busy)
    assert status_of(Busy) == 503
