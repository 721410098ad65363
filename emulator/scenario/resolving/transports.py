"""What the transport profiles of a scenario (`profile: modem`) stand for, from the data that ships with Layerlift."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.scenario.schema.link_sections import TransportSection
from layerlift.emulator.world.links import Transport
from layerlift.models.files import read_regular

_MOST_BYTES: Final = 1 << 16

FIELDS = ("efficiency", "queue_ms", "query_weight", "slow_start")
"""What a profile gives."""


def transport_of(section: TransportSection, usual: Transport) -> Transport:
    """The transport of a link or medium: what its profile says, or else `usual`, but for the fields that it gives."""
    given = section.model_dump(include=set(FIELDS), exclude_unset=True, exclude_none=True)
    if section.profile is not None:
        given = profile_fields(section.profile, section.buffer_ms) | given
    return Transport(
        given.get("efficiency", usual.efficiency),
        given["queue_ms"] / 1000 if "queue_ms" in given else usual.queue_s,
        given.get("query_weight", usual.query_weight),
        given.get("slow_start", usual.slow_start),
    )


def profile_fields(name: str, buffer_ms: float | None = None) -> dict[str, Any]:
    """The four fields that a profile stands for, as a scenario writes them; `buffer_ms` of one that has a buffer."""
    profile = dict(_data()["profiles"][name])
    if "queue_of_buffer" in profile:
        held_ms = profile["buffer_ms"] if buffer_ms is None else buffer_ms
        profile["queue_ms"] = round(profile["queue_of_buffer"] * held_ms, 9)
    return {field: profile[field] for field in FIELDS}


def profile_source(name: str) -> str:
    """Where the numbers of a profile come from, in a line."""
    return f"profile {name}: {_data()['source']}"


@cache
def _data() -> dict[str, Any]:
    path = Path(str(resources.files("layerlift.emulator") / "transports.json"))
    found: dict[str, Any] = json.loads(read_regular(path, _MOST_BYTES))
    return found
