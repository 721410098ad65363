"""The transport of a link, pair or medium: what is written, what it stands for, and what planners hear of it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, get_args

import numpy as np
import pytest
from worlds import chain_graph, fixed, small_world

from layerlift.emulator.planning.problems import problem_of
from layerlift.emulator.scenario import Scenario
from layerlift.emulator.scenario.assumptions import assumptions
from layerlift.emulator.scenario.schema.link_sections import TransportProfile
from layerlift.emulator.world.links import IDEAL, LinkSpec, Transport
from layerlift.models.errors import ScenarioError
from layerlift.planners.uploading.sharing import SharedLink

MBIT = 125_000


def scenario(link: dict[str, Any], **more: Any) -> Scenario:
    told = {
        "nodes": [{"tier": "edge", "name": "e", "ghz": 8}],
        "links": {"client-edge": {"bandwidth_mbit_s": 80, "latency_ms": 5, **link}},
        "users": [{"device": {"ghz": 1}, "model": "squeezenet", "queries": 2}],
        "execution": "none",
        "reference_ghz": 10,
    }
    return Scenario.from_dict(told | more)


def test_every_profile_has_its_data_and_its_reason() -> None:
    data = json.loads(resources.files("layerlift.emulator").joinpath("transports.json").read_text())
    assert set(data["profiles"]) == set(get_args(TransportProfile))
    assert all(profile["why"] for profile in data["profiles"].values())
    assert "veth" in data["source"]


@pytest.mark.parametrize(
    ("link", "transport"),
    [
        ({}, IDEAL),
        ({"profile": "fair"}, Transport(0.956, 0.0, 1.0, False)),
        ({"profile": "bbr"}, Transport(0.956, 0.004, 0.8, False)),
        ({"profile": "modem"}, Transport(0.956, 0.04, 0.6, True)),
        ({"profile": "modem", "buffer_ms": 400, "slow_start": False}, Transport(0.956, 0.32, 0.6, False)),
        ({"efficiency": 0.5, "queue_ms": 3, "query_weight": 2, "slow_start": True}, Transport(0.5, 0.003, 2.0, True)),
    ],
)
def test_a_link_has_the_transport_that_it_names(link: dict[str, Any], transport: Transport) -> None:
    world = scenario(link).resolve()
    for ends in (("client", "edge"), ("edge", "client")):
        assert world.links[ends].transport == transport
        assert world.links[ends].bandwidth_bytes_s == 80 * MBIT * transport.efficiency


def test_a_pair_keeps_what_it_leaves_out_and_a_medium_has_its_own() -> None:
    pair = {"between": ["user-1", "e"], "one_way": True, "efficiency": 0.5, "query_weight": 0.9}
    media = {"dsl": {"up_mbit_s": 10, "profile": "modem"}}
    nodes = [{"tier": "edge", "name": "e", "ghz": 8, "behind": "dsl"}]
    world = scenario({"profile": "bbr"}, pairs=[pair], media=media, nodes=nodes).resolve()
    assert world.pairs[0, 1].transport == Transport(0.5, 0.004, 0.9, False)
    assert world.pairs[0, 1].bandwidth_bytes_s == pytest.approx(80 * MBIT * 0.5)
    assert world.media[0].transport == Transport(0.956, 0.04, 0.6, True)
    assert world.media[0].up_bytes_s == 10 * MBIT * 0.956
    whole = world.link(1, 0).transport
    assert (whole.queue_s, whole.query_weight, whole.slow_start) == (0.044, 0.8 * 0.6, True)


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"profile": "dsl"}, "expected fair, bbr or modem"),
        ({"buffer_ms": 3}, "without profile: modem"),
        ({"efficiency": 1.2}, "at most 1"),
        ({"queue_ms": -1}, "at least 0"),
        ({"query_weight": 0}, "at least 0.01"),
        ({"slow_start": 1}, "true or false"),
    ],
)
def test_what_cannot_be_is_refused(link: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        scenario(link)


def test_assumptions_name_the_model_in_use() -> None:
    found = {each["path"]: each for each in assumptions(scenario({"profile": "modem", "query_weight": 0.7}))}
    assert found["links.client-edge.queue_ms"]["value"] == 40.0
    assert "profile modem: measured on veth" in found["links.client-edge.queue_ms"]["source"]
    assert "links.client-edge.query_weight" not in found, "it was given"
    usual = {each["path"]: each for each in assumptions(scenario({}))}
    assert usual["links.client-edge.queue_ms"]["value"] == 0.0
    assert "nobody waits" in usual["links.client-edge.queue_ms"]["source"]


def test_planners_hear_of_transports_and_reckon_with_them_beside_uploads() -> None:
    """A query sends 60 kB at 1 MB/s beside a part: its share by weight, behind the queue; the part gets the rest."""
    graph = chain_graph([60_000, 1000], [9_000_000])
    for transport in (IDEAL, Transport(1.0, 0.04, 0.6)):
        link = LinkSpec(0.005, 1e6, transport=transport)
        world = small_world(graph, [0.02], fixed((1,)), link=link, share_links=True)
        problem = problem_of(world, 0)
        assert (problem.transport is None) == (transport is IDEAL)
        query_s, part_bytes_s = SharedLink(problem, (1,)).state((1,), 1)
        weight = transport.query_weight
        expected_s = 2 * 0.005 + transport.queue_s + 0.06 * (1 + weight) / weight + 0.02 + 0.001
        assert query_s == pytest.approx(expected_s, rel=1e-12)
        assert part_bytes_s == pytest.approx(1e6 - 60_000 / expected_s, rel=1e-12)
    alone = problem_of(small_world(graph, [0.02], fixed((1,)), link=link, share_links=False), 0)
    assert alone.transport is None, "nobody meets an upload where links are independent"
    slow = LinkSpec(0.005, 1e6, transport=Transport(1.0, 0.04, 0.6, True))
    told = problem_of(small_world(graph, [0.02], fixed((1,)), link=slow, share_links=False), 0).transport
    assert told is not None
    assert np.array_equal(told.slow_start, [[False, True], [True, False]])
    assert not told.queue_s.any()
