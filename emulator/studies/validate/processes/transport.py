"""Either end of a measurement of the kernel's link, started by `children`.

What `layerlift link` does, in a process of its own, which alone is where the link is.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from layerlift.emulator.studies.link.estimate import fields
from layerlift.emulator.studies.link.measuring import Measurement
from layerlift.emulator.studies.link.server import LinkServer
from layerlift.emulator.studies.validate.processes.child import Answer, Control, end_after, live

_LIMIT_S: Final = 300.0


def _answer(head: Mapping[str, Any], blobs: list[np.ndarray]) -> Mapping[str, Any]:
    end_after(_LIMIT_S)
    if "serve" in head:
        server = LinkServer(str(head["serve"]), 0)
        threading.Thread(target=server.serve, daemon=True).start()
        return {"port": server.port, "token": server.token}
    told = head["measure"]
    place = str(told["host"]), int(told["port"]), str(told["token"])
    measurement = Measurement(*place, lambda words: None, str(told["congestion"]))
    return asdict(fields(measurement.run(float(told["seconds"]), both=False).up))


def main(control: Control) -> Answer:
    """Be ready for one request."""
    return _answer


if __name__ == "__main__":
    live(main)
