"""Which profiles there are: shipped with Layerlift, or measured here before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Final

from layerlift.models.errors import ModelError
from layerlift.models.loading import disk_cache
from layerlift.models.running.network import Network
from layerlift.models.timing.measuring import measure, timed
from layerlift.models.timing.profile import Profile

REFERENCE: Final = "reference"
"""The device class of whoever names none."""
SHIPPED_CLASSES: Final = ("v100", "odroid_xu4", "gtx1080ti")
"""Device classes that ship beside it, each a folder of `models/profiles` with a profile for some networks."""
Notify = Callable[[str], None]
_RUNS, _FEWEST_RUNS = 30, 3
_MEASURING_S = 20.0
"""For each of the four ways in which a network is run to be measured."""
_LOG = logging.getLogger("layerlift.profile")


def known(network: Network) -> Profile | None:
    """The profile of `network` that ships or that was measured here before; None when it would have to be measured."""
    shipped = _shipped(network)
    if shipped is not None:
        return shipped
    path = _kept(network)
    return Profile.load(path).over(network) if path.is_file() else None


def ships(network: Network) -> bool:
    """Whether the profile of `network` is one that ships with Layerlift."""
    return _shipped(network) is not None


def _shipped(network: Network) -> Profile | None:
    file = resources.files("layerlift.models").joinpath("profiles", f"{network.name}.json")
    if not file.is_file():
        return None
    return Profile.parse(file.read_text(), f"the shipped profile of {network.name}").over(network)


def device_class(name: str, network: Network) -> Profile:
    """The profile of `network` in a device class that ships (`SHIPPED_CLASSES`). Raises `ModelError` without one."""
    folder = resources.files("layerlift.models").joinpath("profiles", name)
    file = folder.joinpath(f"{network.name}.json")
    found = None
    if file.is_file():
        found = Profile.parse(file.read_text(), f"the shipped profile of {network.name} on {name}").over(network)
    if found is None:
        has = ", ".join(sorted(each.name.removesuffix(".json") for each in folder.iterdir()))
        raise ModelError(
            f"no profile of {network.name} ships for the device class {name} (there is one of {has}): measure it on "
            "such a machine with layerlift profile, and name the file"
        )
    return found


def reference(network: Network, *, notify: Notify | None = None) -> Profile:
    """The profile that costs come from when nobody names another.

    Shipped for the zoo's networks; for any other it is measured once on this machine and kept in the cache folder, and
    `notify` (or the log `layerlift.profile`) is told. Raises `ModelError` when it cannot be measured.
    """
    held = known(network)
    if held is not None:
        return held
    tell = notify or _LOG.warning
    tell(f"measuring {network.name} on this machine once: no profile of it is known")
    profile = measure(network.unmerged, _runs(network.unmerged))
    try:
        profile.save(_kept(network))
    except ModelError as error:
        tell(str(error))
    tell(f"its profile: {profile.total_s * 1e3:.1f} ms at {profile.ghz} GHz, coverage {profile.coverage:g}")
    return profile if network.base is None else profile.merged(network)


def _runs(network: Network) -> int:
    """As many runs as a profile is made of, or fewer, where each takes so long that nobody would wait for them."""
    alone_s = timed(network, 1, "off", lambda: None)[0]
    return max(_FEWEST_RUNS, min(_RUNS, round(_MEASURING_S / max(alone_s, 1e-6))))


def _kept(network: Network) -> Path:
    return disk_cache.cache_dir() / "profiles" / f"{network.unmerged.topology}.json"
