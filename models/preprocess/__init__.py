"""DNN model preprocessing: functions from network to network, alone or in a pipeline written as data."""

from layerlift.models.preprocess.pipeline import KINDS, Kind, Step, apply, parse, reported
from layerlift.models.preprocess.report import Error, Report, Size, output_error, size_of
from layerlift.models.preprocess.rewrite import codecs_of

__all__ = [
    "KINDS",
    "Error",
    "Kind",
    "Report",
    "Size",
    "Step",
    "apply",
    "codecs_of",
    "output_error",
    "parse",
    "reported",
    "size_of",
]
