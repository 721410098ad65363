"""onnxruntime, as all of Layerlift imports it: quiet.

From 1.29 on it writes a device id and a queue of events to HOME and tries to send them. `import layerlift` has turned
that off (`layerlift.QUIET`) unless somebody imported onnxruntime before it: then at least no more events are made.
"""

from __future__ import annotations

import onnxruntime as ort

ort.disable_telemetry_events()

__all__ = ["ort"]
