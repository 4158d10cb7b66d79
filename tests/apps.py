"""The API's applications, used again: making one takes longer than most tests of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litestar import Litestar

from control_plane.app import Resources, state_of

Create = Callable[[Resources], Litestar]
_IDLE: defaultdict[Create, list[Litestar]] = defaultdict(list)


@contextmanager
def application(create: Create, resources: Resources) -> Iterator[Litestar]:
    """Yield what `create` makes of `resources`, which nobody else has meanwhile."""
    idle = _IDLE[create]
    if idle:
        app = idle.pop()
        app.state.update(state_of(resources))
    else:
        app = create(resources)
    try:
        yield app
    finally:
        idle.append(app)
