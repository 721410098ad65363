"""What this machine is, as far as a profile needs to say."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from layerlift.models.errors import ModelError


def description() -> str:
    """Processor, cores and system, in one line without names that identify the machine."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def clock_ghz() -> float:
    """The processor's nominal clock as the system tells it.

    Raises `ModelError` when the system does not say (many ARM boards): the caller then passes it.
    """
    text = _read("/proc/cpuinfo")
    found = re.search(r"^cpu MHz\s*:\s*([\d.]+)", text, re.MULTILINE)
    if found:
        return round(float(found.group(1)) / 1000, 2)
    limit = _read("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").strip()
    if limit.isdigit():
        return round(int(limit) / 1e6, 2)
    raise ModelError("this system does not tell its clock; say it with ghz (--ghz), from the processor's data sheet")


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
