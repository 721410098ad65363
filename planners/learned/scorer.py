"""Policies of steps run by onnxruntime: the scores of all steps of a problem, whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx

from layerlift.models.onnx_files.runtime import ort
from layerlift.planners.learned.features import Features
from layerlift.planners.learned.folded import folded_model
from layerlift.planners.learned.policy import Table
from layerlift.planners.learned.policy_file import Weights
from layerlift.planners.learned.steps import policies_of

MOST_STEPS: Final = 65_536
"""Steps that are scored at once: some tens of MB inside."""


class Scorer:
    """A policy that is ready to run, on one thread unless told otherwise; threads change no bit of what it says."""

    def __init__(self, weights: Weights, threads: int = 1, optimised: bool = True) -> None:
        self._session = session_of(folded_model(policies_of(weights)), threads, optimised)

    def scores(self, seen: Features) -> tuple[Table, ...]:
        """What each network of the policy says of every step, each of shape (P, n, n)."""
        pieces, nodes = seen.node.shape[:2]
        rows = max(1, MOST_STEPS // (nodes * nodes))
        made = [self._some(seen, slice(first, first + rows)) for first in range(0, pieces, rows)]
        shape = (pieces, nodes, nodes)
        return tuple(np.concatenate(parts).astype(np.int64).reshape(shape) for parts in zip(*made, strict=True))

    def _some(self, seen: Features, rows: slice) -> list[Any]:
        feeds: Mapping[str, Any] = {
            "of_piece": seen.piece[rows],
            "of_node": seen.node[rows],
            "of_step": seen.step[rows],
        }
        return list(self._session.run(None, feeds))


def session_of(model: onnx.ModelProto, threads: int = 1, optimised: bool = True) -> Any:
    """A model of our own, ready to run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
