"""The streams of the seed have the names that every digest rests on, and nobody makes others."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from layerlift.emulator.world import streams

EMULATOR = Path(__file__).resolve().parents[3] / "emulator"
ROOMS = ("kernel", "world", "conditions", "network", "planning", "scenario", "nodes", "runtime")


@pytest.mark.parametrize(
    ("stream", "name"),
    [
        (streams.machines(7, "nodes/2", "ghz"), "7/machine/nodes/2/ghz"),
        (streams.machines(7, "users/phone", "ghz"), "7/machine/users/phone/ghz"),
        (streams.kind(7, "arrival", "phone"), "7/arrival/phone"),
        (streams.user(7, "think", "phone-1"), "7/think/phone-1"),
        (streams.fault(7, 3, "c1", "e1"), "7/fault/3/c1/e1"),
        (streams.fault(7, 3, "e1"), "7/fault/3/e1"),
        (streams.fault(7, 3), "7/fault/3/"),
        (streams.walk(7, "c1"), "7/move/c1"),
        (streams.losses(7, "c1", "e1"), "7/loss/c1>e1"),
        (streams.predictions(7, "e1", 0), "7/prediction/e1/0"),
        (streams.plan(7, "abc"), "7/plan/abc"),
    ],
)
def test_a_stream_is_that_of_its_name(stream: random.Random, name: str) -> None:
    assert stream.getstate() == random.Random(name).getstate()


def test_nobody_else_makes_streams() -> None:
    makers = {
        file.relative_to(EMULATOR).as_posix()
        for room in ROOMS
        for file in (EMULATOR / room).rglob("*.py")
        if re.search(r"\bRandom\(", file.read_text())
    }
    assert makers == {"world/streams.py"}
