"""What a scenario takes from outside: the files that it names, and what its networks cost.

A run notes all of it in run.json and keeps the files (`Inputs`); a scenario that comes from a run (`scenario_of`) takes
it from there, so that another cache, folder or machine changes no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from layerlift.emulator.results.reader import INPUTS
from layerlift.emulator.scenario.assumptions import Assumption
from layerlift.emulator.scenario.resolving.catalog import Catalog, Priced, Profiled, Shelf, file_digest, network
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.scenario.schema.sections import ModelSection
from layerlift.models.errors import LayerliftError, ModelError, RunError
from layerlift.models.files import bytes_digest
from layerlift.models.loading.disk_cache import write_bytes
from layerlift.models.running.network import Network
from layerlift.models.sums import left_sum
from layerlift.models.timing.profile import TRUSTED, within

KEPT_BYTES: Final = 8 << 20
"""Larger files are named by their digest and not copied."""


@dataclass
class Inputs:
    """Notes what is read and priced while a scenario is resolved; it can be used for that more than once."""

    files: Files
    shelf: Catalog = field(default_factory=Shelf)
    priced: dict[tuple[str, str, tuple[str, ...]], Priced] = field(default_factory=dict)

    def price(self, source: str, options: ModelSection, classes: tuple[str, ...]) -> Priced:
        """See `Catalog`."""
        found = self.shelf.price(source, options, classes)
        self.priced[source, options.model_dump_json(), classes] = found
        return found

    def planner(self, text: str) -> None:
        """See `Catalog`."""
        self.shelf.planner(text)

    def told(self) -> dict[str, Any]:
        """The parts `inputs` and `prices` of run.json."""
        files = [
            {"name": name, "digest": read.digest, "bytes": len(read.content), "kept": len(read.content) <= KEPT_BYTES}
            for name, read in self.files.read.items()
        ]
        return {"inputs": files, "prices": [_price(*key, priced) for key, priced in self.priced.items()]}

    def keep(self, directory: Path) -> None:
        """Copy the small files into a run's directory. Raises `RunError` when it cannot be written."""
        for read in self.files.read.values():
            if len(read.content) <= KEPT_BYTES:
                try:
                    write_bytes(directory / INPUTS / read.digest, read.content)
                except LayerliftError as error:
                    raise RunError(str(error)) from None

    def assumptions(self) -> Iterator[Assumption]:
        """The profiles that were measured on a user's machine, with what speaks against them."""
        for (source, _, _), priced in self.priced.items():
            for name, profiled in priced.profiles.items():
                if profiled.origin != "shipped":
                    told = f"measured on {profiled.host}, {profiled.date}, coverage {profiled.coverage:g}"
                    told += "" if within(profiled.coverage) else ": not to be trusted"
                    yield Assumption(
                        path=f"profile ({source} on {name})", value=left_sum(priced.seconds[name]), source=told
                    )


def doubts(prices: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each profile, of the `prices` of run.json, that was taken on a busy machine."""
    return [
        _doubt(priced["source"], told["coverage"])
        for priced in prices
        for told in priced["classes"].values()
        if told["origin"] != "shipped" and not within(told["coverage"])
    ]


def _doubt(source: str, coverage: float) -> str:
    return (
        f"The profile of {Path(source).name[:60]} is not to be trusted: its layers take {coverage:.2f} of the whole "
        f"network's time, expected {TRUSTED[0]:g} to {TRUSTED[1]:g}; the machine was busy, or the network is too small"
    )


def _price(source: str, options: str, classes: tuple[str, ...], priced: Priced) -> dict[str, Any]:
    unknown = Profiled("", "", "", 1.0)
    return {
        "source": source,
        "options": ModelSection.model_validate_json(options).model_dump(mode="json"),
        "digest": priced.digest,
        "file_digest": priced.file_digest,
        "classes": {
            name: {
                "seconds": list(priced.seconds[name]),
                "ghz": priced.ghz[name],
                "floor_s": list(priced.floors[name]) if name in priced.floors else None,
                **priced.profiles.get(name, unknown)._asdict(),
                **_batches(name, priced),
            }
            for name in classes
        },
        "predicted_s": list(priced.predicted),
        "predicted_ghz": priced.predicted_ghz,
    }


def _batches(name: str, priced: Priced) -> dict[str, Any]:
    """What is known of several queries at once on a device class; nothing where that is nothing."""
    if name not in priced.batches:
        return {}
    more = priced.floors_more.get(name)
    return {
        "batches": {str(size): list(spent) for size, spent in priced.batches[name]},
        "floor_more_s": None if more is None else list(more),
    }


class Kept(Shelf):
    """Prices as an earlier run had them: networks come from the zoo and from files, their costs from that run."""

    def __init__(self, prices: Sequence[Mapping[str, Any]]) -> None:
        self._prices = prices

    def price(self, source: str, options: ModelSection, classes: tuple[str, ...]) -> Priced:
        """See `Catalog`. Raises `ModelError` for a network that is gone, or another than the run had."""
        wanted = options.model_dump(mode="json")
        for told in self._prices:
            # A run of an earlier version did not say what was not known then.
            same = {**ModelSection().model_dump(mode="json"), **told["options"]} == wanted
            if told["source"] == source and same and set(classes) <= set(told["classes"]):
                return _repriced(told, _same(told, source, options))
        return super().price(source, options, classes)


def _same(told: Mapping[str, Any], source: str, options: ModelSection) -> Network:
    """The network of a run, when it is still there and still that one."""
    name = Path(source).name[:60]
    try:
        here = file_digest(source)
        if here != told["file_digest"]:
            raise ModelError(
                f"the model file {name} is another than the run had: expected the one whose digest is "
                f"{told['file_digest']}, found {here}"
            )
        loaded = _loaded(source, options.model_dump_json(), here)
    except ModelError as error:
        if "another than" in str(error):
            raise
        raise ModelError(f"the run's model {name} is gone: {error}"[:280]) from None
    counts = {len(column) for each in told["classes"].values() for column in _columns(each)}
    if loaded.digest != told["digest"] or counts != {len(loaded.graph)}:
        raise ModelError(f"the model {name} is not prepared as the run had it: expected the versions that made the run")
    return loaded


def _columns(told: Mapping[str, Any]) -> Iterator[Sequence[float]]:
    """What a run says of a device class layer by layer."""
    yield told["seconds"]
    yield from told.get("batches", {}).values()
    if told.get("floor_more_s") is not None:
        yield told["floor_more_s"]


@lru_cache(maxsize=64)
def _loaded(source: str, options: str, content: object) -> Network:
    return network(source, ModelSection.model_validate_json(options))


def _repriced(told: Mapping[str, Any], loaded: Network) -> Priced:
    classes: Mapping[str, Mapping[str, Any]] = told["classes"]
    return Priced(
        loaded.graph,
        loaded.digest,
        {name: tuple(each["seconds"]) for name, each in classes.items()},
        {name: each["ghz"] for name, each in classes.items()},
        {name: tuple(each["floor_s"]) for name, each in classes.items() if each["floor_s"] is not None},
        {
            name: Profiled(each["origin"], each["host"], each["date"], each["coverage"])
            for name, each in classes.items()
        },
        told["file_digest"],
        tuple(told["predicted_s"]),
        told["predicted_ghz"],
        batches={
            name: tuple(sorted((int(size), tuple(spent)) for size, spent in each["batches"].items()))
            for name, each in classes.items()
            if each.get("batches")
        },
        floors_more={name: tuple(each["floor_more_s"]) for name, each in classes.items() if each.get("floor_more_s")},
    )


class KeptFiles(Files):
    """Files as an earlier run had them: its copies, or the same content where it has kept none."""

    def __init__(self, folder: str, digests: Mapping[str, str], kept: Mapping[str, bytes]) -> None:
        super().__init__(folder, kept)
        self._digests = digests

    def content(self, name: str) -> bytes:
        """See `Files`. Raises `RunError` for another content than the run had."""
        content = super().content(name)
        expected = self._digests.get(name)
        if expected is not None and bytes_digest(content) != expected:
            file = Path(name).name[:60]
            raise RunError(f"{file} is another than the run had: expected the file of digest {expected}")
        return content
