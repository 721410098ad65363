"""The same over Ray actors: same digest however nodes are packed, flat memory, a dead actor brought back, loopback."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from run_world import phones

from layerlift.emulator import RunResult, run
from layerlift.emulator.runtime.conductor import Progress
from layerlift.emulator.world.world import World
from layerlift.models.errors import RunError

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    """A private Ray, whatever else runs on this machine or is named by the environment."""
    from layerlift.emulator.cluster.session import RayCluster

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_ADDRESS", "192.0.2.1:6379")
        with RayCluster(object_store_bytes=600 * 2**20):
            yield


@pytest.fixture
def started(_ray: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, list[int]]]:
    """The hosts of each run and the processes of their actors."""
    from layerlift.emulator.cluster.hosts import RayHosts

    seen: list[tuple[Any, list[int]]] = []
    wait = RayHosts.wait

    def watched(hosts: RayHosts) -> list[int]:
        pids = wait(hosts)
        seen.append((hosts, pids))
        return pids

    monkeypatch.setattr(RayHosts, "wait", watched)
    return seen


@pytest.fixture(scope="module")
def local() -> RunResult:
    return run(phones(), local=True)


def errors(result: RunResult) -> list[float]:
    rows = result.measured.filter(pc.equal(result.measured["kind"], "output_error"))
    found: list[float] = rows.column("value").to_pylist()
    return found


@pytest.mark.parametrize(
    ("options", "actors", "where"),
    [
        ({"actors": 1}, 1, "1 actor for 6 nodes, time plane in the actors"),
        ({"actors": 3}, 3, "3 actors for 6 nodes, time plane in the actors"),
        ({}, 6, "one per node, time plane in the actors"),
        ({"actors": 2, "time_plane": "local"}, 2, "time plane in the conductor"),
    ],
)
def test_packing_changes_nothing_and_answers_are_exact(
    local: RunResult, started: list, options: dict, actors: int, where: str
) -> None:
    made = run(phones(), **options)
    [(hosts, pids)] = started
    assert len(set(pids)) == len(hosts) == actors
    assert where in made.run["placing"]
    assert made.digest == local.digest
    assert errors(made) == errors(local) == [0.0] * 24
    assert made.run["executed_pieces"] == local.run["executed_pieces"]
    assert hosts.restarts == 0


def test_measured_costs_come_from_the_actors_and_replay_without_them(started: list, tmp_path: Path) -> None:
    from layerlift.emulator.runtime.measured import measured_costs

    scenario = phones("users.0.queries=3", compute="measured")
    made = run(scenario, out=tmp_path / "made", actors=2)
    assert len(started) == 1
    assert run(scenario, replay=measured_costs(tmp_path / "made"), local=True).digest == made.digest


@pytest.mark.slow  # those that are killed at random moments are tried in every run
def test_actors_that_are_killed_are_brought_back_with_the_same_digest(local: RunResult, started: list) -> None:
    victims = iter(range(3))

    def kill_now_and_then(state: Progress, world: World) -> None:
        if state.windows % 12 == 11 and (victim := next(victims, None)) is not None:
            os.kill(started[0][1][victim], signal.SIGKILL)

    made = run(phones(execution="none"), actors=3, progress=kill_now_and_then)
    assert next(victims, None) is None, "every one of the three was killed"
    assert started[0][0].restarts == 3
    assert made.digest == local.digest


@pytest.mark.slow  # those that are killed at random moments hold tensors, too
@pytest.mark.parametrize("options", [{"actors": 3}, {"actors": 2, "time_plane": "local"}])
def test_tensors_that_die_with_an_actor_are_made_again(local: RunResult, started: list, options: dict) -> None:
    """Weights that were uploaded are held again, lost tensors are made again, and every answer is checked."""
    after_queries = [6, 12, 17]

    def kill_in_turn(state: Progress, world: World) -> None:
        if after_queries and state.queries >= after_queries[0]:
            hosts, _ = started[0]
            os.kill(ray_pid(hosts, after_queries.pop(0) % len(hosts)), signal.SIGKILL)

    made = run(phones(), progress=kill_in_turn, **options)
    assert not after_queries
    assert started[0][0].restarts >= 2
    assert made.digest == local.digest
    assert errors(made) == [0.0] * 24
    assert made.run["executed_pieces"] == local.run["executed_pieces"]


class Killer(threading.Thread):
    """Kills host actors at random moments of wall clock, wherever in their lives they are: one, or all at once.

    It strikes less often than an actor may die in a row.
    """

    STRIKES = 4

    def __init__(self, seed: int) -> None:
        super().__init__(daemon=True)
        self.killed = self.strikes = 0
        self._rng = random.Random(f"{seed}/kills")
        self._over = threading.Event()

    def run(self) -> None:
        while self.strikes < self.STRIKES and not self._over.wait(self._rng.uniform(0.05, 1.2)):
            alive = host_actors()
            victims = alive if self._rng.random() < 0.3 else self._rng.sample(alive, min(1, len(alive)))
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.killed += len(victims)
            self.strikes += bool(victims)

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def host_actors() -> list[int]:
    """Processes of host actors that this process has started, be they still starting."""
    found = []
    for pid in sorted(descendants(os.getpid())):
        with contextlib.suppress(OSError):
            if b"ray::HostActor" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def not_too_fast(state: Progress, world: World) -> None:
    """So that there is time to be killed in."""
    time.sleep(0.02)


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        pytest.param(1, {"execution": "none"}, marks=pytest.mark.slow),
        (2, {"execution": "every"}),
        pytest.param(3, {"compute": "measured"}, marks=pytest.mark.slow),
    ],
)
def test_actors_killed_at_random_moments_change_nothing(
    local: RunResult, started: list, tmp_path: Path, seed: int, options: dict
) -> None:
    from layerlift.emulator.runtime.measured import measured_costs

    with Killer(seed) as killer:
        made = run(phones(**options), out=tmp_path / "made", actors=3, progress=not_too_fast)
    assert killer.killed >= 2
    assert started[0][0].restarts >= 1
    whole = local
    if "compute" in options:
        whole = run(phones(**options), replay=measured_costs(tmp_path / "made"), local=True)
    assert made.digest == whole.digest
    assert errors(made) == ([] if options.get("execution") == "none" else [0.0] * 24)


def ray_pid(hosts: Any, host: int) -> int:
    """The process of a host as it is now: pieces do not stand in the way."""
    import ray

    try:
        pid: int = ray.get(hosts.actors[host].process.remote())
    except ray.exceptions.RayActorError:
        hosts.mend()
        pid = ray.get(hosts.actors[host].process.remote())
    return pid


def test_an_actor_that_dies_again_and_again_is_an_error(started: list, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerlift.emulator.cluster import hosts
    from layerlift.emulator.cluster.hosts import HostActor

    monkeypatch.setattr(hosts, "TRIES", 2)

    def dies(self: Any, horizon: float, deliveries: Any, costs: Any) -> None:
        os._exit(1)

    monkeypatch.setattr(HostActor, "advance", dies)
    with pytest.raises(RunError, match="a host actor failed") as error:
        run(phones(execution="none"), actors=1)
    assert "\n" not in str(error.value)


def test_a_planner_that_fails_in_its_actor_leaves_its_users_local(started: list) -> None:
    made = run(phones("users.0.planner='worlds:Raising'", execution="none"), actors=1)
    assert made.complete
    reasons = set(made.plans.column("reason").to_pylist())
    assert len(reasons) == 1
    assert "worlds:Raising" in reasons.pop()


def test_weights_are_in_shared_memory_once(started: list) -> None:
    private: dict[int, float] = {}

    def look(state: Progress, world: World) -> None:
        if state.queries >= 6:
            private.update({pid: private_mib(pid) for pid in started[0][1]})

    changes = ["users.0.model=alexnet", "users.0.queries=5", "links.client-edge.bandwidth_mb_s=400"]
    made = run(phones(*changes), actors=3, progress=look)
    assert set(errors(made)) == {0.0}
    assert len(private) == 3
    assert max(private.values()) < 200, f"AlexNet has 233 MiB of weights; private MiB by process: {private}"


def test_a_piece_that_fails_in_its_actor_is_one_sentence(started: list, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerlift.emulator.cluster.backend import RayBackend

    monkeypatch.setattr(RayBackend, "hold", lambda *_: None)
    with pytest.raises(RunError, match="without holding") as error:
        run(phones("users.0.queries=1"), actors=1)
    assert "\n" not in str(error.value)


def test_a_private_ray_listens_on_loopback_only(started: list) -> None:
    ours = descendants(os.getpid())
    names = {(Path("/proc") / str(pid) / "comm").read_text().strip() for pid in ours}
    assert {"raylet", "gcs_server"} <= names
    listening = {pid: addresses for pid, addresses in listeners().items() if pid in ours}
    assert listening, "Ray's processes listen somewhere"
    everywhere = {address for addresses in listening.values() for address in addresses}
    assert everywhere <= {"127.0.0.1", "::1"}, everywhere


def private_mib(pid: int) -> float:
    """Memory of a process that it shares with nobody."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))) / 1024


def descendants(root: int) -> set[int]:
    """The process `root` and all that it started, and they, and so on."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, after = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children[int(after[1])].append(pid)
    found, waiting = {root}, [root]
    while waiting:
        for child in children[waiting.pop()]:
            found.add(child)
            waiting.append(child)
    return found


def listeners() -> dict[int, set[str]]:
    """Addresses at which each process of this machine listens for TCP, as texts."""
    sockets: dict[str, str] = {}
    for table in ("tcp", "tcp6"):
        path = Path("/proc/net") / table
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A":
                sockets[f"socket:[{fields[9]}]"] = plain(fields[1].partition(":")[0])
    found: dict[int, set[str]] = defaultdict(set)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target in sockets:
            found[int(link.parts[2])].add(sockets[target])
    return found


def plain(address: str) -> str:
    """An address as /proc/net writes it, 32-bit words in the machine's own order, as a person does."""
    import ipaddress

    words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
    made = ipaddress.ip_address(b"".join(words))
    mapped = getattr(made, "ipv4_mapped", None)
    return str(mapped or made)
