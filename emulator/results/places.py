"""Folders that somebody wants results in."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from layerlift.models.errors import RunError, quoted, shortened
from layerlift.models.files import why_not


def check_place(path: str | Path) -> None:
    """Raise `RunError` for a folder to write to of which nobody can tell what is there; see `why_not`."""
    if (why := why_not(path)) is not None:
        raise RunError(f"cannot write to {shortened(str(path), 60)!r}: {why}; give another folder with --out")


def folder_of(out: Any, what: str = "results") -> Path:
    """The folder that a program's `out` names. Raises `RunError` for what names none."""
    if not isinstance(out, str | PathLike):
        raise RunError(f"out is {quoted(out, 80)}, expected a folder for the {what}")
    if out == "":
        raise RunError(f"out is empty, expected a folder for the {what}")
    return Path(out)
