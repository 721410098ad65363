"""Policies run by onnxruntime: the scores of all steps of a problem, whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np
import onnx

from layerlift.models.onnx_files.runtime import ort
from layerlift.planners.learned.features import Features
from layerlift.planners.learned.policy import Policy, Table
from layerlift.planners.learned.policy_file import model_of, parsed

MOST_STEPS: Final = 65_536
"""Steps that are scored at once: some tens of MB inside."""


class Scorer:
    """A policy that is ready to run, on one thread unless told otherwise; threads change no bit of what it says."""

    def __init__(self, policy: Policy, threads: int = 1, optimised: bool = True) -> None:
        self._session = _session(model_of(policy), threads, optimised)

    def scores(self, seen: Features) -> Table:
        """What the policy says of every step, shape (P, n, n)."""
        pieces, nodes = seen.node.shape[:2]
        rows = max(1, MOST_STEPS // (nodes * nodes))
        made = [self._some(seen, slice(first, first + rows)) for first in range(0, pieces, rows)]
        return np.concatenate(made)

    def _some(self, seen: Features, rows: slice) -> Table:
        feeds: Mapping[str, Any] = {
            "of_piece": seen.piece[rows],
            "of_node": seen.node[rows],
            "of_step": seen.step[rows],
        }
        scores: Table = self._session.run(["scores"], feeds)[0].astype(np.int64)
        return scores


def _session(model: onnx.ModelProto, threads: int, optimised: bool) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=16)
def scorer_of(content: bytes) -> Scorer:
    """A scorer of the policy that a file holds: made once in a process."""
    return Scorer(parsed(content))
