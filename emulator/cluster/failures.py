"""What died and what was raised: Ray's errors told apart."""

from __future__ import annotations

from ray.exceptions import RayError, RayTaskError

from layerlift.models.errors import LayerliftError, RunError
from layerlift.models.onnx_files.protos import one_line

TRIES = 5
"""How often in a row the same may be lost before it is no accident."""


def is_lost(error: RayError) -> bool:
    """Whether something died. The rest was raised by the host itself, and would be again."""
    return not isinstance(error, RayTaskError) and not getattr(error, "actor_init_failed", False)


def plain_error(error: RayError) -> LayerliftError:
    """The error that a host raised, without Ray's wrapping, where it is one of ours."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, LayerliftError) else RunError(f"a host actor failed: {one_line(error)}")
