"""What run.json may say: the one place where a stranger's file becomes values that readers can trust in shape.

`checked` holds the whole file against bounds (depth, sizes of numbers and texts) and what readers use against types;
whatever else stands in it is kept and never read. `record_digest` names all of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from layerlift.emulator.results.digest import DIGEST_BYTES
from layerlift.models.errors import RunError
from layerlift.models.files import read_regular

RUN_FILE: Final = "run.json"
MOST_BYTES: Final = 1 << 30
DEEPEST: Final = 64
LONGEST: Final = 1_000_000
"""Characters of a text."""
LARGEST: Final = 1 << 63

RECORD_DIGEST: Final = "record_digest"

Amount = Annotated[float, Field(ge=0, le=1e300, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=LARGEST)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class _Told(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Node(_Told):
    name: str
    tier: Literal["client", "edge", "cloud", "planner"]
    cores: Annotated[int, Field(ge=1, le=10**6)]
    price_per_byte_s: Amount
    price_per_s: Amount
    memory_bytes: Amount | Literal["inf"]
    uplink_bytes_s: Amount | Literal["inf"]
    downlink_bytes_s: Amount | Literal["inf"]
    idle_w: Amount | None = None
    compute_w: Amount | None = None
    radio_w: Amount | None = None
    off_w: Amount | None = None
    policy: str = ""
    behind: str = ""


class _Transport(_Told):
    efficiency: Annotated[float, Field(gt=0, le=1)] = 1.0
    queue_s: Seconds = 0.0
    query_weight: Amount = 1.0
    slow_start: bool = False


class _Medium(_Transport):
    name: str
    up_bytes_s: Amount | Literal["inf"]
    down_bytes_s: Amount | Literal["inf"]
    price_per_byte: Amount
    behind: str = ""


class _Carried(_Told):
    up_bytes: Count
    down_bytes: Count


class _Link(_Transport):
    price_per_byte: Amount
    bandwidth_bytes_s: Amount | Literal["inf"] = "inf"
    via: list[str] = []


class _Model(_Told):
    name: str
    layers: list[str]
    unpredicted: dict[str, Count] = {}
    unpredicted_share: Amount = 0.0


class _Planning(_Told):
    predictions: str = ""


class _Objective(_Told):
    deadline_s: Amount | None = None


class _User(_Told):
    name: str
    client: str
    kind: str
    model: str
    planner: str
    arrival_s: Seconds
    objective: _Objective | None = None


class _World(_Told):
    name: str = "run"
    seed: Annotated[int, Field(gt=-LARGEST, lt=LARGEST)] = 0
    sample_s: Annotated[float, Field(ge=1e-9, le=1e300)] | Literal["inf"]
    nodes: list[_Node]
    users: list[_User]
    models: list[_Model]
    links: dict[str, _Link]
    pairs: dict[str, _Link]
    media: list[_Medium] = []
    share_links: bool = True
    planning: _Planning | None = None


class _Group(_Told):
    tier: str
    count: Count | None = None


class _Scenario(_Told):
    users: list[dict[str, Any]]
    nodes: list[_Group]


class _Table(_Told):
    rows: Count
    parts: Count = 0


class _Timed(_Told):
    measured_s: Amount
    profiled_s: Amount


class _Fidelity(_Told):
    pace: Amount | None = None
    median_s: Amount | None = None
    p99_s: Amount | None = None
    worst_s: Amount | None = None
    trusted: bool = True
    reason: str | None = None


class _Assumption(_Told):
    path: str
    value: Any
    source: str


class _Input(_Told):
    name: str
    digest: Hash
    bytes: Count
    kept: bool


class _Price(_Told):
    seconds: list[Amount]
    ghz: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
    floor_s: list[Amount] | None
    batches: dict[Annotated[str, Field(pattern=r"^([2-9]|[1-9][0-9]{1,4})$")], list[Amount]] = {}
    floor_more_s: list[Amount] | None = None
    origin: str
    host: str
    date: str
    coverage: Amount


class _Priced(_Told):
    source: str
    options: dict[str, Any]
    digest: str
    file_digest: Hash | None
    classes: dict[str, _Price]
    predicted_s: list[Amount]
    predicted_ghz: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]


class _Run(_Told):
    status: Literal["running", "complete", "interrupted"]
    reason: str | None = None
    seed: Annotated[int, Field(gt=-LARGEST, lt=LARGEST)] = 0
    digest: str = ""
    record_digest: str = ""
    table_digests: dict[str, str] = {}
    tables: dict[str, _Table] = {}
    versions: dict[str, str] = {}
    scenario: _Scenario | None = None
    world: _World | None = None
    summary: dict[str, Any] | None = None
    assumptions: list[_Assumption] = []
    profiles: dict[str, list[Amount]] = {}
    inputs: list[_Input] = []
    prices: list[_Priced] = []
    operators: dict[str, _Timed] = {}
    media: dict[str, _Carried] = {}
    fidelity: _Fidelity | None = None
    placing: str | None = None
    wall_s: Amount | None = None
    virtual_s: Seconds | None = None
    executed_pieces: Count = 0
    costs_digest: Hash | None = None


def read_run(file: Path) -> dict[str, Any]:
    """Return what a run.json says. Raises `RunError`, in one sentence, for whatever is no such file."""
    where = place(file)
    try:
        run = json.loads(read_regular(file, MOST_BYTES).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        said = " ".join(str(getattr(error, "strerror", None) or error).split())[:100]
        raise RunError(f"{where} cannot be read: {said}; expected the JSON that a run writes") from error
    _bounded(run, where)
    if not isinstance(run, dict) or run.get("status") not in ("running", "complete", "interrupted"):
        raise RunError(f"{where} has no status of a run: expected running, complete or interrupted")
    try:
        _Run.model_validate(run)
    except ValidationError as error:
        raise RunError(_told(error, where)) from None
    return run


def record_digest(run: Mapping[str, Any]) -> str:
    """32 hexadecimal digits that name everything in run.json but themselves."""
    whole = {key: value for key, value in run.items() if key != RECORD_DIGEST}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def place(path: Path) -> str:
    """A path as messages show it: its end, where it is long."""
    text = "".join(c if c.isprintable() else "?" for c in str(path))
    return text if len(text) <= 100 else f"...{text[-97:]}"


def _bounded(run: object, where: str) -> None:
    """Raise `RunError` for what readers could not go through: too deep, too long, no number of a run."""
    waiting: list[tuple[object, int]] = [(run, 0)]
    while waiting:
        value, depth = waiting.pop()
        what = ""
        if isinstance(value, dict | list):
            what = f"is nested more than {DEEPEST} deep" if depth > DEEPEST else ""
            inner = [*value, *value.values()] if isinstance(value, dict) else value
            waiting.extend((each, depth + 1) for each in inner)
        elif isinstance(value, str):
            what = f"has a text of {len(value):,} characters" if len(value) > LONGEST else ""
            what = what or ("has a text that UTF-8 cannot hold" if not _storable(value) else "")
        elif isinstance(value, float):
            what = "" if math.isfinite(value) else f"has the number {value}"
        elif isinstance(value, int):
            what = "has a number of more than 64 bits" if abs(value) > LARGEST else ""
        if what:
            raise RunError(f"{where} {what}: expected the JSON that a run writes")


def _storable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def _told(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in first["loc"])[:80]
    if first["type"] == "missing":
        return f"{where}: {path} is missing, expected the JSON that a run writes"
    given = " ".join(repr(first["input"])[:40].split())
    expected = first["msg"][:60].removeprefix("Input should be ")
    return f"{where}: {path} is {given}, expected {expected[:1].lower()}{expected[1:]}"
