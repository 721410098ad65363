"""Times that somebody else measured: Layerlift's own JSON, TensorRT's `trtexec --exportProfile`, onnxruntime's profile.

All three come down to named seconds (`Times`); whose they are is found in `layerlift.models.timing.importing`.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from layerlift.models.errors import ModelError
from layerlift.models.files import read_regular

OWN: Final = "layerlift times 1"
MOST_AT_ONCE: Final = 4096
"""The largest batch."""
_PARTS: Final = frozenset({"layers", "operators", "total"})
_MOST_BYTES: Final = 256 << 20
_EXPECTED: Final = (
    f'expected {{"format": "{OWN}", "device": ..., "layers": {{name: seconds}}}}, a file of trtexec --exportProfile, '
    "or a profile of onnxruntime"
)
_KERNEL: Final = "_kernel_time"
_FOREIGN_NODE: Final = re.compile(r"\{?ForeignNode\[(.+?)\.\.\.(.+?)\]\}?")
_WRAPPER: Final = re.compile(r"^(?:PWN|POINTWISE|\{PWN)\((.*)\)\}?$")
_COPY: Final = re.compile(r"^Reformatting CopyNode for (?:Input|Output) Tensor \d+ to (.+)$")
_OPTIMISED: Final = re.compile(r"^(?:fused )?(.*?)(?:_nchwc|_nhwc)?(?:_token_\d+)?$")


@dataclass(frozen=True, slots=True)
class Entry:
    """Seconds of one kernel, and the layers that it may stand for: several names, or a run from first to last."""

    name: str
    seconds: float
    candidates: tuple[str, ...]
    is_run: bool = False


@dataclass(frozen=True, slots=True)
class Times:
    """What a file says."""

    source: str
    """Who measured, in a word: `trtexec`, `onnxruntime` or `a file of times`."""
    entries: tuple[Entry, ...]
    operators: Mapping[str, float] = field(default_factory=dict)
    """Seconds of all layers of an operator that no entry names."""
    is_whole: bool = True
    """Whether the entries are all that one run of the network took, so that what is not named took no time."""
    device: str | None = None
    ghz: float | None = None
    total: float | None = None
    """Seconds of the whole network, which what is named is a part of; None: not said."""
    batches: Mapping[int, Times] = field(default_factory=dict)
    """The same for so many queries at once, 2 or more, ascending."""


def read(path: Path) -> Times:
    """Read a file of any of the three formats. Raises `ModelError` when it is none or has impossible seconds."""
    try:
        body = json.loads(read_regular(path, _MOST_BYTES))
    except OSError as error:
        raise ModelError(f"the times {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{path} is not JSON that can be read: {_EXPECTED}") from None
    try:
        found = _own(body) if isinstance(body, dict) else _listed(body)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"{path} holds no times ({type(error).__name__}: {str(error)[:60]}): {_EXPECTED}") from None
    for each in (found, *found.batches.values()):
        if not _sound(each):
            raise ModelError(
                f"{path} has no times, or some that are negative or not finite; expected seconds of layers"
            )
    return found


def _sound(times: Times) -> bool:
    whole = [] if times.total is None else [times.total]
    seconds = [*(entry.seconds for entry in times.entries), *times.operators.values(), *whole]
    return bool(seconds) and all(math.isfinite(s) and s >= 0 for s in seconds) and max(seconds) > 0


def _own(body: Mapping[str, Any]) -> Times:
    if body["format"] != OWN:
        raise ValueError(f"format {body['format']!r}")
    _known(body, {"format", "device", "ghz", "batches"} | _PARTS)
    ghz = body.get("ghz")
    several = {int(size): _parts({"total": s} if isinstance(s, int | float) else s) for size, s in _batches(body)}
    return replace(
        _parts({name: body[name] for name in body.keys() & _PARTS}),
        device=str(body["device"]),
        ghz=None if ghz is None else float(ghz),
        batches=dict(sorted(several.items())),
    )


def _batches(body: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for size, times in body.get("batches", {}).items():
        if not (size.isdecimal() and 2 <= int(size) <= MOST_AT_ONCE):
            raise ValueError(f"a batch of {size!r} queries")
        yield size, times


def _parts(body: Mapping[str, Any]) -> Times:
    """Seconds of layers and operators, and of all, as they are given for a number of queries."""
    _known(body, _PARTS)
    layers = {str(name): float(s) for name, s in body.get("layers", {}).items()}
    total = body.get("total")
    return Times(
        "a file of times",
        tuple(Entry(name, s, (name,)) for name, s in layers.items()),
        {str(name): float(s) for name, s in body.get("operators", {}).items()},
        False,
        total=None if total is None else float(total),
    )


def _known(body: Mapping[str, Any], fields: Set[str]) -> None:
    strange = sorted(set(body) - fields)
    if strange:
        raise ValueError(f"the unknown field {strange[0]!r}")


def _listed(body: Any) -> Times:
    if not isinstance(body, list):
        raise TypeError("neither an object nor a list")
    events = [event for event in body if isinstance(event, dict)]
    if any("cat" in event for event in events):
        return Times("onnxruntime", _onnxruntime(events))
    return Times("trtexec", _trtexec(events))


def _onnxruntime(events: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Per node the median over the runs, the first left out where there are more: it warms up."""
    found: dict[str, list[float]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            found.setdefault(name[: -len(_KERNEL)], []).append(float(event["dur"]) / 1e6)
    return tuple(
        Entry(name, statistics.median(spent[1:] or spent), (name, _plain(name))) for name, spent in found.items()
    )


def _plain(name: str) -> str:
    """A node's name before onnxruntime's optimiser had it."""
    found = _OPTIMISED.match(name)
    return found.group(1) if found else name


def _trtexec(events: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    count = next((float(event["count"]) for event in events if "count" in event), 1.0)
    found = []
    for event in events:
        if "name" in event:
            spent = event.get("medianMs", event.get("averageMs"))
            milliseconds = float(event["timeMs"]) / count if spent is None else float(spent)
            found.append(_fused(str(event["name"]), milliseconds / 1e3))
    return tuple(found)


def _fused(name: str, seconds: float) -> Entry:
    """TensorRT names a kernel after the layers in it: `a + b`, `PWN(a, b)`, `a || b`, `{ForeignNode[a...z]}`."""
    run = _FOREIGN_NODE.search(name)
    if run:
        return Entry(name, seconds, (run.group(1), run.group(2)), True)
    copied = _COPY.match(name)
    parts = [copied.group(1) if copied else name]
    for separator in (" + ", " || ", ", "):
        parts = [piece for part in parts for piece in _unwrapped(part).split(separator)]
    return Entry(name, seconds, (name, *(_unwrapped(part).strip() for part in parts)))


def _unwrapped(name: str) -> str:
    while found := _WRAPPER.match(name.strip()):
        name = found.group(1)
    return name
