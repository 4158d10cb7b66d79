"""The API's applications, used again: making one takes longer than most tests of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litestar import Litestar

from control_plane.app import Resources, create_internal_app, create_public_app, state_of

Create = Callable[[Resources], Litestar]
_IDLE: dict[Create, list[Litestar]] = {create_public_app: [], create_internal_app: []}


@contextmanager
def application(create: Create, resources: Resources) -> Iterator[Litestar]:
    """Yield what `create` makes of `resources`, which nobody else has meanwhile."""
    idle = _IDLE[create]
    app = idle.pop() if idle else create(resources)
    app.state.update(state_of(resources))
    try:
        yield app
    finally:
        idle.append(app)
