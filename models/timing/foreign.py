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
_FOREIGN_NODE: Final = re.compile(r"ForeignNode\[(.+?)\.\.\.(.+)\]")
_BETWEEN: Final = re.compile(r" \+ | \|\| |, ")
"""What TensorRT writes between the layers of one kernel."""
_WRAPPERS: Final = re.compile(r"^(?:\{?(?:PWN|POINTWISE)\()+")
_COPY: Final = re.compile(r"^Reformatting CopyNode for (?:Input|Output) Tensor \d+ to (.+)$")
_BESIDE: Final = r"(?:copied_)?(?:un)?(?:squeeze|reshape|shuffle)(?:_node)?_(?:before|after)_"
_AROUND: Final = re.compile(rf"^(?:{_BESIDE})?(.+?)(?: copy|(?:_U\d+)?_myl\d+_\d+)?$")
"""A layer's name, and what TensorRT adds to it: a change of shape beside it, the kernel's number."""
_LAUNCHING: Final = frozenset({"CUDAExecutionProvider", "ROCMExecutionProvider"})
"""Providers whose nodes only start kernels: the time that these take is in events of their own, if anywhere."""
_OPTIMISED: Final = re.compile(r"^(?:fused )?(.*?)(?:/\w+Fusion/?|_nchwc|_nhwc|_new_reshape|_token_\d+)*$")


@dataclass(frozen=True, slots=True)
class Entry:
    """Seconds of one kernel, and the layers that it may stand for."""

    name: str
    seconds: float
    candidates: tuple[str, ...]
    last: tuple[str, ...] = ()
    """Where it stands for a run of layers: names of its end; `candidates` are those of its beginning."""


@dataclass(frozen=True, slots=True)
class Times:
    """What a file says."""

    source: str
    """Who measured, in a word: `trtexec`, `onnxruntime` or `a file of times`."""
    entries: tuple[Entry, ...]
    operators: Mapping[str, float] = field(default_factory=dict)
    """Seconds of all layers of an operator that no entry names, or of the one layer that is called so."""
    is_whole: bool = True
    """Whether the entries are all that one run of the network took, so that what is not named took no time."""
    device: str | None = None
    ghz: float | None = None
    total: float | None = None
    """Seconds of the whole network, which what is named is a part of; None: not said."""
    batches: Mapping[int, Times] = field(default_factory=dict)
    """The same for so many queries at once, 2 or more, ascending."""
    launched: str = ""
    """The provider whose nodes have the times of starting kernels only; empty where times are what they seem."""


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
        return _onnxruntime(events)
    return Times("trtexec", _trtexec(events))


def _onnxruntime(events: Sequence[Mapping[str, Any]]) -> Times:
    """Per node the median over the runs, the first left out where there are more: it warms up.

    Where kernels of a device follow a node in the file, their time is the node's: its own is that of starting them.
    """
    found: dict[str, list[list[float]]] = {}
    kinds: dict[str, str] = {}
    run: list[float] = []
    launched, has_kernels = "", False
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            run = [float(event["dur"]) / 1e6, 0.0]
            found.setdefault(name[: -len(_KERNEL)], []).append(run)
            told = event.get("args", {})
            provider = str(told.get("provider", ""))
            launched = provider if provider in _LAUNCHING else launched
            kinds[name[: -len(_KERNEL)]] = str(told.get("op_name", ""))
        elif event.get("cat") == "Kernel" and run:
            has_kernels = True
            run[1] += float(event["dur"]) / 1e6
    entries: list[Entry] = []
    operators: dict[str, float] = {}
    for name, runs in found.items():
        spent = statistics.median(device or host for host, device in runs[1:] or runs)
        if kinds[name] and _plain(name) == kinds[name]:
            # What the optimiser has made has no name but that of its operator.
            operators[kinds[name]] = operators.get(kinds[name], 0.0) + spent
        else:
            entries.append(Entry(name, spent, (name, _plain(name))))
    return Times("onnxruntime", tuple(entries), operators, launched="" if has_kernels else launched)


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
    """TensorRT names a kernel after the layers in it: `a + b`, `PWN(PWN(a), b)`, `a || b`, `{ForeignNode[a...z]}`."""
    copied = _COPY.match(name)
    whole = copied.group(1) if copied else name
    run = _FOREIGN_NODE.search(whole)
    if run:
        return Entry(name, seconds, _pieces(run.group(1)), _pieces(run.group(2)))
    return Entry(name, seconds, (name, *_pieces(whole)))


def _pieces(whole: str) -> tuple[str, ...]:
    """What may be names of layers in it: each as it stands, and without what TensorRT adds to one."""
    found: list[str] = []
    for piece in _BETWEEN.split(whole):
        name = _WRAPPERS.sub("", piece.strip())
        # Brackets that a wrapper has opened are closed behind the last of its names.
        while name and any(name[-1] == shut and name.count(shut) > name.count(opened) for opened, shut in ("()", "{}")):
            name = name[:-1]
        plain = _AROUND.match(name)
        found += [name, plain.group(1)] if plain else [name]
    return tuple(dict.fromkeys(found))
