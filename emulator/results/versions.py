"""Which versions made a run, and whether these are others."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

_PACKAGES: Final = ("layerlift", "ray", "numpy", "onnx", "onnxruntime", "pyarrow")
TOLD: Final = ("layerlift", "python", "onnxruntime")
"""What a person is told of, where it differs."""


def versions() -> dict[str, str]:
    """The versions of what makes a run here, and this kind of machine."""
    return {"python": platform.python_version(), "machine": platform.machine(), **{p: version(p) for p in _PACKAGES}}


def other_versions(run: Mapping[str, Any]) -> str:
    """`made with layerlift 0.1.0 and python 3.12.1, here are layerlift 0.2.0 and python 3.11.7`; empty where alike."""
    made, here = run.get("versions") or {}, versions()
    differing = [name for name in TOLD if name in made and made[name] != here[name]]
    if not differing:
        return ""
    then, now = (" and ".join(f"{name} {each[name][:20]}" for name in differing) for each in (made, here))
    return f"made with {then}, here {'is' if len(differing) == 1 else 'are'} {now}"
