"""Preprocessing written as data: `[merge, {tile: {rows: 2}}]`, or one text per step: `tile:rows=2,columns=2`."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from layerlift.models.errors import ModelError, near
from layerlift.models.preprocess import lowrank, merge, modules, pruning, separable, split, tiling, tucker
from layerlift.models.preprocess.report import StepReport, output_error, size_of
from layerlift.models.running.network import Network

Written = str | Mapping[str, object]
"""A step as a user writes it: a text, or a mapping with one key, the step's name, to its options."""


@dataclass(frozen=True)
class StepKind:
    """A step that can be named. Its options are the keyword arguments of `function`."""

    name: str
    function: Callable[..., Network]
    lossless: bool
    """Whether outputs stay the same in exact arithmetic."""
    bitwise: bool = False
    """Whether they stay the same to the last bit, because the same kernels run on the same shapes."""

    @cached_property
    def options(self) -> dict[str, TypeAdapter[object]]:
        """What can be set, and of which type."""
        hints = typing.get_type_hints(self.function)
        given = list(inspect.signature(self.function).parameters)[1:]
        return {name: TypeAdapter(hints[name], config=ConfigDict(strict=True)) for name in given}

    @property
    def required(self) -> list[str]:
        """Options without a default."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return [p.name for p in parameters if p.default is p.empty]

    @property
    def summary(self) -> str:
        """The first sentence of the function's documentation."""
        text = " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())
        return text.partition(". ")[0].rstrip(".")

    def signature(self) -> str:
        """Its options with their defaults, as a user would write them."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return ", ".join(p.name if p.default in (None, p.empty) else f"{p.name}={p.default}" for p in parameters)


KINDS: Mapping[str, StepKind] = {
    kind.name: kind
    for kind in (
        StepKind("collapse", modules.collapse, True, True),
        StepKind("split", split.split, True, True),
        StepKind("merge", merge.merge, True, True),
        StepKind("tile", tiling.tile, True),
        StepKind("separate", separable.separate, False),
        StepKind("tucker", tucker.tucker, False),
        StepKind("low_rank", lowrank.low_rank, False),
        StepKind("sparse_low_rank", lowrank.sparse_low_rank, False),
        StepKind("prune", pruning.prune, False),
        StepKind("patterns", pruning.prune_patterns, False),
    )
}


@dataclass(frozen=True)
class Step:
    """A step with its options, checked."""

    kind: StepKind
    options: Mapping[str, object] = field(default_factory=dict)

    def __call__(self, network: Network) -> Network:
        """The network after this step; `ModelError` when it cannot be done."""
        return self.kind.function(network, **self.options)

    def __str__(self) -> str:
        """The step as one text that `parse` reads."""
        if not self.options:
            return self.kind.name
        return f"{self.kind.name}:" + ",".join(f"{name}={_text(value)}" for name, value in self.options.items())


def parse(steps: Iterable[Written] | Written | None) -> tuple[Step, ...]:
    """Read steps as they are written in a scenario or on the command line.

    Raises `ModelError` for unknown steps and options (with near names), missing ones, and values of the wrong type.
    """
    if steps is None:
        return ()
    written: Iterable[object] = [steps] if isinstance(steps, str | Mapping) else steps
    return tuple(_step(each) for each in written)


def apply(network: Network, steps: Iterable[Written | Step] | Written | None) -> Network:
    """`network` after all `steps`, in order. Raises `ModelError` as `parse` and the steps do."""
    for step in _parsed(steps):
        network = step(network)
    return network


def reported(
    network: Network, steps: Iterable[Written | Step] | Written | None, samples: int = 2
) -> tuple[Network, tuple[StepReport, ...]]:
    """As `apply`, with a report for each step.

    The outputs of steps that are not bitwise lossless are compared with those of the network before the step, over
    `samples` inputs (0: not at all); that runs both networks.
    """
    reports: list[StepReport] = []
    for step in _parsed(steps):
        made = step(network)
        changed = made is not network
        error = None if step.kind.bitwise or not samples or not changed else output_error(network, made, samples)
        reports.append(StepReport(str(step), step.kind.lossless, changed, size_of(network), size_of(made), error))
        network = made
    return network, tuple(reports)


def _parsed(steps: Iterable[Written | Step] | Written | None) -> tuple[Step, ...]:
    if steps is None or isinstance(steps, str | Mapping):
        return parse(steps)
    return tuple(each if isinstance(each, Step) else _step(each) for each in steps)


def _step(written: object) -> Step:
    if isinstance(written, str):
        name, options = _from_text(written)
    elif isinstance(written, Mapping) and len(written) == 1:
        name, options = next(iter(written.items()))
    else:
        raise ModelError(
            f"preprocess: the step {written!r} was given; expected a name such as merge, or one name with its options "
            "such as {tile: {rows: 2}}"
        )
    kind = KINDS.get(str(name).replace("-", "_"))
    if kind is None:
        raise ModelError(f"preprocess: there is no step {name!r}{near(str(name), KINDS)}")
    if options is not None and not isinstance(options, Mapping):
        raise ModelError(f"preprocess: {name} has the options {options!r}; expected names and values, or nothing")
    missing = [option for option in kind.required if option not in (options or {})]
    if missing:
        raise ModelError(f"preprocess: {kind.name} needs {missing[0]}; it has the options {kind.signature()}")
    return Step(kind, {option: _checked(kind, option, value) for option, value in (options or {}).items()})


def _checked(kind: StepKind, option: object, value: object) -> object:
    adapter = kind.options.get(str(option))
    if adapter is None:
        raise ModelError(f"preprocess: {kind.name} has no option {option!r}{near(str(option), kind.options)}")
    if option == "layers" and isinstance(value, str):
        value = [value]
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        problems = dict.fromkeys(str(each["msg"]) for each in error.errors())
        raise ModelError(f"preprocess: {option} of {kind.name} is {value!r}: {'; '.join(problems)}") from None


def _from_text(text: str) -> tuple[object, object]:
    """`name`, `name:option=value,option=a+b`, or a mapping with one key in YAML."""
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        read = None
    if isinstance(read, Mapping) and len(read) == 1:
        return next(iter(read.items()))
    name, colon, rest = text.strip().partition(":")
    if not colon:
        return name, None
    options: dict[str, object] = {}
    for part in rest.split(","):
        option, equals, value = part.partition("=")
        if not equals or not option.strip():
            raise ModelError(f"preprocess: {part!r} in the step {text!r} is not an option; expected option=value")
        options[option.strip()] = _value(value)
    return name, options


def _value(text: str) -> object:
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        return float(text)
    if "+" in text:
        return [_value(part) for part in text.split("+")]
    return {"true": True, "false": False}.get(text.lower(), text)


def _text(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "+".join(_text(each) for each in value)
    if isinstance(value, float):
        return f"{value:.12g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
