"""Where a scenario's models and planners come from; tests and other tools may bring their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import NamedTuple, Protocol

from layerlift.emulator.scenario.schema.sections import ModelSection
from layerlift.models.errors import ModelError
from layerlift.models.files import file_digest as digest_of_file
from layerlift.models.graph.graph import LayerGraph
from layerlift.models.loading import zoo
from layerlift.models.loading.load import load
from layerlift.models.preprocess import pipeline
from layerlift.models.running.batching import batched
from layerlift.models.running.network import Network
from layerlift.models.timing.predictor import shipped
from layerlift.models.timing.profile import Profile
from layerlift.models.timing.profiles import REFERENCE, SHIPPED_CLASSES, device_class, reference, ships
from layerlift.planners.registry.planners import make


class Profiled(NamedTuple):
    """What is to be known of a profile besides its seconds."""

    origin: str
    """`shipped`, `measured` on the machine of the run, or `file`."""
    host: str
    date: str
    coverage: float
    """How well the layers' times explain the whole network's."""


@dataclass(frozen=True, slots=True)
class Priced:
    """A network and the reference seconds of its layers, by device class."""

    graph: LayerGraph
    digest: str
    seconds: Mapping[str, tuple[float, ...]]
    ghz: Mapping[str, float]
    """The speed at which each class was measured."""
    floors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Seconds per layer that no clock makes shorter, by device class, where its memory's speed is known."""
    profiles: Mapping[str, Profiled] = field(default_factory=dict)
    """Where the seconds of each class come from."""
    file_digest: str | None = None
    """Of the file that the network was read from; None for one of the zoo."""
    predicted: tuple[float, ...] = ()
    """What the shipped regressions say of each layer at `predicted_ghz`."""
    predicted_ghz: float = 1.0
    unpredicted: Mapping[str, int] = field(default_factory=dict)
    """Layers by operator that the shipped regressions have nothing of their own for."""
    unpredicted_share: float = 0.0
    """Share of the predicted seconds that these have."""
    batches: Mapping[str, tuple[tuple[int, tuple[float, ...]], ...]] = field(default_factory=dict)
    """Seconds of several queries at once (see `Profile.batches`), of the device classes whose profiles have them."""
    floors_more: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What each further query of a batch adds to `floors`."""
    unbatched: str = ""
    """Why the network cannot run several queries at once, where profiles say what that costs; empty when it can."""


class ProfileError(ModelError):
    """A device class whose profile cannot be used."""

    def __init__(self, device_class: str, message: str) -> None:
        super().__init__(message)
        self.device_class = device_class


class Catalog(Protocol):
    """What `Scenario.resolve` asks for by name. Both raise a `LayerliftError` for what they do not have."""

    def price(self, source: str, options: ModelSection, classes: tuple[str, ...]) -> Priced:
        """Return the network `source` (a zoo name or a file) with its seconds on each device class.

        Raises `ProfileError` when it is a class that is to blame.
        """

    def planner(self, text: str) -> None:
        """Accept a planner such as `ionn` or `pso:particles=100`."""


class Shelf:
    """The zoo, ONNX files, profiles that ship with the project or lie in files, and the registered planners."""

    def price(self, source: str, options: ModelSection, classes: tuple[str, ...]) -> Priced:
        """See `Catalog`. Networks are loaded once; their weights are not."""
        files = tuple(_version(name) for name in (source, *classes))
        return _price(source, options.model_dump_json(), classes, files)

    def planner(self, text: str) -> None:
        """See `Catalog`."""
        make(text)


def network(source: str, options: ModelSection) -> Network:
    """Load and preprocess a network as a scenario asks for it; its weights come when somebody runs it.

    Raises `ModelError`.
    """
    loaded = load(
        source,
        dims=options.dims or None,
        fix=options.fix or None,
        outputs=options.output,
        seed=options.weights_seed,
        spectrum=options.spectrum,
    )
    return pipeline.apply(loaded, options.preprocess)


def _version(name: str) -> tuple[int, int]:
    """What changes when a file is written again; zeros for names of the zoo."""
    try:
        found = Path(name).stat()
    except (OSError, ValueError):
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _price(source: str, options: str, classes: tuple[str, ...], files: object) -> Priced:
    loaded = network(source, ModelSection.model_validate_json(options))
    profiles = {name: _profile(name, loaded) for name in classes}
    batches = {name: found.batches for name, found in profiles.items() if found.batches}
    return Priced(
        loaded.graph,
        loaded.digest,
        {name: found.seconds for name, found in profiles.items()},
        {name: found.ghz for name, found in profiles.items()},
        # At an endless clock only the memory's speed is left.
        {name: found.seconds_at(loaded.graph, inf) for name, found in profiles.items() if found.mem_gb_s is not None},
        {name: _profiled(name, found, loaded) for name, found in profiles.items()},
        file_digest(source),
        shipped().seconds(loaded),
        shipped().ghz,
        shipped().unpredicted(loaded),
        round(shipped().unpredicted_share(loaded), 6),
        batches,
        {name: tuple(_more_s(profiles[name], loaded.graph)) for name in batches if profiles[name].mem_gb_s is not None},
        _unbatched(loaded) if batches else "",
    )


def _more_s(profile: Profile, graph: LayerGraph) -> Iterator[float]:
    """Seconds in which the memory moves the activations of each layer."""
    assert profile.mem_gb_s is not None
    for layer in graph.layers:
        yield layer.run_bytes / (profile.mem_gb_s * 1e9)


def _unbatched(loaded: Network) -> str:
    try:
        batched(loaded, 2)
    except ModelError as error:
        return str(error)
    return ""


def _profiled(name: str, found: Profile, loaded: Network) -> Profiled:
    if name in SHIPPED_CLASSES:
        origin = "shipped"
    else:
        origin = "file" if name != REFERENCE else "shipped" if ships(loaded) else "measured"
    return Profiled(origin, found.host, found.date, found.coverage)


def file_digest(source: str) -> str | None:
    """The digest of the file that a network is read from; None for one of the zoo. Raises `ModelError`."""
    if zoo.is_known(source):
        return None
    try:
        return digest_of_file(Path(source))
    except (OSError, ValueError) as error:
        raise ModelError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _profile(name: str, loaded: Network) -> Profile:
    if name == REFERENCE:
        return reference(loaded)
    if name not in SHIPPED_CLASSES:
        return _measured(name, loaded)
    try:
        return device_class(name, loaded)
    except ModelError as error:
        raise ProfileError(name, str(error)) from None


def _measured(name: str, loaded: Network) -> Profile:
    """The profile of a device class: a file, or a folder with one NETWORK.json per network."""
    path = Path(name)
    try:
        found = Profile.load(path / f"{loaded.name}.json" if path.is_dir() else path)
    except ModelError as error:
        raise ProfileError(name, str(error)) from None
    over = found.over(loaded)
    if over is None:
        raise ProfileError(
            name,
            f"it was measured on {found.network}, not on {loaded.name}: name a folder that holds one NETWORK.json "
            "per network, each made with layerlift profile",
        )
    return over
