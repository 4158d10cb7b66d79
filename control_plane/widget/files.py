"""The built widget: the files that pages of any origin load, and those of the try-it page."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from control_plane.domain.errors import NotFound

BUILT = Path(__file__).resolve().parents[2] / "web" / "dist"
TYPES = {
    "offhook-call.js": "text/javascript; charset=utf-8",
    "offhook-call.mjs": "text/javascript; charset=utf-8",
    "try.js": "text/javascript; charset=utf-8",
    "try.css": "text/css; charset=utf-8",
    "try.html": "text/html; charset=utf-8",
}
_HEADERS = {
    "Access-Control-Allow-Origin": "*",  # a module is loaded by the rules of CORS
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}


class PageFiles:
    """Reads what `offhook widget build` has made, as it stands at that moment."""

    def __init__(self, folder: Path = BUILT):
        self._folder = folder

    async def serve(
        self, request: Request[Any, Any, Any], name: str, headers: dict[str, str]
    ) -> Response[bytes]:
        """Return a file, compressed for whoever takes that.

        Raises:
            NotFound: there is no such file, or nothing was built.
        """
        if name not in TYPES:
            raise NotFound(f"there is no file {name[:100]!r} here: {', '.join(TYPES)}")
        headers = {**headers, "Content-Type": TYPES[name]}
        is_packed = "gzip" in request.headers.get("accept-encoding", "")
        if is_packed:
            headers["Content-Encoding"] = "gzip"
        path = self._folder / (f"{name}.gz" if is_packed else name)
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            raise NotFound(
                "the widget is not built here: `offhook widget build` builds it, and says what it "
                "lacks if it cannot; then load this again"
            ) from None
        tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
        headers["ETag"] = tag
        if tag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(content, headers=headers)


GivenFiles = NamedDependency[PageFiles]


class WidgetController(Controller):
    """The widget's files; they are no secret and need no key."""

    path = "/widget"

    @get("/{name:str}", include_in_schema=False)
    async def file(
        self, name: FromPath[str], request: Request[Any, Any, Any], page_files: GivenFiles
    ) -> Response[bytes]:
        """Return one of the built files."""
        return await page_files.serve(request, name, _HEADERS)
