"""File_2 of the installation phase: layer -> seconds on a server, from regressions per operator type."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from layerlift.models.errors import ModelError
from layerlift.models.graph.graph import Layer
from layerlift.models.loading import disk_cache
from layerlift.models.running.network import Network
from layerlift.models.timing.operator_classes import ANY, LIKE, class_of
from layerlift.models.timing.regression import FORMS, Fit

FORMAT = 2
COMMAND = "layerlift predict --train"
"""What makes the shipped file; each file says so."""


@dataclass(frozen=True)
class Predictor:
    """Regressions per operator type, trained on profiles taken at `ghz`."""

    ghz: float
    trained_on: tuple[str, ...]
    host: str
    fits: Mapping[str, Fit]
    operators_host: str = ""
    """Where the generated graphs were measured that taught the classes the zoo does not; empty without them."""

    def layer_s(self, layer: Layer) -> float:
        """Seconds of one layer at `ghz`."""
        return self.fits[self.kind(layer)].seconds(layer.features)

    def kind(self, layer: Layer) -> str:
        """Which regression serves a layer: that of its class, of a near relative, or the general one."""
        found = class_of(layer)
        return next((kind for kind in (found, LIKE.get(found, ""), layer.op_type) if kind in self.fits), ANY)

    def unpredicted(self, network: Network) -> dict[str, int]:
        """Layers by operator for which there is only the general regression, over elements alone."""
        layers = network.unmerged.graph.layers
        return dict(Counter(layer.op_type for layer in layers if self.kind(layer) == ANY))

    def unpredicted_share(self, network: Network) -> float:
        """Share of the predicted time that these layers have."""
        layers = network.unmerged.graph.layers
        general = math.fsum(self.layer_s(layer) for layer in layers if self.kind(layer) == ANY)
        return general / math.fsum(self.layer_s(layer) for layer in layers)

    def seconds(self, network: Network, ghz: float | None = None) -> tuple[float, ...]:
        """Seconds per layer of `network` on a core at `ghz` (default: the training's), rounded to 1 ns.

        A merged layer costs the sum of its ONNX nodes. Raises `ModelError` when `ghz` is not above 0.
        """
        clock = self.ghz if ghz is None else ghz
        if not clock > 0:
            raise ModelError(f"ghz is {ghz}; expected the clock of one core, above 0")
        ratio = self.ghz / clock
        single = {layer.name: self.layer_s(layer) for layer in network.unmerged.graph.layers}
        if network.base is None:
            return tuple(round(single[layer.name] * ratio, 9) for layer in network.graph.layers)
        return tuple(round(math.fsum(single[n] for n in layer.nodes) * ratio, 9) for layer in network.graph.layers)

    def save(self, path: Path) -> None:
        """Write the coefficients as JSON, atomically."""
        fits = {
            kind: {"form": fit.form, "constant": fit.constant, "coefficients": dict(fit.coefficients)}
            for kind, fit in sorted(self.fits.items())
        }
        body = {
            "format": FORMAT,
            "made_by": COMMAND,
            "ghz": self.ghz,
            "trained_on": self.trained_on,
            "host": self.host,
            "operators_host": self.operators_host,
            "fits": fits,
        }
        disk_cache.write_bytes(path, (json.dumps(body, indent=2) + "\n").encode())

    @classmethod
    def parse(cls, text: str, origin: str) -> Predictor:
        """The predictor in `text`. Raises `ModelError` when it is damaged; `origin` names it."""
        try:
            body = json.loads(text)
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']}")
            fits = {kind: _fit(entry) for kind, entry in body["fits"].items()}
            hosts = str(body["host"]), str(body["operators_host"])
            found = cls(float(body["ghz"]), tuple(body["trained_on"]), hosts[0], fits, hosts[1])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{origin} is not a predictor ({type(error).__name__}: {error}); train it again") from None
        if ANY not in fits or not found.ghz > 0:
            raise ModelError(f"{origin} lacks the fit {ANY!r} or its clock; train it again")
        return found


@cache
def shipped() -> Predictor:
    """The predictor that ships with the project, trained on the reference profiles of the zoo (by `COMMAND`)."""
    text = resources.files("layerlift.models").joinpath("data", "predictor.json").read_text()
    return Predictor.parse(text, "the shipped predictor")


def _fit(entry: Mapping[str, Any]) -> Fit:
    form = entry["form"]
    if form not in FORMS:
        raise ValueError(f"form {form!r}")
    return Fit(form, float(entry["constant"]), {str(n): float(c) for n, c in entry["coefficients"].items()})
