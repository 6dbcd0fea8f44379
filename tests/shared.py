"""Where the data lie that stand beside this repository and are used where they are present."""

from __future__ import annotations

from pathlib import Path


def shared(name: str) -> Path:
    """Return a folder of `shared/`, looked for beside the repository and above; it need not be there."""
    here = Path(__file__).resolve()
    return next((up / "shared" / name for up in here.parents if (up / "shared" / name).is_dir()), here / name)
