"""The 24 characters that dial outbound writes an id in: they lead back, and only one way."""

from __future__ import annotations

import contextlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.dialects.dial_outbound.ids import LENGTH, Kind, native, short
from control_plane.domain.errors import NotFound
from control_plane.domain.ids import new_id

pytestmark = pytest.mark.unit


@given(st.sampled_from(Kind), st.uuids())
def test_every_id_comes_back(kind: Kind, key: UUID) -> None:
    written = short(kind, str(key))
    assert len(written) == LENGTH
    assert native(kind, written, field="id") == str(key)


@given(st.sampled_from(Kind), st.text(max_size=30))
def test_what_is_no_id_is_not_found(kind: Kind, text: str) -> None:
    with contextlib.suppress(NotFound):
        assert short(kind, native(kind, text, field="id")) == text


@pytest.mark.parametrize("kind", Kind)
def test_an_id_of_another_kind_is_not_found(kind: Kind) -> None:
    for other in set(Kind) - {kind}:
        with pytest.raises(NotFound, match=kind.words):
            native(kind, short(other, new_id()), field="id")


def test_an_id_has_one_spelling() -> None:
    written = short(Kind.CALL, "00000000-0000-7000-8000-000000000000")
    assert written.endswith("A")
    with pytest.raises(NotFound):  # the same bytes to a lenient decoder
        native(Kind.CALL, f"{written[:-1]}B", field="id")
