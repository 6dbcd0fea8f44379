"""Bodies of answers: unpacked piece by piece, so that neither their size nor a bomb fills the memory."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from django.utils.translation import gettext as _t

from scrapers.fetch.failures import CollectError, FailureClass

ACCEPT_ENCODING = "gzip, deflate"
_PIECE = 256 * 1024


class Unpacker:
    """Undoes a Content-Encoding; never yields more than the limit asked for."""

    def __init__(self, encoding: str) -> None:
        """Raise `CollectError` for an encoding that was not asked for."""
        self._encoding = encoding.strip().lower().removeprefix("x-")
        if self._encoding not in ("", "identity", "gzip", "deflate"):
            raise CollectError(
                FailureClass.BAD_ANSWER, _t("The answer is packed in a way unknown here: %(how)s.") % {"how": encoding}
            )
        self._inflater = (
            zlib.decompressobj(wbits=zlib.MAX_WBITS | 32) if self._encoding in ("gzip", "deflate") else None
        )
        self._first = True

    def feed(self, data: bytes, room: int) -> bytes:
        """Return what a piece of the body unpacks to, at most `room` + 1 bytes; raises `zlib.error`."""
        if self._inflater is None:
            return data[: room + 1]
        if self._first and data:
            self._first = False
            if self._encoding == "deflate" and data[0] & 0x0F != 8:
                # Some servers send deflate without the zlib header that RFC 9110 wants.
                self._inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        found = bytearray()
        while data and len(found) <= room and not self._inflater.eof:
            found += self._inflater.decompress(data, min(_PIECE, room + 1 - len(found)))
            data = self._inflater.unconsumed_tail
        return bytes(found)


async def read_limited(
    chunks: AsyncIterator[bytes], encoding: str, limit: int, *, host: str, truncate: bool = False
) -> tuple[bytes, int]:
    """Return (body unpacked, bytes received).

    Raises `CollectError`: `TOO_BIG` beyond `limit` bytes (with `truncate` the rest is left away instead), `BAD_ANSWER`
    for a body that cannot be unpacked.
    """
    unpacker, body, received = Unpacker(encoding), bytearray(), 0
    async for chunk in chunks:
        received += len(chunk)
        try:
            body += unpacker.feed(chunk, limit - len(body))
        except zlib.error as error:
            raise CollectError(
                FailureClass.BAD_ANSWER,
                _t("%(host)s sent an answer that cannot be unpacked: %(detail)s") % {"host": host, "detail": error},
            ) from error
        if len(body) > limit:
            if truncate:
                return bytes(body[:limit]), received
            raise too_big(host, limit)
    return bytes(body), received


def too_big(host: str, limit: int) -> CollectError:
    """Return the error for an answer beyond the limit."""
    return CollectError(
        FailureClass.TOO_BIG,
        _t("%(host)s sent more than %(limit)s MiB.") % {"host": host, "limit": round(limit / 2**20, 1)},
    )
