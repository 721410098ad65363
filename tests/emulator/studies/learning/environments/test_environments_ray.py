"""Episodes of a crowd in Ray's workers: the same as here."""

from __future__ import annotations

import pytest

pytest.importorskip("gymnasium", minversion="1.1")
pytestmark = pytest.mark.ray

SMALL = ("users.0.count=3", "users.0.queries=2", "users.0.stay_s=20")


def test_crowds_play_in_rays_workers_as_they_do_here() -> None:
    import ray

    from layerlift.emulator.cluster.session import RayCluster

    def episode(seed: int) -> tuple[float, str]:
        import gymnasium

        env = gymnasium.make("layerlift.gym:Layerlift/Crowd-v0", families="crowd", overrides=SMALL)
        env.reset(seed=seed)
        over = False
        while not over:
            _, worth, over, _, info = env.step(1)
        return worth, info["digest"]

    with RayCluster(object_store_bytes=100 * 2**20):
        played = ray.remote(num_cpus=0.5)(episode)
        found = ray.get([played.remote(seed) for seed in (1, 2)])
    assert found == [episode(1), episode(2)]
    assert found[0] != found[1]
