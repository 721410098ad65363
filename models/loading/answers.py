"""What the process that opens files can be asked, kind by kind: a request goes in, plain data and bytes come out.

Each takes `path` (absolute), `dims`, `fix` and `outputs` from the request, and may ask for more memory where it has
learned that a file which it accepts needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from layerlift.models.loading import reading
from layerlift.models.running import limits

Blobs = list[bytes | memoryview]
AllowMemory = Callable[[int], None]
"""Given bytes beyond what is in use."""
Answer = Callable[[Mapping[str, Any], AllowMemory], tuple[dict[str, Any], Blobs]]


def network(request: Mapping[str, Any], allow: AllowMemory) -> tuple[dict[str, Any], Blobs]:
    """The light form: `content`, `files`, `parameters`, `upload_bytes`, `tied`, and one blob, the light model."""
    found = _opened(request, allow)
    head = {
        "content": found.content,
        "files": [str(file) for file in found.files],
        "parameters": list(found.prepared.parameters),
        "upload_bytes": dict(found.prepared.upload_bytes),
        "tied": dict(found.tied),
    }
    return head, [found.prepared.light.SerializeToString()]


def weights(request: Mapping[str, Any], allow: AllowMemory) -> tuple[dict[str, Any], Blobs]:
    """All parameters, a blob each in the order of `names`, of a network that has run here once.

    Those of `mapped` lie in a file beside the model as they are: name, file and offset are all that is told of them.
    `content` says which file it has to be: when another one lies there by now, the answer is `changed`.
    """
    found = _opened(request, allow)
    if found.content != request["content"]:
        return {"changed": True}, []
    held = sum(parameter.held_bytes for parameter in found.graph.parameters)
    # A network with its weights inside is made of those, and a session copies them again.
    allow(int(request["memory_bytes"]) + limits.COPIES * held)
    arrays = reading.parameters(found)
    limits.check_live(found.graph)
    allow(int(request["memory_bytes"]) + limits.COPIES * held + 2 * limits.held_at_once(found.graph))
    reading.try_out(found, arrays)
    mapped = {name: [str(a.filename), a.offset] for name, a in arrays.items() if isinstance(a, np.memmap)}
    sent = {name: array for name, array in arrays.items() if name not in mapped}
    flat = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in sent.values()]
    return {"names": list(sent), "mapped": mapped}, [array.data for array in flat]


def _opened(request: Mapping[str, Any], allow: AllowMemory) -> reading.Opened:
    allowed = int(request["memory_bytes"])
    outputs = request.get("outputs", ())
    fix = request.get("fix", {})
    path = Path(str(request["path"]))
    return reading.opened(path, request["dims"], fix, lambda size: allow(allowed + size), outputs)


KINDS: Final[Mapping[str, Answer]] = {"network": network, "weights": weights}
