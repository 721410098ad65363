"""Rows and verdicts of validations that were never made."""

from __future__ import annotations

from typing import Any

from layerlift.emulator.studies.validate.validation import Validation
from layerlift.emulator.studies.validate.verdicts import Row, Standing

MB = 1 << 20
QUIET = Standing(interference=0.01, rate_error=0.001, coverage=1.0)
BUSY = Standing(interference=0.2, rate_error=0.001, coverage=1.0)


def row(kind: str, real_s: float, emulated_s: float, n: int = 9, corrected_s: float | None = None) -> Row:
    corrected = (real_s if corrected_s is None else corrected_s,) * n
    return Row("plain", "a phase", kind, (real_s,) * n, corrected, (emulated_s,))  # type: ignore[arg-type]


def validation(told: list[Row], standing: Standing = QUIET, **more: Any) -> Validation:
    return Validation(
        **{
            "network": "squeezenet", "link": "a link of 2 MB/s", "rows": tuple(told), "standing": standing,
            "goodput_bytes_s": 1.6e6, "output_error": 0.0, "host": "a machine <b>", "load": 0.1, "cores": 2,
            "versions": {"onnxruntime": "1"}, "date": "2026-01-31", "repeats": 5, **more,
        }
    )  # fmt: skip
