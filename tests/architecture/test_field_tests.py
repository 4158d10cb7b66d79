"""Every field that is acted on names a test that shows it, and the test is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from control_plane.domain.acted_on import ASSISTANT
from tests import field_tests

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]


def test_every_field_that_is_acted_on_has_one_and_no_other() -> None:
    assert set(field_tests.TESTS) == {name for name, symbol in ASSISTANT.items() if symbol}


@pytest.mark.parametrize("field", sorted(field_tests.TESTS))
def test_it_exists_and_sets_the_field(field: str) -> None:
    for file, name in field_tests.TESTS[field]:
        source = (ROOT / file).read_text()
        found = {
            node.name
            for node in ast.parse(source).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in found
        rows = (ROOT / field_tests.ROWS.get(file, file)).read_text()
        # The contract tests are made from the seed: their fields stand there.
        assert field in source or field in rows or "seeds" in file


def test_the_page_is_made_from_the_table() -> None:
    """Made again by: Path(field_tests.PAGE).write_text(field_tests.page())."""
    assert (ROOT / field_tests.PAGE).read_text() == field_tests.page()
