"""DNN model preprocessing: functions from network to network, alone or in a pipeline written as data."""

from layerlift.models.preprocess.pipeline import KINDS, Step, StepKind, apply, parse, reported
from layerlift.models.preprocess.report import NetworkSize, OutputError, StepReport, output_error, size_of
from layerlift.models.preprocess.rewrite import codecs_of

__all__ = [
    "KINDS",
    "NetworkSize",
    "OutputError",
    "Step",
    "StepKind",
    "StepReport",
    "apply",
    "codecs_of",
    "output_error",
    "parse",
    "reported",
    "size_of",
]
