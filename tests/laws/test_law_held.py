"""Law 5 for parts: what a server still holds for a user is not sent to it again."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from held_parts import nothing_held_is_sent
from worlds import Run, chain_graph, run_world, small_world

from layerlift.emulator.world.faults import Outage, Pairs
from layerlift.emulator.world.links import LinkSpec


def after_an_outage(replan: str, **user: Any) -> Run:
    """A part of 1 MB is on the server by 1.1 s; the link is down from 3 to 7 s, while plans are made without it."""
    told = {"queries": None, "think_s": 0.05, "replan": replan, "replan_s": 1.0 if replan == "every" else inf, **user}
    made = small_world(
        chain_graph([1000, 1000], [1_000_000]), (0.2,), "direct", server_ghz=50.0, link=LinkSpec(0.01, 1e6),
        until_s=12.0, user=told,
        faults=(Outage(Pairs("client", "edge"), 3.0, 4.0),),
    )  # fmt: skip
    return run_world(made)


@pytest.mark.parametrize("share", [False, True])
def test_a_part_that_outlived_an_outage_is_not_sent_again(share: bool) -> None:
    made = after_an_outage("every").world
    run = run_world(replace(made, share_links=share))
    placements = [row["placement"] for row in run.tables["plans"]]
    assert placements[0] == placements[-1] == "s1:0-0"
    assert "c0:0-0" in placements, "a plan was made without the server"
    first, *others = run.tables["uploads"]
    assert first["bytes"] == 1_000_000
    assert others
    assert {row["bytes"] for row in others} == {0}
    assert {row["event"] for row in run.tables["allocations"] if row["at_s"] < run.ending.at_s} == {"admitted"}
    nothing_held_is_sent(run)


def test_what_no_plan_wants_after_an_outage_is_let_go() -> None:
    """With plans on changes, one is made as the link works again, and it wants the part; without, nothing changes."""
    for replan in ("on_change", "never"):
        run = after_an_outage(replan)
        nothing_held_is_sent(run)
        assert [row["bytes"] for row in run.tables["uploads"] if row["bytes"]] == [1_000_000]
