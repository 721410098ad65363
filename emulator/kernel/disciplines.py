"""All disciplines of a CPU, which have one face."""

from __future__ import annotations

from layerlift.emulator.kernel.batch_cpu import BatchCpu
from layerlift.emulator.kernel.cpu import Cpu, FifoCpu
from layerlift.emulator.kernel.weighted_cpu import WeightedCpu

AnyCpu = Cpu | FifoCpu | WeightedCpu | BatchCpu
