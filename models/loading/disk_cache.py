"""Arrays on disk: written whole or not at all, verified when read, mapped instead of copied."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from layerlift.models.errors import ModelError

_MAGIC = b"LAYERLIFT-ARRAYS-1\n"
_ALIGN = 64
_CHUNK = 1 << 24


def cache_dir() -> Path:
    """Where generated weights and measured profiles are kept: `LAYERLIFT_CACHE`, or the platform's cache folder."""
    chosen = os.environ.get("LAYERLIFT_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "layerlift"


def write_bytes(path: Path, *chunks: bytes | memoryview) -> None:
    """Write `chunks` to `path` so that a reader sees the old file or the whole new one, never a part.

    Raises `ModelError` when the place cannot be written to.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            for chunk in chunks:
                stream.write(chunk)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ModelError(f"{path} cannot be written ({error.strerror or error}); name another place") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to `path`, atomically, with a checksum that `read_arrays` verifies."""
    index: list[dict[str, object]] = []
    chunks: list[bytes | memoryview] = []
    offset = 0
    hasher = hashlib.sha256()
    for name, array in arrays.items():
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        padding = bytes(-offset % _ALIGN)
        offset += len(padding)
        index.append({"name": name, "dtype": array.dtype.str, "shape": list(array.shape), "offset": offset})
        offset += flat.nbytes
        for chunk in (padding, flat.data):
            hasher.update(chunk)
            chunks.append(chunk)
    header = json.dumps({"arrays": index, "bytes": offset, "sha256": hasher.hexdigest()}).encode()
    start = len(_MAGIC) + 8 + len(header)
    write_bytes(path, _MAGIC, len(header).to_bytes(8, "little"), header, bytes(-start % _ALIGN), *chunks)


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays written to `path`, read-only and mapped; None when the file is missing or fails its checksum."""
    try:
        raw = np.memmap(path, dtype=np.uint8, mode="r")
    except (OSError, ValueError):
        return None
    try:
        base = len(_MAGIC) + 8
        if raw[: len(_MAGIC)].tobytes() != _MAGIC:
            return None
        length = int.from_bytes(raw[len(_MAGIC) : base].tobytes(), "little")
        header = json.loads(raw[base : base + length].tobytes())
        start = base + length
        body = raw[start + (-start % _ALIGN) :]
        if len(body) != header["bytes"] or _digest(body) != header["sha256"]:
            return None
        return {entry["name"]: _view(body, entry) for entry in header["arrays"]}
    except (KeyError, ValueError, TypeError):
        return None


def _view(body: np.ndarray, entry: Mapping[str, object]) -> np.ndarray:
    dtype = np.dtype(str(entry["dtype"]))
    shape = tuple(int(extent) for extent in entry["shape"])  # type: ignore[attr-defined]
    start = int(str(entry["offset"]))
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return np.asarray(body[start : start + size]).view(dtype).reshape(shape)


def _digest(body: np.ndarray) -> str:
    hasher = hashlib.sha256()
    for start in range(0, len(body), _CHUNK):
        hasher.update(body[start : start + _CHUNK].data)
    return hasher.hexdigest()
