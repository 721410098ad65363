"""Layerlift: an emulator of DNN migration, where many users move layers of ONNX models to servers that they share.

What is here is what most programs need. The rest is in `layerlift.models` (what a network is), `layerlift.planners`
(who decides) and `layerlift.emulator` (the world that they act in).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import version

    from layerlift.emulator.results import RunResult
    from layerlift.emulator.run import run
    from layerlift.emulator.scenario import Scenario
    from layerlift.emulator.studies.compare.study import compare, sweep
    from layerlift.emulator.studies.fairness.study import fairness
    from layerlift.emulator.studies.learning.asked import train
    from layerlift.emulator.studies.learning.meta.adapting import adapt
    from layerlift.emulator.studies.sensitivity.study import sensitivity
    from layerlift.emulator.studies.size.study import size
    from layerlift.emulator.studies.stress.study import stress
    from layerlift.emulator.studies.validate.study import validate
    from layerlift.models.errors import LayerliftError

    __version__ = version("layerlift")

QUIET = {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""What keeps libraries from reporting who uses them, and from leaving an identity in HOME. It is set here, because
this module is the first of ours in every process, Ray's workers too, and child processes inherit it; onnxruntime looks
once, when it is imported. What the user has set stays. What is off also stands in README ("On a cluster")."""
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)

__all__ = [
    "LayerliftError",
    "RunResult",
    "Scenario",
    "__version__",
    "adapt",
    "compare",
    "fairness",
    "run",
    "sensitivity",
    "size",
    "stress",
    "sweep",
    "train",
    "validate",
]

_PLACES = {
    "LayerliftError": "layerlift.models.errors",
    "RunResult": "layerlift.emulator.results.reader",
    "Scenario": "layerlift.emulator.scenario.scenario",
    "adapt": "layerlift.emulator.studies.learning.meta.adapting",
    "compare": "layerlift.emulator.studies.compare.study",
    "fairness": "layerlift.emulator.studies.fairness.study",
    "run": "layerlift.emulator.run",
    "sensitivity": "layerlift.emulator.studies.sensitivity.study",
    "size": "layerlift.emulator.studies.size.study",
    "stress": "layerlift.emulator.studies.stress.study",
    "sweep": "layerlift.emulator.studies.compare.study",
    "train": "layerlift.emulator.studies.learning.asked",
    "validate": "layerlift.emulator.studies.validate.study",
}
"""Where each name is defined: it is imported when it is first used, so that `import layerlift` costs nothing."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("layerlift")
    elif name in _PLACES:
        value = getattr(import_module(_PLACES[name]), name)
    else:
        raise AttributeError(f"module 'layerlift' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
