"""A model file as its network: opened once in a process of its own, and not again while it stays what it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from layerlift.models.errors import ModelError, sentence
from layerlift.models.loading.opener import OPENER, answered_badly
from layerlift.models.sums import int_sum

_KEPT: Final = 8
"""Files whose answers are kept; the one opened longest ago goes."""
_LIGHT_BYTES: Final = 1 << 30
"""A light model has shapes and small constants only; one of this size would take minutes to go through."""

Dims = tuple[tuple[str, int], ...]
Fixes = tuple[tuple[str, bool | int | float | tuple[bool | int | float, ...]], ...]
_Stamp = tuple[int, int, int, int]
"""What changes when a file is written again."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """What the process that opens files has said of one."""

    path: Path
    dims: Dims
    fix: Fixes
    outputs: tuple[str, ...]
    content: str
    """Hash of the file, its external data and what its inputs are fixed at."""
    light: bytes
    """The light model, to be parsed: it was checked, and holds no payload but small constants."""
    parameters: tuple[str, ...]
    upload_bytes: Mapping[str, int]
    tied: Mapping[str, str]
    file_bytes: int
    """Of the file and its external data."""


_Asked = tuple[Path, Dims, Fixes, tuple[str, ...]]
_KNOWN: dict[tuple[_Asked, str], tuple[dict[Path, _Stamp], OpenedFile]] = {}


def open_file(path: Path, dims: Dims, fix: Fixes = (), outputs: tuple[str, ...] = ()) -> OpenedFile:
    """Open the file at the absolute `path`, to end at `outputs` if there are any, with what `fix` says as constants.

    Raises `ModelError`, in one sentence, whatever it holds.
    """
    first, request = stamp(path), (path, dims, fix, outputs)
    # As text too, for 1, 1.0 and True are equal and not the same.
    asked = request, repr(fix)
    held = _KNOWN.get(asked)
    if held is not None and all(_stamp_or_none(file) == seen for file, seen in held[0].items()):
        return held[1]
    # External data has its size bounded by what the file says of it; here it is not known yet.
    more = {"dims": dict(dims), "fix": dict(fix), "outputs": list(outputs)}
    head, blobs = OPENER.ask("network", path, first[1], _LIGHT_BYTES, **more)
    try:
        files = {Path(file): _stamp_or_none(Path(file)) for file in head["files"]}
        found = _opened(request, head, blobs, int_sum(seen[1] for seen in files.values() if seen))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise answered_badly(path) from None
    seen = {file: mark for file, mark in files.items() if mark is not None}
    _KNOWN.pop(asked, None)
    if seen.get(path) == first and len(seen) == len(files):
        _KNOWN[asked] = seen, found
        while len(_KNOWN) > _KEPT:
            _KNOWN.pop(next(iter(_KNOWN)))
    return found


def stamp(path: Path) -> _Stamp:
    """Time, size and place of a regular file that a model may have; `ModelError` for anything else."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        found = None
    if found is None or not stat.S_ISREG(found.st_mode):
        raise ModelError(sentence(f"{path} is not a file; give the path of an .onnx file or the name of a zoo network"))
    if found.st_size > onnx.checker.MAXIMUM_PROTOBUF:
        raise ModelError(
            sentence(f"{path} is larger than 2 GiB, which protobuf cannot hold; save it with external data")
        )
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns


def _stamp_or_none(path: Path) -> _Stamp | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns


def _opened(asked: _Asked, head: Mapping[str, Any], blobs: list[np.ndarray], file_bytes: int) -> OpenedFile:
    return OpenedFile(
        *asked,
        str(head["content"]),
        blobs[0].tobytes(),
        tuple(str(name) for name in head["parameters"]),
        {str(name): int(size) for name, size in head["upload_bytes"].items()},
        {str(name): str(root) for name, root in head["tied"].items()},
        file_bytes,
    )
