"""Denormal numbers: zero wherever a model runs, and themselves everywhere else."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from small_nets import model, node, tensor

from layerlift import models
from layerlift.models.running import denormals

TINY = {"x": np.full((1, 4), 1e-20, np.float32)}


def squared() -> float:
    return float(np.float32(1e-20) * np.float32(1e-20))


def tiny_network() -> models.Network:
    nodes = [node("Mul", ["x", "c"], ["a"]), node("Mul", ["a", "big"], ["y"])]
    weights = {"c": np.asarray([1e-20], np.float32), "big": np.asarray([1e30], np.float32)}
    return models.from_model(model(nodes, [tensor("x", 1, 4)], ["y"], weights), "tiny")


def test_they_are_zero_in_sessions_of_every_kind_and_thread() -> None:
    network = tiny_network()
    sessions = [models.uncut_session(network, exact=True, alias=True), models.uncut_session(network)]
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda s=s: found.append(s.run(TINY)["y"])) for s in sessions]
    for thread in threads:
        thread.start()
        thread.join()
    found += [session.run(TINY)["y"] for session in sessions]
    assert len(found) == 4
    assert not np.any(found), "1e-20 x 1e-20 x 1e30 is 1e-10 where denormals are kept"


def test_they_are_themselves_in_the_thread_that_made_and_ran_a_session() -> None:
    before = squared()
    assert before > 0
    models.uncut_session(tiny_network()).run(TINY)
    assert squared() == before
    assert 5e-324 > 0.0


def test_they_are_themselves_after_an_error() -> None:
    seen: list[float] = []

    def fails() -> None:
        with denormals.flushed():
            seen.append(squared())
            raise ZeroDivisionError

    pytest.raises(ZeroDivisionError, fails)
    assert seen == [0.0]
    assert squared() > 0
