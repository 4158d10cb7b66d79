"""Twirp over HTTP: routes, bodies in protobuf and JSON, grants (Twirp specification v7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jwt
from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from livekit import api
from livekit.api.access_token import Claims

from process.logs import get_logger
from sip.gateway import durations
from sip.gateway.errors import TwirpError

log = get_logger("sip.gateway.twirp")
_PREFIX = "/twirp/livekit.SIP/"
_MAX_BODY = 1024 * 1024
_BODY_S = web.AppKey("body_s", float)


Allow = Callable[[Claims, Any], None]


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it reads, who may call it (else it raises), what it does."""

    request: type[Message]
    allow: Allow
    serve: Callable[[Any], Awaitable[Message]]


def needs(grant: str) -> Allow:
    """Allow whoever has this SIP grant: "admin" or "call"."""

    def allow(claims: Claims, _: Message) -> None:
        if claims.sip is None or not getattr(claims.sip, grant):
            raise denied()

    return allow


def denied() -> TwirpError:
    """The token does not allow this."""
    return TwirpError("unauthenticated", "permissions denied")


def application(
    methods: dict[str, Method],
    key: str,
    secret: str,
    healthy: Callable[[], bool],
    *,
    body_s: float = 10.0,
) -> web.Application:
    """The HTTP application: the Twirp service, and GET /healthz.

    A body that takes longer than `body_s` seconds is refused; nobody's is read without a token.
    """
    verifier = api.TokenVerifier(key, secret)

    async def health(_: web.Request) -> web.Response:
        fine = healthy()
        return web.json_response({"ok": fine}, status=200 if fine else 503)

    async def call(request: web.Request) -> web.Response:
        try:
            return await _serve(request, methods, verifier)
        except TwirpError as error:
            return _error(error)

    app = web.Application(client_max_size=_MAX_BODY)
    app[_BODY_S] = body_s
    app.router.add_get("/healthz", health)
    app.router.add_route("*", "/{path:.*}", call)
    return app


async def _serve(
    request: web.Request, methods: dict[str, Method], verifier: api.TokenVerifier
) -> web.Response:
    name = request.path.removeprefix(_PREFIX)
    method = methods.get(name) if request.path.startswith(_PREFIX) else None
    if method is None:
        raise _bad_route(request, f"no handler for path {json.dumps(request.path)}")
    if request.method != "POST":
        raise _bad_route(request, f"unsupported method {json.dumps(request.method)} (only POST)")
    kind = request.content_type
    if kind not in ("application/protobuf", "application/json"):
        raise _bad_route(request, f"unexpected Content-Type: {json.dumps(kind)}")
    claims = _claims(request, verifier)
    message = _decode(method.request(), await _body(request), as_json=kind == "application/json")
    method.allow(claims, message)
    answer = await method.serve(message)
    if kind == "application/json":
        return web.json_response(to_json(answer))
    return web.Response(body=answer.SerializeToString(), content_type="application/protobuf")


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(request.app[_BODY_S]):
            return await request.read()
    except TimeoutError as error:
        raise TwirpError("deadline_exceeded", "the request's body did not come in time") from error


def _bad_route(request: web.Request, message: str) -> TwirpError:
    meta = {"twirp_invalid_route": f"{request.method} {request.path}"}
    return TwirpError("bad_route", message, meta)


def _claims(request: web.Request, verifier: api.TokenVerifier) -> Claims:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise denied()
    try:
        return verifier.verify(token)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise denied() from error


def _decode(message: Message, body: bytes, *, as_json: bool) -> Message:
    try:
        if as_json:
            return json_format.Parse(body or b"{}", message, ignore_unknown_fields=True)
        message.ParseFromString(body)
    except (json_format.ParseError, DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TwirpError("malformed", "the request could not be decoded") from error
    durations.check(message)
    return message


def to_json(message: Message) -> dict[str, Any]:
    """The message as livekit-server prints it: every field, unset messages as null."""
    out: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _add_nulls(message, out)
    return out


def _add_nulls(message: Message, out: dict[str, Any]) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.message_type.full_name.startswith("google.protobuf."):
            out.setdefault(field.name, None)
        elif field.is_repeated:
            for item, shown in zip(getattr(message, field.name), out[field.name], strict=True):
                _add_nulls(item, shown)
        elif message.HasField(field.name):
            _add_nulls(getattr(message, field.name), out[field.name])
        elif field.containing_oneof is None:
            out.setdefault(field.name, None)


def _error(error: TwirpError) -> web.Response:
    body: dict[str, Any] = {"code": error.code, "msg": error.message}
    if error.meta:
        body["meta"] = error.meta
    log.info("request refused", code=error.code, http=error.http_status)
    return web.json_response(body, status=error.http_status)
