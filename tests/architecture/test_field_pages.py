"""Every field that is acted on has a test that shows it; the pages say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.domain.assistant import AssistantSpec
from control_plane.domain.declared import settings_of
from tests import field_pages

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
ROWS = {"tests/system/test_provider_faults.py": "tests/agent/provider_rows.py"}
"""Where a module's rows stand, when not in itself."""


def test_every_field_that_is_supported_has_one_and_no_other() -> None:
    settings = settings_of(AssistantSpec)
    assert set(field_pages.marked()) == {n for n, each in settings.items() if each.support}


@pytest.mark.parametrize("field", sorted(field_pages.marked()))
def test_it_sets_the_field(field: str) -> None:
    for file, _ in field_pages.marked()[field]:
        lines = (ROOT / ROWS.get(file, file)).read_text().split("\n@pytest.mark.shows(")
        source = "".join([lines[0], *(each.partition("\n")[2] for each in lines[1:])])
        # The contract tests are made from the seed: their fields stand there.
        assert field in source or "seeds" in file


@pytest.mark.parametrize("page", field_pages.PAGES, ids=lambda page: page.stem)
def test_the_page_is_made_from_what_is_declared(page: Path) -> None:
    """Made again by: python -m tests.field_pages."""
    assert page.read_text() == field_pages.PAGES[page]()
