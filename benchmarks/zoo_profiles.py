"""The profiles of the networks that are built by code, made again: `python -m benchmarks.zoo_profiles [network ...]`.

The nine of the paper were measured on another host, and their files stay. So the nine are measured here beside the
others, and what the others take here is scaled by the nine's ratio: the geometric mean, over the nine, of the shipped
profile's seconds over those measured here. Each file names both hosts, the ratio and how far single networks lie from
it. Run it on a quiet machine: a profile whose layers do not explain its whole is written with `--accept` only.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from layerlift.models import load
from layerlift.models.loading import zoo
from layerlift.models.timing.measuring import measure, timed
from layerlift.models.timing.profile import Profile
from layerlift.models.timing.profiles import reference
from layerlift.models.zoo.registry import BUILDERS

ROOT: Final = Path(__file__).parent.parent
ROUNDS: Final = 3
"""How often the nine are gone through: a host's speed drifts, and the least of the rounds is the least disturbed."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What turns seconds of this host into seconds of the host of the shipped profiles."""

    ratio: float
    """Shipped seconds over seconds here."""
    spread: float
    """Geometric standard deviation of the nine ratios: 1.1 says that most lie within 10 %."""
    shipped: Profile
    """One of the nine: it names their host and its clock."""


def scale_of(shipped: Sequence[Profile], here_s: Sequence[float]) -> Scale:
    """The scale between the uncut times of `shipped` profiles and those of the same networks here."""
    logs = [math.log(profile.uncut_s / spent) for profile, spent in zip(shipped, here_s, strict=True)]
    mean = math.fsum(logs) / len(logs)
    variance = math.fsum((value - mean) ** 2 for value in logs) / len(logs)
    return Scale(math.exp(mean), math.exp(math.sqrt(variance)), shipped[0])


def scaled(profile: Profile, scale: Scale) -> Profile:
    """`profile`, measured here, in seconds of the host of the shipped profiles, and at its clock."""
    ratio = scale.ratio
    return replace(
        profile,
        ghz=scale.shipped.ghz,
        host=f"{scale.shipped.host}; scaled from {profile.host} at {profile.ghz:g} GHz",
        seconds=tuple(round(value * ratio, 9) for value in profile.seconds),
        spread_s=tuple(round(value * ratio, 9) for value in profile.spread_s),
        blocks=tuple((first, last, round(value * ratio, 9)) for first, last, value in profile.blocks),
        uncut_s=round(profile.uncut_s * ratio, 9),
        fused_s=round(profile.fused_s * ratio, 9),
        method=f"{profile.method}; all x {ratio:.4f}, by which the paper's nine networks differ between the hosts "
        f"(geometric mean, each within a factor of {scale.spread:.3f}, one standard deviation)",
    )


def measured_scale(runs: int) -> Scale:
    """Go through the nine on this host."""
    networks = [load(name) for name in zoo.classics()]
    least = [math.inf] * len(networks)
    for _ in range(ROUNDS):
        for at, network in enumerate(networks):
            spent = sorted(timed(network, runs, "off", lambda: None))
            least[at] = min(least[at], spent[len(spent) // 2])
    profiles = [reference(network) for network in networks]
    for profile, spent_s in zip(profiles, least, strict=True):
        print(f"{profile.network}: {spent_s * 1e3:.2f} ms here, x {profile.uncut_s / spent_s:.3f}", flush=True)
    return scale_of(profiles, least)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, scale and write `models/profiles/NAME.json`, or files in --out; 1 where a profile was not taken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo_profiles", description=__doc__)
    parser.add_argument("networks", nargs="*", help="default: all that are built by code")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "profiles")
    parser.add_argument("--accept", action="store_true", help="take what a busy machine measured")
    given = parser.parse_args(arguments)
    scale = measured_scale(given.runs)
    print(f"the nine: x {scale.ratio:.4f}, spread {scale.spread:.3f}", flush=True)
    doubted = 0
    for name in given.networks or sorted(BUILDERS):
        found = measure(load(name), given.runs)
        taken = found.trusted or given.accept
        doubted += not taken
        if taken:
            scaled(found, scale).save(given.out / f"{name}.json")
        print(f"{name}: {_told(found, scale)}{'' if taken else '; NOT WRITTEN, see --accept'}", flush=True)
    return int(doubted > 0)


def _told(found: Profile, scale: Scale) -> str:
    times = f"{found.uncut_s * 1e3:.2f} ms here, {found.uncut_s * scale.ratio * 1e3:.2f} ms scaled"
    return f"{times}, coverage {found.coverage:g}" + ("" if found.trusted else f" ({found.doubt})")


if __name__ == "__main__":
    raise SystemExit(main())
