"""The examples of the OpenAPI documents: what the API answers to a story that uses all of it.

After a change of what it takes or answers: `python -m tests.api_examples`.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import UNSET

from control_plane.documents import DIALECTS, DOCUMENT, EXAMPLES, describe_native
from control_plane.http.openapi import Example
from tests.api_stories import STORIES
from tests.served import served

_METHODS = ("get", "post", "put", "patch", "delete")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"(?!2099)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_NOW = "2026-03-02T15:04:05Z"
_SECRET = re.compile(r"(whsec_|pk_|ok_|eyJ|\*{4})[\w+/=.-]+")
_OWN_ID = re.compile(r"[\w-]{24}")


class Recorder:
    """Does what a story says, and keeps what was sent and answered."""

    def __init__(self, client: httpx.AsyncClient, document: dict[str, Any]) -> None:
        self.document = document
        self._client = client
        self._places = {
            operation["operationId"]: (method, path)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in _METHODS
        }
        self.shown: dict[str, Example] = {}

    async def do(
        self,
        operation: str,
        body: Any = UNSET,
        *,
        headers: Mapping[str, str] | None = None,
        expected: int | None = None,
        **parameters: Any,
    ) -> Any:
        """Do one operation, which must be possible; returns what was answered.

        The first of its kind is its example; headers stand in none.
        """
        method, path = self._places[operation]
        inside = {name for name in parameters if f"{{{name}}}" in path}
        response = await self._client.request(
            method.upper(),
            path.format(**parameters),
            params={name: each for name, each in parameters.items() if name not in inside},
            headers=headers,
            **({} if body is UNSET else {"json": body}),
        )
        status = response.status_code
        assert status == expected or response.is_success, (operation, status, response.text)
        answer = response.json() if response.content else UNSET
        self.shown.setdefault(operation, Example(parameters, body, status, answer))
        return answer

    def say(self, operation: str, body: Any = UNSET, **parameters: Any) -> None:
        """Show what is asked for, where no answer in JSON comes or nobody is there to give it."""
        assert operation in self._places, operation
        self.shown.setdefault(operation, Example(parameters, body))


async def recorded(folder: Path) -> dict[str, Any]:
    """Return the content of each file of examples, from an API over files in `folder`."""
    found = {}
    async with recorders(folder) as each:
        for name, recorder in each.items():
            await STORIES[name](recorder)
            found[name] = _Steady().of(msgspec.to_builtins(recorder.shown))
    return found


@asynccontextmanager
async def recorders(folder: Path) -> AsyncIterator[dict[str, Recorder]]:
    """Yield a recorder for each document, native first."""
    async with served(folder) as api:
        await describe_native(api.app)
        places = {"native": "/schema/openapi.json"}
        places |= {each.name: f"{each.prefix}{DOCUMENT}" for each in DIALECTS}
        yield {
            name: Recorder(api.client, (await api.client.get(place)).json())
            for name, place in places.items()
        }


class _Steady:
    """Puts what differs from run to run into one form: ids, times, secrets."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def of(self, value: Any, name: str = "") -> Any:
        """Return `value`, which stands below `name`."""
        match value:
            case dict():
                return {key: self.of(each, key) for key, each in value.items()}
            case list():
                return [self.of(each, name) for each in value]
            case str():
                return self._text(value, name)
            case float():
                return round(value)
        return value

    def _text(self, text: str, name: str) -> str:
        if (secret := _SECRET.fullmatch(text)) is not None:
            return f"{secret[1]}0123456789"
        text = _UUID.sub(lambda found: self._id(found[0]), text)
        if name.endswith("id") and _OWN_ID.fullmatch(text):
            return self._id(text)
        return _TIME.sub(_NOW, text)

    def _id(self, text: str) -> str:
        count = len(self._ids) + 1
        plain = f"01960a3c-5e00-7000-8000-{count:012x}"
        form = plain if _UUID.fullmatch(text) else f"{count:024d}"
        return self._ids.setdefault(text, form)


def main() -> None:
    """Record the files anew."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in asyncio.run(recorded(Path(folder))).items():
            written = msgspec.json.format(msgspec.json.encode(content), indent=1)
            (EXAMPLES / f"{name}.json").write_bytes(written + b"\n")


if __name__ == "__main__":
    main()
