"""Pages of lists: how many entries, and where the next one begins."""

from __future__ import annotations

from typing import Annotated

from litestar.params import QueryParameter

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many at most")]
Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the page before")]
