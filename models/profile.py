"""File_1 of the installation phase: layer -> seconds on one machine, measured, kept and looked up."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from models import store
from models.errors import ModelError
from models.network import Network

Notify = Callable[[str], None]
_LOG = logging.getLogger("layerlift.profile")
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Profile:
    """Seconds per layer of one network on one machine, one thread, graph optimisation off, at `ghz`."""

    network: str
    digest: str
    """`Network.topology`: timing does not depend on the weights' values."""
    ghz: float
    """Clock at which it was measured: a node at `g` GHz takes `seconds x ghz / g` (within a device class)."""
    host: str
    layers: tuple[str, ...]
    seconds: tuple[float, ...]
    """Per layer, median of the runs, rounded to 1 ns; the sum is the uncut network's thread CPU time."""
    spread_s: tuple[float, ...]
    """Per layer, interquartile range over the runs."""
    uncut_s: float
    """Thread CPU seconds of the uncut network at graph optimisation off."""
    fused_s: float
    """The same at full optimisation, where operators are fused across layers."""
    coverage: float
    """Sum of the layers' raw medians over `uncut_s`: how well the parts explain the whole before they are fitted."""
    runs: int
    date: str
    method: str

    @property
    def total_s(self) -> float:
        """Seconds of all layers."""
        return math.fsum(self.seconds)

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        body = {"format": FORMAT, **asdict(self)}
        rows = list(zip(body.pop("layers"), body.pop("seconds"), body.pop("spread_s"), strict=True))
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
        head = json.dumps(body, indent=2)[:-2]
        store.write_bytes(path, f'{head},\n  "layers": [\n{lines}\n  ]\n}}\n'.encode())

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read what `save` wrote. Raises `ModelError` for a missing, damaged or impossible file."""
        try:
            text = path.read_text()
        except OSError:
            raise ModelError(f"there is no profile at {path}; make one with layerlift profile") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, origin: str) -> Profile:
        """The profile in `text`; `origin` names it in errors (`ModelError`)."""
        try:
            body = json.loads(text)
            rows = body.pop("layers")
            if body.pop("format") != FORMAT:
                raise ModelError(f"{origin} is a profile of another format; measure again with layerlift profile")
            profile = cls(
                layers=tuple(str(row[0]) for row in rows),
                seconds=tuple(float(row[1]) for row in rows),
                spread_s=tuple(float(row[2]) for row in rows),
                **{name: kind(body.pop(name)) for name, kind in _SCALARS.items()},
            )
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise ModelError(f"{origin} is not a profile ({type(error).__name__}: {error})") from None
        if body:
            raise ModelError(f"{origin} has the unknown field {next(iter(body))!r}; expected a profile's fields only")
        profile._check(origin)
        return profile

    def fits(self, network: Network) -> bool:
        """Whether it was measured on this network's topology."""
        return self.digest == network.topology and len(self.layers) == len(network.graph)

    def _check(self, origin: str) -> None:
        numbers = (*self.seconds, *self.spread_s, self.uncut_s, self.fused_s)
        if not self.layers or not all(math.isfinite(n) and n >= 0 for n in numbers):
            raise ModelError(f"{origin}: seconds must be finite and not negative, one per layer")
        if not (math.isfinite(self.ghz) and self.ghz > 0) or self.total_s <= 0:
            raise ModelError(f"{origin}: ghz is {self.ghz} and the layers take {self.total_s} s; both must be above 0")


_SCALARS: dict[str, Any] = {
    f.name: {"str": str, "float": float, "int": int}[str(f.type)]
    for f in fields(Profile)
    if f.name not in ("layers", "seconds", "spread_s")
}


def reference(network: Network, *, notify: Notify | None = None) -> Profile:
    """The profile that costs come from when nobody names another.

    Shipped for the zoo's networks; for any other it is measured once on this machine and kept in the cache folder, and
    `notify` (or the log `layerlift.profile`) is told. Raises `ModelError` when it cannot be measured.
    """
    shipped = resources.files("models").joinpath("profiles", f"{network.name}.json")
    if shipped.is_file():
        profile = Profile.parse(shipped.read_text(), f"the shipped profile of {network.name}")
        if profile.fits(network):
            return profile
    path = store.cache_dir() / "profiles" / f"{network.topology}.json"
    if path.is_file():
        profile = Profile.load(path)
        if profile.fits(network):
            return profile
    tell = notify or _LOG.warning
    tell(f"measuring {network.name} on this machine once: no profile of it is known")
    from models.measuring import measure

    profile = measure(network)
    profile.save(path)
    tell(f"kept its profile: {profile.total_s * 1e3:.1f} ms at {profile.ghz} GHz")
    return profile
