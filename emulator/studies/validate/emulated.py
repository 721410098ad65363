"""The other side: the same situation as a scenario, with this machine's profile, in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.results.reader import RunResult
from layerlift.emulator.run import run
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.schema.fields import MB
from layerlift.emulator.studies.validate.processes.messages import HEADER_BYTES
from layerlift.emulator.studies.validate.records import Part, Query, Round
from layerlift.emulator.studies.validate.situations import Situation
from layerlift.models.errors import RunError

_PLANNER: Final = "layerlift.emulator.studies.validate.chosen:Chosen"
_QUERIES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Twin:
    """The machine and the link that are emulated."""

    profile: Path
    """A file: this machine's, measured a moment ago."""
    ghz: float
    bytes_s: float
    latency_s: float
    load_s_per_byte: float
    link: Mapping[str, Any] = field(default_factory=dict)
    """What a transport makes of the links: more of their fields. Without, the client has one link to all servers."""

    def at(self, pace: float) -> Twin:
        """The same where all layers take `pace` times as long."""
        return replace(self, ghz=self.ghz / pace)


def scenario(situation: Situation, source: Mapping[str, Any], twin: Twin, before_s: float, after_s: float) -> Scenario:
    """The scenario of a situation; queries come `before_s` before the upload and until about `after_s` after it."""
    firsts = "/".join(str(unit.first) for unit in situation.units)
    nodes = "/".join(str(unit.node) for unit in situation.units)
    planner = f"{_PLANNER}:firsts={firsts},nodes={nodes}"
    machine = {"ghz": twin.ghz, "profile": str(twin.profile)}
    link = {"bandwidth_mb_s": twin.bytes_s / MB, "latency_ms": twin.latency_s * 1e3, **twin.link}
    uplink = {} if twin.link else {"uplink_mb_s": twin.bytes_s / MB}
    return Scenario.from_dict(
        {
            "name": f"validate {situation.name}",
            "nodes": [
                {"tier": "client", "name": "device", **machine, **uplink},
                {"tier": "edge", "count": situation.servers, "names": "server{}", **machine,
                 "load_s_per_mb": twin.load_s_per_byte * MB},
            ],
            "links": {"client-edge": link, "edge-edge": link},
            "share_links": True,
            "users": [{"model": "network", "planner": planner, "queries": _QUERIES}],
            "models": {"network": {"source": source["name"], "dims": source["dims"] or {}, "fix": source["fix"] or {},
                                   "output": source["outputs"]}},
            "planner": {"plan_s": before_s, "literal": True},
            "header_bytes": HEADER_BYTES,
            "until_s": after_s,
            "sample_s": None,
            "execution": "none",
        },
        allow_code=True,
    )  # fmt: skip


def emulate(
    situation: Situation, source: Mapping[str, Any], twin: Twin, before_s: float, upload_s: float, after: int
) -> Round:
    """What the emulation says of a situation: as many queries after the upload as were really asked.

    `upload_s` is how long the upload may take at least. Raises `RunError` when it does not end.
    """
    until_s = before_s + 2 * upload_s + 30.0
    for _ in range(4):
        result = run(scenario(situation, source, twin, before_s, until_s), local=True)
        found = _round(result, len(situation.parts), after)
        if found is not None:
            return found
        until_s *= 4
    raise RunError(f"the emulated upload of {situation.name!r} does not end within {until_s:.0f} virtual seconds")


def _round(result: RunResult, parts: int, after: int) -> Round | None:
    uploads = result.uploads.select(["part", "sent_s", "ended_s", "status"]).to_pylist()
    sent = [Part(row["sent_s"], row["ended_s"]) for row in uploads if row["status"] == "confirmed"]
    rows = result.queries.select(["begun_s", "ended_s", "status", "confirmed_parts"]).to_pylist()
    queries = [
        Query(row["begun_s"], row["ended_s"], row["confirmed_parts"]) for row in rows if row["status"] == "answered"
    ]
    last = [query for query in queries if query.up == parts][:after]
    if len(sent) < parts or len(last) < after:
        return None
    return Round(sent[0].sent_s, (*(query for query in queries if query.up < parts), *last), tuple(sent))
