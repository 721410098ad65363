"""A process runs pieces for its nodes: only with weights that the node holds for that very user."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pieces import LAYERS, branching

from layerlift import models
from layerlift.emulator.execution import engine as engine_module
from layerlift.emulator.execution.engine import Engine, Task
from layerlift.models import Network, Subgraph, subgraph
from layerlift.models.errors import RunError

TASK = Task(node=4, user=2, model=0, first=5, last=6)


@pytest.fixture(scope="module")
def network() -> Network:
    return branching()


@pytest.fixture(scope="module")
def tail(network: Network) -> Subgraph:
    return subgraph(network, 5, 6)


@pytest.fixture(scope="module")
def feeds(network: Network) -> dict[str, np.ndarray]:
    return models.Session(subgraph(network, 0, 4).model).run(network.sample_inputs(0))


class Weights:
    """Parameters that count how often each is fetched."""

    def __init__(self, network: Network) -> None:
        self.network, self.fetched = network, Counter[str]()

    def __call__(self, *names: str) -> dict:
        return {name: lambda name=name: self._fetch(name) for name in names}

    def _fetch(self, name: str) -> np.ndarray:
        self.fetched[name] += 1
        return self.network.weights()[name]


def test_a_node_that_lacks_a_weight_is_refused_by_name(tail: Subgraph, feeds: dict) -> None:
    with pytest.raises(RunError, match=r"node 4 .*layers 5 to 6 for user 2 without holding 'w3'"):
        Engine("off").run(TASK, tail, feeds)


def test_what_is_held_for_another_user_or_on_another_node_does_not_count(
    network: Network, tail: Subgraph, feeds: dict
) -> None:
    engine, weights = Engine("off"), Weights(network)
    engine.hold(4, 1, weights("w3"))
    engine.hold(5, 2, weights("w3"))
    with pytest.raises(RunError, match="w3"):
        engine.run(TASK, tail, feeds)
    engine.hold(4, 2, weights("w3"))
    assert engine.run(TASK, tail, feeds).tensors["y"].shape == (1, 96)


def test_released_weights_are_gone(network: Network, tail: Subgraph, feeds: dict) -> None:
    engine, weights = Engine("off"), Weights(network)
    engine.hold(4, 2, weights("w3"))
    engine.run(TASK, tail, feeds)
    engine.release(4, 2)
    engine.release(4, 2)
    with pytest.raises(RunError, match="w3"):
        engine.run(TASK, tail, feeds)


def test_parts_add_up_and_nothing_is_fetched_before_it_is_needed(network: Network, feeds: dict) -> None:
    engine, weights = Engine("off"), Weights(network)
    for name in ("w0", "w1", "w2", "b3", "w3"):
        engine.hold(4, 2, weights(name))
    assert not weights.fetched
    engine.run(Task(4, 2, 0, 5, 6), subgraph(network, 5, 6), feeds)
    assert weights.fetched == {"w3": 1}, "small ones are inside the piece"


def test_the_answer_is_the_uncut_one_bit_for_bit(network: Network, tail: Subgraph, feeds: dict) -> None:
    engine = Engine("off")
    engine.hold(4, 2, Weights(network)("w3"))
    whole = models.uncut_session(network, exact=True).run(network.sample_inputs(0))
    assert engine.run(TASK, tail, feeds).tensors["y"].tobytes() == whole["y"].tobytes()


def test_operators_are_timed_when_the_task_asks(network: Network) -> None:
    engine, piece = Engine("off"), subgraph(network, 0, 2)
    inputs = network.sample_inputs(0)
    timed = engine.run(Task(4, 2, 0, 0, 2, operators=True), piece, inputs).timing.operators
    assert set(timed) == set(LAYERS[:3])
    assert all(seconds > 0.0 for seconds in timed.values())
    assert engine.run(Task(4, 2, 0, 0, 2), piece, inputs).timing.operators == {}


def test_the_session_that_was_used_least_recently_goes(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_SESSIONS", 2)
    opened: list[int] = []
    whole = engine_module.Engine._open
    monkeypatch.setattr(
        engine_module.Engine, "_open", lambda self, piece: (opened.append(piece.last), whole(self, piece))[1]
    )
    engine = Engine("off")
    pieces = [subgraph(network, 0, last) for last in range(3)]
    for last in (2, 2, 0, 2, 1, 2, 0):
        engine.run(Task(4, 2, 0, 0, last), pieces[last], network.sample_inputs(0))
    assert opened == [2, 0, 1, 0]


def test_time_is_that_of_the_thread(network: Network) -> None:
    ran = Engine("off").run(Task(4, 2, 0, 0, 4), subgraph(network, 0, 4), network.sample_inputs(0))
    assert 0.0 < ran.timing.seconds < 1.0
    assert set(ran.tensors) == {"e"}
