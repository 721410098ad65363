"""Folders that somebody wants results in."""

from __future__ import annotations

from pathlib import Path

from layerlift.models.errors import RunError, shortened
from layerlift.models.files import why_not


def check_place(path: str | Path) -> None:
    """Raise `RunError` for a folder to write to of which nobody can tell what is there; see `why_not`."""
    if (why := why_not(path)) is not None:
        raise RunError(f"cannot write to {shortened(str(path), 60)!r}: {why}; give another folder with --out")
