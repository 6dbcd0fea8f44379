"""Damage, as networks, scripts and people do it to pages and feeds; seeded, so that a failure can be had again."""

from __future__ import annotations

import random


def mutated(body: bytes, chance: random.Random) -> bytes:
    """Return a page or feed with some bytes cut out, doubled, exchanged or overwritten, mostly at tags."""
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(body) + 1)
        if chance.random() < 0.5:
            at = max(body.find(chance.choice([b"<", b">", b'"', b"{", b"}", b"&"]), at), 0)
        size = chance.choice([1, 1, 2, 5, 20, 200])
        piece = body[at : at + size]
        new = chance.choice(
            [
                b"",
                piece * 2,
                piece[::-1],
                chance.randbytes(size),
                b"<",
                b"</",
                b'"',
                b"\0",
                b"\xff",
                b"&#0;",
                b"<!--",
                b"]]>",
            ]
        )
        body = body[:at] + new + body[at + size :]
    return body[: chance.randrange(len(body) + 1)] if chance.random() < 0.1 else body
