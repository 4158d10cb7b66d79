"""The OpenAPI documents: of the native API, and one for each dialect, below its own prefix."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from litestar import Controller, Litestar, MediaType, Response, Router, get
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import ScalarRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.serialization import encode_json, get_serializer
from msgspec import Struct

from control_plane.dialects.dial_outbound.controller import DialController
from control_plane.dialects.redial.controller import RedialController
from control_plane.dialects.voice.controller import VoiceApiController
from control_plane.http.auth import authenticated, provide_principal
from control_plane.http.openapi import ENCODERS, describe
from control_plane.http.requests import StrictRequest

VERSION = "0.1.0"
DOCUMENT = "/schema/openapi.json"
"""Where a dialect's document is, below its prefix."""
EXAMPLES = Path(__file__).parent / "examples"
"""A file of examples for each document: `python -m tests.api_examples` records them."""


class Dialect(Struct, frozen=True):
    """A dialect: its own prefix, where its document's paths begin, and what serves it."""

    name: str
    title: str
    prefix: str
    at_paths_of: str
    controller: type[Controller]


DIALECTS = (
    Dialect("redial", "Redial", "/redial/v1", "/v1", RedialController),
    Dialect("dial_outbound", "dial outbound", "/dial-outbound", "/", DialController),
    Dialect("voice_api", "Voice API", "/voice-api", "/", VoiceApiController),
)


def native() -> OpenAPIConfig:
    """Return what the native document is made with."""
    return _config(
        "Offhook",
        "Voice agents on the phone and in browsers: calls, sessions, assistants, trunks, "
        "recordings.",
    )


async def describe_native(app: Litestar) -> None:
    """Complete the native document, once the application starts; in a thread: it takes a while."""
    await asyncio.to_thread(describe, app, EXAMPLES / "native.json")


def dialects(dependencies: Mapping[str, Provide]) -> Iterator[Router | HTTPRouteHandler]:
    """Yield the routes of every dialect and of its document."""
    for each in DIALECTS:
        for path in (each.prefix, each.at_paths_of):
            yield _routes(each, path, shown=False)
        yield _document(each, dict(dependencies))


def _routes(dialect: Dialect, path: str, *, shown: bool) -> Router:
    """Return a dialect's part: with our keys, and with its own words for what is wrong.

    Args:
        shown: whether it stands in the application's OpenAPI document.
    """
    return Router(
        path=path,
        route_handlers=[dialect.controller],
        guards=[authenticated],
        dependencies={"principal": Provide(provide_principal)},
        include_in_schema=shown,
    )


def _document(dialect: Dialect, dependencies: dict[str, Provide]) -> HTTPRouteHandler:
    """Return the handler of a dialect's document, which is made when it is first asked for."""
    make = functools.cache(lambda: _made(dialect, dependencies))

    @get(f"{dialect.prefix}{DOCUMENT}", include_in_schema=False)
    async def document() -> Response[bytes]:
        return Response(await asyncio.to_thread(make), media_type=MediaType.JSON)

    return document


def _made(dialect: Dialect, dependencies: dict[str, Provide]) -> bytes:
    app = Litestar(
        [_routes(dialect, dialect.prefix, shown=True)],
        dependencies=dependencies,
        request_class=StrictRequest,
        openapi_config=_config(
            f"Offhook: {dialect.title}", f"Offhook's calls by the contract {dialect.title}."
        ),
    )
    describe(app, EXAMPLES / f"{dialect.name}.json")
    return encode_json(app.openapi_schema.to_schema(), serializer=get_serializer(ENCODERS))


def _config(title: str, description: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title=title,
        version=VERSION,
        description=description,
        path="/schema",
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        security=[{"key": []}],
        render_plugins=[ScalarRenderPlugin(), YamlRenderPlugin()],
    )
