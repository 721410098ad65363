"""The paper's scenario over three Ray nodes: hosts on all of them, and the digest of one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_world import phones

from layerlift import train
from layerlift.emulator import Scenario, run
from layerlift.emulator.runtime.conductor import Progress
from layerlift.emulator.studies.learning import examples
from layerlift.emulator.studies.learning.examples import Lesson
from layerlift.emulator.studies.learning.worlds import Worlds
from layerlift.emulator.studies.many import Workers
from layerlift.emulator.world.world import World

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes as of three machines, each with a raylet and an object store of its own; one is lost at the end."""
    import ray
    from ray.cluster_utils import Cluster

    assert not ray.is_initialized()
    made = Cluster()
    for _ in range(3):
        made.add_node(num_cpus=1, object_store_memory=400 * 2**20, include_dashboard=False)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_the_paper_over_three_machines(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    from layerlift.emulator.cluster.hosts import RayHosts

    homes: Counter[str] = Counter()
    wait = RayHosts.wait

    def watched(hosts: RayHosts) -> list[int]:
        pids = wait(hosts)
        where = [
            actor.__ray_call__.remote(lambda _: __import__("ray").get_runtime_context().get_node_id())
            for actor in hosts.actors
        ]
        homes.update(ray.get(where))
        return pids

    monkeypatch.setattr(RayHosts, "wait", watched)
    scenario = Scenario.load("paper", ["users.0.queries=8", "execution=once", "links.client-edge.bandwidth_mb_s=100"])
    made = run(scenario, address=cluster.address)
    assert made.digest == run(scenario, local=True).digest
    assert homes.total() == len(made.run["world"]["nodes"]) == 13
    assert sorted(homes.values()) == [4, 4, 5], "hosts go to the machines in turn"
    errors = [row["value"] for row in made.measured.to_pylist() if row["kind"] == "output_error"]
    assert errors
    assert set(errors) == {0.0}
    assert not ray.is_initialized(), "the cluster was left, not kept"


FEW = """
about: A few users of one network before two edge servers.
catches: a planner that never leaves home
world:
  nodes: [{tier: edge, count: 2, ghz: [10, 30], memory_mb: 2048}]
  links: {client-edge: {bandwidth_mb_s: 20, latency_ms: 2}, edge-edge: {bandwidth_mb_s: 10, latency_ms: 1}}
  users: [{count: 3, device: {ghz: [1, 2]}, model: squeezenet, planner: crowd, queries: 3, think_s: 0.1}]
  models: {squeezenet: {input_bytes: 40000}}
  reference_ghz: 72.5
  execution: none
  sample_s: null
"""


@pytest.mark.slow
def test_a_cluster_trains_the_policy_of_one_process(cluster: Any, tmp_path: Path) -> None:
    """Byte for byte: a crowd's policy, and what worlds teach the others, which is all that they ask of workers."""
    (tmp_path / "few.yaml").write_text(FEW)
    given: dict[str, Any] = {"worlds": [str(tmp_path / "few.yaml")], "rounds": 1}
    alone, processes, joined = (
        train("crowd", out=tmp_path / name, **given, **more)
        for name, more in (("one", {}), ("two", {"workers": 2}), ("ray", {"address": cluster.address}))
    )
    assert alone.policy.label == processes.policy.label == joined.policy.label
    asked = Lesson(Worlds(("lone_random",), ("squeezenet",)), (1, 2, 3))
    with Workers(1, cluster.address) as made:
        told = made.all(examples.taught, [replace(asked, seeds=(seed,)) for seed in asked.seeds])
    whole, parts = examples.taught(asked), examples.joined(told)
    for name in ("piece", "source", "target", "step", "regret", "open"):
        assert np.array_equal(whole.__getattribute__(name), parts.__getattribute__(name))


def test_a_machine_that_is_lost_takes_nothing_with_it(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its hosts go on elsewhere, and the tensors that were in its object store are made again."""
    from layerlift.emulator.cluster.hosts import RayHosts

    seen: list[RayHosts] = []
    wait = RayHosts.wait

    def watched(hosts: RayHosts) -> list[int]:
        seen.append(hosts)
        return wait(hosts)

    monkeypatch.setattr(RayHosts, "wait", watched)

    def lose_one(state: Progress, world: World) -> None:
        if state.queries >= 13 and len(cluster.worker_nodes) == 2:
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)

    made = run(phones(), address=cluster.address, progress=lose_one)
    assert seen[0].restarts >= 2, "two of six hosts were there"
    assert made.digest == run(phones(), local=True).digest
    errors = [row["value"] for row in made.measured.to_pylist() if row["kind"] == "output_error"]
    assert errors == [0.0] * 24
