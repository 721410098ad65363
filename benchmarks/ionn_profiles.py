"""Device classes of IONN's board and server, made again of published rows: `python -m benchmarks.ionn_profiles`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES, profile, published
from layerlift.models import load

ROOT: Final = Path(__file__).parent.parent


def main() -> None:
    """Write `models/profiles/CLASS/NETWORK.json` for both classes and each network that has rows."""
    for name in published()["networks"]:
        network = load(name)
        for side, device_class in CLASSES.items():
            made = profile(network, side)
            path = ROOT / "models" / "profiles" / device_class / f"{name}.json"
            path.parent.mkdir(exist_ok=True)
            made.save(path)
            print(f"{device_class}: {name}, {made.total_s * 1e3:.4g} ms")


if __name__ == "__main__":
    main()
