"""How each provider says no: the body of its HTTP errors."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

_OPENAI_CODES = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
_ELEVENLABS_STATUSES = {
    400: "invalid_request",
    401: "invalid_api_key",
    404: "voice_not_found",
    429: "too_many_concurrent_requests",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def openai(status: int, message: str) -> dict[str, Any]:
    """Return OpenAI's error object, which OpenRouter, Mistral and others copy."""
    kind, code = _OPENAI_CODES.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def cartesia(status: int, message: str) -> dict[str, Any]:
    """Return Cartesia's error object."""
    phrase = HTTPStatus(status).phrase
    return {
        "error_code": phrase.lower().replace(" ", "_"),
        "status_code": status,
        "title": phrase,
        "message": message,
        "request_id": "req_local",
    }


def elevenlabs(status: int, message: str) -> dict[str, Any]:
    """Return ElevenLabs' error object."""
    name = _ELEVENLABS_STATUSES.get(status, "internal_server_error")
    return {"detail": {"status": name, "message": message}}


def google(status: int, message: str) -> dict[str, Any]:
    """Return Google's error object."""
    name = _GOOGLE_STATUSES.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": name}}


Shape = Callable[[int, str], dict[str, Any]]


def response(shape: Shape, status: int) -> web.Response:
    """Return the error response of this status, in a provider's `shape`."""
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    body = shape(status, HTTPStatus(status).description or HTTPStatus(status).phrase)
    return web.json_response(body, status=status, headers=headers)
