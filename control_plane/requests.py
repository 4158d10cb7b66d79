"""Request bodies, decoded strictly: no coercion, no unknown field, errors that name the field."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Request

from control_plane.domain.errors import BadInput, Refused, UnknownField

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PATH = re.compile(r" - at `\$\.?(.*)`$")
_QUOTED = re.compile(r"`([^`]*)`")

NOT_BUILT_YET = frozenset(
    [
        "after_call_sms_prompt",
        "background_sound",
        "background_sound_volume",
        "calendly",
        "call_retry_config",
        "custom_tools",
        "email_notification_address",
        "email_notification_outcomes",
        "from_phone_number",
        "human_transfer_mode",
        "ivr_navigation_enabled",
        "prompt_flow",
        "sms_enabled",
        "sms_template",
        "structured_output_config",
        "structured_output_prompt",
        "thinking_sound",
        "thinking_sound_probability",
        "thinking_sound_volume",
        "transfer_phone_number",
        "voicemail_message",
        "voicemail_sms_prompt",
        "warm_transfer_summary_instructions",
        "webhook_url",
        "concurrency",
    ]
)
"""Fields of the call-order contract that are refused until the code behind them exists."""


class StrictRequest(Request[Any, Any, Any]):
    """Decodes JSON straight into the type that the handler asks for."""

    async def json(self) -> Any:
        """Return the body as the handler's type.

        Raises:
            Refused: it is not JSON (400).
            BadInput: it is not what the endpoint takes (422); names the field.
        """
        field = self.route_handler.parsed_data_field
        return decode(await self.body(), field.annotation if field is not None else Any)


def decode(body: bytes, kind: Any) -> Any:
    """Return `body` as `kind`; the errors are those of `StrictRequest.json`."""
    if not body:
        raise Refused("the request has no body; this endpoint takes a JSON object")
    if _NUL.search(body):
        raise BadInput("text cannot hold the character NUL (\\u0000); remove it")
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        raise explain(str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Refused(f"the body is not valid JSON: {exc}") from exc


def explain(message: str) -> BadInput:
    """Return msgspec's complaint as an error that names the field and the remedy."""
    path = _PATH.search(message)
    where = path.group(1) if path is not None else ""
    text = _PATH.sub("", message)
    quoted = _QUOTED.search(text)
    name = quoted.group(1) if quoted is not None else ""
    if "unknown field" in text:
        field = f"{where}.{name}" if where else name
        if name in NOT_BUILT_YET:
            return UnknownField(
                f"{field} is a field of the call-order contract whose behaviour is not built yet; "
                "leave it out",
                field=field,
            )
        return UnknownField(f"there is no field {field} here; check its spelling", field=field)
    if "missing required field" in text:
        field = f"{where}.{name}" if where else name
        return BadInput(f"{field} is missing; add it", field=field)
    plain = text.replace("`", "")
    return BadInput(f"{where or 'the body'}: {plain[:1].lower()}{plain[1:]}", field=where or None)
