"""Training the predictor on profiles, and saying how well it does on networks that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerlift.models.errors import ModelError
from layerlift.models.loading import zoo
from layerlift.models.loading.load import load
from layerlift.models.running.network import Network
from layerlift.models.timing.predictor import ANY, Predictor, feature_names, speaks_for_others
from layerlift.models.timing.profile import Profile
from layerlift.models.timing.profiles import reference
from layerlift.models.timing.regression import FORMS, Fit, Form, LayerSample, fit, r_squared, rmse

ProfiledNetwork = tuple[Network, Profile]

_FEW = 4
"""An operator type with fewer samples than this is left to the general fit."""


@dataclass(frozen=True, slots=True)
class OperatorScore:
    """How well one operator type is predicted on networks held out of the training."""

    kind: str
    layers: int
    form: str
    """The form chosen when all networks are trained on."""
    r2: float
    rmse_ms: float


@dataclass(frozen=True, slots=True)
class NetworkScore:
    """A held-out network: what was predicted for its sum of layers, and what was measured."""

    network: str
    predicted_s: float
    measured_s: float
    unseen: tuple[str, ...]
    """Operator types for which the other networks gave too few samples."""

    @property
    def ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted_s / self.measured_s


@dataclass(frozen=True, slots=True)
class HeldOutReport:
    """Leave-one-network-out scores."""

    operators: tuple[OperatorScore, ...]
    networks: tuple[NetworkScore, ...]


def shipped_pairs() -> tuple[ProfiledNetwork, ...]:
    """The nine networks of the paper with the profiles that ship: what the shipped predictor is trained on."""
    return tuple((network, reference(network)) for network in map(load, zoo.classics()))


def train(pairs: Sequence[ProfiledNetwork]) -> Predictor:
    """Fit one regression per operator type to `pairs`, its form chosen by leave-one-network-out cross-validation.

    Raises `ModelError` when there is nothing to train on or a profile is not of its network.
    """
    if not pairs:
        raise ModelError("no profiles to train on; give at least one network with its profile")
    samples = _samples(pairs)
    clock = pairs[0][1].ghz
    fits = {kind: _chosen(kind, group) for kind, group in samples.items() if len(group) >= _FEW}
    general = [sample for kind, group in samples.items() if speaks_for_others(kind) for sample in group]
    everything = [sample for group in samples.values() for sample in group]
    fits[ANY] = fit("linear", general or everything, feature_names(ANY))
    return Predictor(clock, tuple(network.name for network, _ in pairs), pairs[0][1].host, fits)


def held_out(pairs: Sequence[ProfiledNetwork]) -> HeldOutReport:
    """Predict each network with a predictor trained on the others. Needs at least two (`ModelError`)."""
    if len(pairs) < 2:
        raise ModelError(f"{len(pairs)} network was given; holding one out needs at least 2")
    truth: dict[str, list[float]] = {}
    guess: dict[str, list[float]] = {}
    networks: list[NetworkScore] = []
    for at, (network, profile) in enumerate(pairs):
        predictor = train([*pairs[:at], *pairs[at + 1 :]])
        predicted = predictor.seconds(network)
        for layer, guessed, measured in zip(network.graph.layers, predicted, _at(profile, predictor), strict=True):
            truth.setdefault(layer.op_type, []).append(measured)
            guess.setdefault(layer.op_type, []).append(guessed)
        unseen = sorted({x.op_type for x in network.graph.layers if predictor.kind(x.op_type) == ANY})
        measured_s = math.fsum(_at(profile, predictor))
        networks.append(NetworkScore(network.name, math.fsum(predicted), measured_s, tuple(unseen)))
    final = train(pairs)
    operators = [
        OperatorScore(
            kind,
            len(truth[kind]),
            final.fits[final.kind(kind)].form,
            r_squared(truth[kind], guess[kind]),
            rmse(truth[kind], guess[kind]) * 1e3,
        )
        for kind in sorted(truth, key=lambda kind: -math.fsum(truth[kind]))
    ]
    return HeldOutReport(tuple(operators), tuple(networks))


def _at(profile: Profile, predictor: Predictor) -> list[float]:
    return [seconds * profile.ghz / predictor.ghz for seconds in profile.seconds]


def _samples(pairs: Sequence[ProfiledNetwork]) -> dict[str, list[LayerSample]]:
    """Measured layers by operator type, at the clock of the first profile."""
    samples: dict[str, list[LayerSample]] = {}
    for network, profile in pairs:
        if not profile.fits(network):
            raise ModelError(f"the profile of {profile.network} was not measured on this {network.name}")
        ratio = profile.ghz / pairs[0][1].ghz
        for layer, seconds in zip(network.graph.layers, profile.seconds, strict=True):
            samples.setdefault(layer.op_type, []).append(LayerSample(network.name, seconds * ratio, layer.features))
    return samples


def _chosen(kind: str, samples: Sequence[LayerSample]) -> Fit:
    errors: Mapping[Form, float] = {form: _validated(form, kind, samples) for form in FORMS}
    return fit(min(FORMS, key=lambda form: errors[form]), samples, feature_names(kind))


def _validated(form: Form, kind: str, samples: Sequence[LayerSample]) -> float:
    """Root mean squared error of `form` on each network when fitted to the others (to itself when it is alone)."""
    truth: list[float] = []
    guess: list[float] = []
    for network in sorted({sample.network for sample in samples}):
        rest = [sample for sample in samples if sample.network != network] or list(samples)
        fitted = fit(form, rest, feature_names(kind))
        for sample in samples:
            if sample.network == network:
                truth.append(sample.seconds)
                guess.append(fitted.seconds(sample.features))
    return rmse(truth, guess)
