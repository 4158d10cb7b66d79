"""Bodies of strangers, decompressed piece by piece: a small one cannot become a huge one."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from process.addresses import Unreachable

PIECE = 64 * 1024

_WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": 0}


class Decoder:
    """Undoes one Content-Encoding, yielding at most `PIECE` bytes at a time."""

    def __init__(self, encoding: bytes):
        """Raise Unreachable when `encoding` is not identity, gzip or deflate."""
        name = encoding.strip().lower()
        self.is_identity = name in (b"", b"identity")
        if not self.is_identity and name not in _WINDOWS:
            raise Unreachable(
                f"the content encoding {name[:40].decode('latin-1')} was not accepted"
            )
        self._window = _WINDOWS.get(name, 0)
        self._inflater: zlib._Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for.

        Raises:
            Unreachable: it is damaged.
        """
        if self.is_identity:
            yield data
            return
        if self._inflater is None and data:
            self._inflater = zlib.decompressobj(self._window or _deflate_window(data))
        while self._inflater is not None and not self._inflater.eof:
            try:
                piece = self._inflater.decompress(data, PIECE)
            except zlib.error as exc:
                raise Unreachable(f"the body is damaged: {exc}") from exc
            data = self._inflater.unconsumed_tail
            if piece:
                yield piece
            if not data and len(piece) < PIECE:  # else more may wait inside
                return


def _deflate_window(data: bytes) -> int:
    """RFC 9110 says zlib's format; some send the raw one. The first byte tells them apart."""
    return zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS
