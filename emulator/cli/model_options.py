"""The options of commands that read a model file: sizes of its dynamic dimensions, and inputs that are constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from layerlift.models.errors import ModelError
from layerlift.models.loading.dimensions import Fixed

DIMS: Final = click.option(
    "--dim",
    "dims",
    multiple=True,
    metavar="NAME=SIZE",
    help="Fix a dynamic dimension of a file: --dim x:2=224",
)
FIX: Final = click.option(
    "--fix", "fix", multiple=True, metavar="INPUT=VALUE", help="Make an input of a file a constant: --fix sr=16000"
)


def dims_of(given: Sequence[str]) -> dict[str, int] | None:
    """What `--dim` was given. Raises `ModelError` for what is not `NAME=SIZE`."""
    found: dict[str, int] = {}
    for entry in given:
        name, _, extent = entry.rpartition("=")
        if not name or not (extent.isascii() and extent.isdigit()):
            raise ModelError(f"--dim {entry!r} was given; expected NAME=SIZE, such as --dim batch=1")
        found[name] = int(extent)
    return found or None


def fix_of(given: Sequence[str]) -> dict[str, Fixed] | None:
    """What `--fix` was given: a number, `true` or `false`, or several with commas between them.

    Raises `ModelError` for what is not `INPUT=VALUE`.
    """
    found: dict[str, Fixed] = {}
    for entry in given:
        name, _, text = entry.rpartition("=")
        values = [_number(part) for part in text.split(",")]
        whole = [value for value in values if value is not None]
        if not name or len(whole) < len(values):
            raise ModelError(
                f"--fix {entry!r} was given; expected INPUT=VALUE with a number, true, false or a list of "
                "them, such as --fix sr=16000"
            )
        found[name] = whole if len(whole) > 1 else whole[0]
    return found or None


def _number(text: str) -> bool | int | float | None:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None
