"""`--output TENSOR`, alike on all commands that take a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from layerlift.models.errors import ModelError

_FILES: Final = (".json", ".onnx")


def _tensors(context: click.Context, parameter: click.Parameter, given: Sequence[str]) -> Sequence[str]:
    for name in given:
        if name.lower().endswith(_FILES):
            raise ModelError(f"--output {name} was given; expected the tensor to end at, while -o FILE writes a file")
    return given


ENDS: Final = click.option(
    "--output",
    "ends",
    multiple=True,
    metavar="TENSOR",
    callback=_tensors,
    help="End a file at this tensor: what comes after it is cut off. May be given again.",
)
