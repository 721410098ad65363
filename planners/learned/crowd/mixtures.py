"""The kind of policy that scores home and servers: as a file, and run by onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from layerlift.models.errors import PlanError
from layerlift.planners.learned.crowd.features import OWN, SERVER, VERSION, View
from layerlift.planners.learned.crowd.policy import SHIFT, Mixture
from layerlift.planners.learned.policy import MOST_SCORE, Table
from layerlift.planners.learned.policy_file import AGAIN, Kind, Tables, Weights, initializers, model_of, parsed
from layerlift.planners.learned.scorer import session_of

_NAMES: Final = ("server", "own", "home")


def weights_of(policy: Mixture, notes: Mapping[str, str]) -> Weights:
    """A policy as it is written to a file."""
    return Weights(MIXTURE, policy.tables, dict(notes))


def mixture_of(weights: Weights) -> Mixture:
    """The policy of a file's numbers."""
    return Mixture(**weights.tables)


def _check(tables: Tables, origin: str) -> None:
    """Raise `PlanError` unless these are the tables of a policy."""
    if missing := [name for name in _NAMES if name not in tables]:
        raise PlanError(f"policy {origin} has no table {missing[0]!r} of float32; {AGAIN}")
    if tuple(tables) != _NAMES:
        raise PlanError(f"policy {origin} has other tables than a policy has; {AGAIN}")
    Mixture(**tables).check(origin)


def _graph(tables: Tables) -> onnx.GraphProto:
    scalars: dict[str, NDArray[Any]] = {
        "scale": np.array(2.0**-SHIFT), "least_score": np.array(-MOST_SCORE), "most_score": np.array(MOST_SCORE)
    }  # fmt: skip
    operators = [
        helper.make_node(kind, inputs.split(), [output])
        for kind, inputs, output in (
            ("MatMul", "of_own own", "own_sum"),
            ("Add", "own_sum home", "home_sum"),
            ("MatMul", "of_server server", "server_sum"),
        )
    ]
    operators.append(helper.make_node("Concat", ["home_sum", "server_sum"], ["sum"], axis=0))
    operators += [
        helper.make_node(kind, inputs.split(), [output])
        for kind, inputs, output in (
            ("Mul", "sum scale", "scaled"),
            ("Floor", "scaled", "whole"),
            ("Clip", "whole least_score most_score", "scores"),
        )
    ]
    return helper.make_graph(
        operators,
        "policy",
        [_value("of_server", ["servers", len(SERVER)]), _value("of_own", [1, len(OWN)])],
        [_value("scores", ["choices", 1])],
        [*initializers(tables), *initializers(scalars)],
    )


def _value(name: str, shape: list[str | int | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


MIXTURE: Final = Kind("mixture", VERSION, whole=True, tables=re.compile("|".join(_NAMES)), check=_check, graph=_graph)
"""Scores of staying at home and of each server."""


class Scorer:
    """A policy that is ready to run, on one thread unless told otherwise; threads change no bit of what it says."""

    def __init__(self, weights: Weights, threads: int = 1, optimised: bool = True) -> None:
        self._session = session_of(model_of(weights), threads, optimised)

    def scores(self, view: View) -> Table:
        """What the policy says of home and of each server, shape (1 + S,)."""
        feeds = {"of_server": view.server, "of_own": view.own[None, :]}
        found: NDArray[np.float32] = self._session.run(None, feeds)[0]
        return found[:, 0].astype(np.int64)


@lru_cache(maxsize=16)
def scorer_of(content: bytes) -> Scorer:
    """What scores by the policy that a file holds: made once in a process."""
    return Scorer(parsed(content, (MIXTURE,)))
