"""Request bodies, decoded strictly: no coercion, no unknown field, errors that name the field."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from control_plane.domain.errors import BadInput, Refused, UnknownField
from control_plane.http.choices import choices

T = TypeVar("T")
_EXACT = 2**53
"""Up to it every whole number has a float of its own."""
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")
_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ANY_KEY = "[...]"
_JSON = re.compile(r"application/(?:[\w.-]+\+)?json")
_IN_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a time such as 2026-01-31T12:00:00Z",
}
_INDEX = re.compile(r"\[[^\]]*\]")
_FORMS = {
    "allowed_addresses": "addresses or networks such as 192.0.2.0/24",
    "api_url": "a URL that begins with http:// or https://",
}
_TYPES = re.compile(rf"\b({'|'.join(_IN_WORDS)})\b")
_PATH = re.compile(r" - at (`key` in )?`\$\.?(.*)`$")
_QUOTED = re.compile(r"`([^`]*)`")


async def known_query(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Guard: every query parameter is one that the handler takes; a typo is not ignored."""
    known = handler.parsed_fn_signature.parameters
    for name in connection.query_params:
        if name not in known:
            raise UnknownField(
                f"there is no query parameter {name[:100]} here; check its spelling",
                field=name[:100],
            )


class StrictRequest(Request[Any, Any, Any]):
    """Decodes JSON straight into the type that the handler asks for."""

    async def json(self) -> Any:
        """Return the body as the handler's type.

        Raises:
            Refused: it is not JSON, or says that it is something else (400).
            BadInput: it is not what the endpoint takes (422); names the field.
        """
        declared = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared and not _JSON.fullmatch(declared):
            raise Refused(
                f"the body is declared as {declared[:100]!r}; this endpoint takes JSON: send it "
                "with Content-Type: application/json"
            )
        field = self.route_handler.parsed_data_field
        return decode(await self.body(), field.annotation if field is not None else Any)


def decode(body: bytes, kind: Any) -> Any:
    """Return `body` as `kind`; the errors are those of `StrictRequest.json`."""
    if not body:
        raise Refused("the request has no body; this endpoint takes a JSON object")
    if _NUL.search(body):
        raise BadInput("text cannot hold the character NUL (\\u0000); remove it")
    if _lone_surrogate(body):
        raise BadInput(
            "text cannot hold half of a surrogate pair (\\ud800 to \\udfff alone); remove it"
        )
    try:
        return decode_numbers(body, msgspec.json.Decoder(kind))
    except msgspec.ValidationError as exc:
        raise explain(str(exc), kind) from exc
    except RecursionError as exc:
        raise Refused("the body is nested too deeply") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Refused(f"the body is not valid JSON: {exc}") from exc


def decode_numbers(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """Return `body` decoded; a whole number may be written as JSON lets it be: 300, 300.0, 3e2.

    Raises:
        msgspec.DecodeError, RecursionError: as the decoder does.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as exc:
        first = exc
    try:
        again = msgspec.json.encode(_whole(msgspec.json.decode(body)))
    except (msgspec.MsgspecError, RecursionError):
        raise first from None  # it says more than what the whole body did wrong
    return decoder.decode(again)


def _whole(value: Any) -> Any:
    """Return `value` with each whole number in it as an integer."""
    match value:
        case dict():
            return {name: _whole(each) for name, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case float() if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
    return value


def _lone_surrogate(body: bytes) -> bool:
    """Return whether an escape is half of a pair (RFC 8259 section 8.2); the decoder is vague."""
    return (
        _SURROGATE.search(body) is not None and _SURROGATE.search(_PAIR.sub(b"", body)) is not None
    )


def explain(message: str, kind: Any = Any) -> BadInput:
    """Return msgspec's complaint about a `kind` as an error that names field and remedy."""
    path = _PATH.search(message)
    where = path.group(2) if path is not None else ""
    text = _PATH.sub("", message)
    quoted = _QUOTED.search(text)
    name = quoted.group(1) if quoted is not None else ""
    if "unknown field" in text:
        field = f"{where}.{name}" if where else name
        return UnknownField(f"there is no field {field} here; check its spelling", field=field)
    if "missing required field" in text:
        field = f"{where}.{name}" if where else name
        return BadInput(f"{field} is missing; add it{_one_of(kind, field)}", field=field)
    plain = _TYPES.sub(lambda match: _IN_WORDS[match.group(1)], text).replace("`", "")
    plain = plain[:1].lower() + plain[1:]
    if where and plain.startswith("invalid"):
        plain += _one_of(kind, where)
    if "matching regex" in plain:
        leaf = _INDEX.sub("", where.rpartition(".")[2])
        plain = f"expected {_FORMS.get(leaf, 'text without control characters')}"
    if where.endswith(_ANY_KEY):
        where = where.removesuffix(_ANY_KEY)
        plain = f"one of its values is wrong: {plain}"
    elif path is not None and path.group(1):
        plain = f"one of its names is wrong: {plain}"
    return BadInput(f"{where or 'the body'}: {plain}", field=where or None)


def _one_of(kind: Any, field: str) -> str:
    allowed = choices(kind, field)
    return f"; it is one of {', '.join(allowed)}" if allowed else ""
