"""The zoo: full-size networks with seeded weights.

The nine of the paper have their topologies inside the onnx wheel; those of today are built by `layerlift.models.zoo`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx

from layerlift.models.errors import ModelError, near
from layerlift.models.loading import disk_cache, preparing, seeding, ties
from layerlift.models.onnx_files import untrusted
from layerlift.models.running.network import Network, assemble
from layerlift.models.zoo.registry import BUILDERS

_LOG = logging.getLogger("layerlift.zoo")

FILES = {
    "alexnet": "light_bvlc_alexnet.onnx",
    "densenet121": "light_densenet121.onnx",
    "googlenet": "light_inception_v1.onnx",
    "inception_v2": "light_inception_v2.onnx",
    "resnet50": "light_resnet50.onnx",
    "shufflenet": "light_shufflenet.onnx",
    "squeezenet": "light_squeezenet.onnx",
    "vgg19": "light_vgg19.onnx",
    "zfnet512": "light_zfnet512.onnx",
}
"""The nine of the paper."""
ALIASES = {
    "bert": "bert_small",
    "bvlc_alexnet": "alexnet",
    "densenet": "densenet121",
    "densenet-121": "densenet121",
    "efficientnet": "efficientnet_b0",
    "efficientnet-b0": "efficientnet_b0",
    "inception_v1": "googlenet",
    "inception-v1": "googlenet",
    "inception-v2": "inception_v2",
    "inceptionbn": "inception_v2",
    "mobilenet": "mobilenet_v2",
    "mobilenetv2": "mobilenet_v2",
    "resnet": "resnet50",
    "resnet-50": "resnet50",
    "u-net": "unet",
    "vgg": "vgg19",
    "vgg-19": "vgg19",
    "vit": "vit_tiny",
    "whisper": "whisper_tiny",
    "yolov8": "yolov8n",
    "zfnet": "zfnet512",
    "zfnet-512": "zfnet512",
}


def names() -> tuple[str, ...]:
    """The networks of the zoo, sorted."""
    return tuple(sorted((*FILES, *BUILDERS)))


def classics() -> tuple[str, ...]:
    """The nine that the paper has and that the predictor is trained on, sorted."""
    return tuple(sorted(FILES))


def known() -> tuple[str, ...]:
    """Names and aliases."""
    return (*names(), *sorted(ALIASES))


def is_known(name: str) -> bool:
    """Whether `name` (any case) is a network of the zoo or an alias of one."""
    return name.lower() in names() or name.lower() in ALIASES


def called(name: str) -> str:
    """What the zoo calls a network that it knows by this name or alias; another name as it is."""
    return ALIASES.get(name.lower(), name.lower()) if is_known(name) else name


def build(name: str, *, seed: int = 0, spectrum: float | None = None, input_bytes: int | None = None) -> Network:
    """The zoo network `name`, its weights made when first asked for (see `layerlift.models.loading.seeding`) and
    cached on disk.

    `spectrum` makes the singular values of convolution and fully connected weights fall as rank^-spectrum (0.8
    resembles trained networks); None leaves them full-rank. Raises `ModelError` for an unknown name or a spectrum
    outside 0..4.
    """
    if not is_known(name):
        raise ModelError(f"there is no network {name!r} in the zoo{near(name, known())}")
    if spectrum is not None and not 0 < spectrum <= 4:
        raise ModelError(f"spectrum is {spectrum}; expected a decay exponent above 0 and at most 4, such as 0.8")
    if seed < 0:
        raise ModelError(f"seed is {seed}; expected 0 or more")
    short = called(name)
    prepared = _prepared(short)
    source = SeededSource(short, seed, spectrum)
    light = onnx.ModelProto()
    light.CopyFrom(prepared.light)
    return assemble(
        short,
        light,
        prepared.parameters,
        source,
        source.identity(),
        input_bytes=input_bytes,
        tied=ties.tied(prepared.layout, {}, prepared.parameters),
        synthetic=True,
    )


@dataclass(frozen=True, slots=True)
class SeededSource:
    """Weights made from a seed, or read back from the cache."""

    name: str
    seed: int
    spectrum: float | None

    def identity(self) -> str:
        """What the weights depend on."""
        return f"seeded {seeding.VERSION} {self.seed} {self.spectrum}"

    def fetch(self, light: onnx.ModelProto) -> Mapping[str, np.ndarray]:
        """Every parameter; made in a second or so and cached when the cache lacks them or is damaged."""
        tail = f"s{self.seed}" if self.spectrum is None else f"s{self.seed}-p{self.spectrum}"
        path = disk_cache.cache_dir() / "weights" / f"{self.name}-v{seeding.VERSION}-{tail}.bin"
        held = disk_cache.read_arrays(path)
        prepared = _prepared(self.name)
        expected = set(prepared.parameters)
        if held is not None and set(held) == expected:
            return held
        made = seeding.weights(light, sorted(expected), self.seed, self.spectrum, prepared.constants)
        try:
            disk_cache.write_arrays(path, made)
        except ModelError as error:
            _LOG.warning("the weights of %s are made anew each time: %s", self.name, error)
            return made
        return disk_cache.read_arrays(path) or made


@cache
def _prepared(name: str) -> preparing.Prepared:
    if name in BUILDERS:
        return preparing.prepare(BUILDERS[name](), None, onnx.numpy_helper.to_array, name)
    path = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / FILES[name]
    if not path.is_file():
        raise ModelError(f"the installed onnx lacks {FILES[name]}; install onnx 1.23 or later from its wheel")
    return preparing.prepare(untrusted.read(path), None, onnx.numpy_helper.to_array, name)
