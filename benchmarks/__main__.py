"""Every benchmark of speed, one after the other: `python -m benchmarks`."""

from __future__ import annotations

from benchmarks import pieces, planning, speed

speed.main()
planning.main()
for network in ("alexnet", "vgg19"):
    pieces.compare(network)
