"""What a training leaves behind: the policy, its curve, a page, and what it can go on from. All of it is data."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from layerlift.emulator.results.places import check_place
from layerlift.emulator.studies.learning.lasting import check_same
from layerlift.models.errors import RunError
from layerlift.models.files import read_regular

POLICY, CURVE, STATE, PAGE = "policy.onnx", "curve.parquet", "training.json", "index.html"
FILES: Final = (POLICY, CURVE, STATE, PAGE)
MOST_BYTES: Final = 64 * 2**20
_VERSION: Final = 1
_TRIED: Final = ".tried"
_DTYPES: Final = {"float32": np.float32, "float64": np.float64, "int64": np.int64, "uint16": np.uint16}


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve. Gaps are shares of the exact answer's cost."""

    round: int
    cpu_s: float
    """CPU time of the training so far, measuring apart, of this process."""
    loss: float
    """Mean over the steps of the rounds since the last point."""
    group: str
    """`training` or `held out`: which networks it was measured on."""
    greedy_mean: float
    best_mean: float
    best_p95: float
    best_near: float
    """The share of problems in which the best of the walks is within 1 %."""
    right: float
    """The share of steps on the greedy walks that are best."""
    cut_mean: float
    """Of the best single cut, which needs no training."""
    local_mean: float


@dataclass(frozen=True, slots=True)
class Record:
    """A training as it is kept."""

    asked: Mapping[str, Any]
    """What it was asked for: what a resumed one must be asked for too."""
    arrays: Mapping[str, NDArray[Any]]
    points: tuple[Any, ...]
    """Of the curve: a `Point` each, or what another training has of them."""
    cpu_s: float


def check(out: Path, resume: bool | None, force: bool) -> None:
    """Raise `RunError` for a folder that a training cannot be written to, or gone on from.

    `resume` is None for one that nobody can go on with.
    """
    check_place(out)
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file, expected a directory for the training; give another with --out")
    there = [name for name in FILES if (out / name).exists()]
    if resume and STATE not in there:
        raise RunError(f"{out} holds no training to go on with: leave --resume away, or give its folder with --out")
    if there and not (resume or force):
        whose = f"an {PAGE} of something else" if there == [PAGE] else "a training"
        way = "" if resume is None or there == [PAGE] else "go on with --resume, "
        raise RunError(f"{out} already holds {whose}: {way}replace it with --force, or give --out")


def prepare(out: Path) -> None:
    """Make the folder, and see that files can be written there. Raises `RunError`: before an hour of training."""
    put(out, _TRIED, b"")
    (out / _TRIED).unlink(missing_ok=True)


def leave(out: Path, kept: str) -> None:
    """Take away what a training has left there, `kept` aside. Raises `RunError`."""
    try:
        for name in FILES:
            if name != kept:
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror or error}; give another folder with --out") from None


def put(out: Path, name: str, content: bytes) -> None:
    """Write a file so that it is whole or as before. Raises `RunError`."""
    part = out / f".{name}.part"
    try:
        out.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, out / name)
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror or error}; give another folder with --out") from None


def packed(record: Record) -> bytes:
    """The record as JSON."""
    arrays = {name: _packed(np.asarray(array)) for name, array in record.arrays.items()}
    points = [list(asdict(point).values()) for point in record.points]
    made = {"version": _VERSION, "asked": record.asked, "cpu_s": record.cpu_s, "points": points, "arrays": arrays}
    return json.dumps(made, allow_nan=False).encode()


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def unpacked(path: Path, kind: type[Any] = Point, asked: Mapping[str, Any] | None = None) -> Record:
    """The record in a file, with points of a kind. Raises `RunError` for what is none, or was `asked` for another."""
    try:
        held = json.loads(read_regular(path, MOST_BYTES))
        if held["version"] != _VERSION:
            raise ValueError
        check_same(asked or {}, dict(held["asked"]), path.parent)
        arrays = {str(name): _unpacked(each) for name, each in held["arrays"].items()}
        points = tuple(_point(values, kind) for values in held["points"])
        return Record(dict(held["asked"]), arrays, points, _number(held["cpu_s"]))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}; give another folder with --out") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        raise RunError(f"{path} is no training of this version of Layerlift: begin anew with --force") from None


def _unpacked(held: Mapping[str, Any]) -> NDArray[Any]:
    shape = [int(extent) for extent in held["shape"]]
    array = np.frombuffer(base64.b64decode(held["data"], validate=True), _DTYPES[held["dtype"]])
    return array.reshape([extent for extent in shape if extent >= 0])


def _point(values: list[Any], point: type[Any]) -> Any:
    kinds = [each.type for each in fields(point)]
    made: list[Any] = [
        str(value) if kind == "str" else int(value) if kind == "int" else _number(value)
        for kind, value in zip(kinds, values, strict=True)
    ]
    return point(*made)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def table(points: tuple[Any, ...], kind: type[Any] = Point) -> Any:
    """The curve as a `pyarrow.Table`, a row for each point."""
    import pyarrow

    types = {"int": pyarrow.int64(), "float": pyarrow.float64(), "str": pyarrow.string()}
    columns = {
        each.name: pyarrow.array([point.__getattribute__(each.name) for point in points], types[str(each.type)])
        for each in fields(kind)
    }
    return pyarrow.table(columns)


def curve(points: tuple[Any, ...], kind: type[Any] = Point) -> bytes:
    """The curve as a Parquet file's content."""
    import pyarrow
    import pyarrow.parquet

    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table(points, kind), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content
