"""The paper's scenario over three Ray nodes: hosts on all of them, and the digest of one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from run_world import phones

from layerlift.emulator import Scenario, run
from layerlift.emulator.runtime.conductor import Progress
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
