"""What tests of several packages need: data beside this repository, and how often a law is tried."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings

SHORT = 15
LONG = 100
"""How many examples a law is tried with by `make test` (the same each time), and by `make test-long`."""


def examples(count: int) -> int:
    """Return how many examples the laws get that the long form tries with `count`: in the short form a seventh."""
    return max(1, count * settings().max_examples // LONG)


def shared(name: str) -> Path:
    """Return a folder of `shared/`, looked for beside the repository and above; it need not be there."""
    here = Path(__file__).resolve()
    return next((up / "shared" / name for up in here.parents if (up / "shared" / name).is_dir()), here / name)
