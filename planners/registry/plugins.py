"""Plug-ins by name: one registry for all kinds of them (planners; the emulator's allocation policies).

Grammar: `NAME[:OPTIONS] | MODULE:CLASS[:OPTIONS]` with `OPTIONS = name=value[,name=value]`. A name is built in, was
registered, or is an installed package's entry point. Nothing is imported before it is wanted.

Code is what `MODULE:CLASS` names: any module at all. Only somebody who types it may name it, so what makes a plug-in
from the words of a file does it within `code_allowed(False)`; plug-ins that are made meanwhile, as `inner` of
`best_response` is, are under the same rule.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar, Final, Generic, TypeVar

from layerlift.models.errors import CodeRefused, LayerliftError, near, place_of, words_of
from layerlift.planners.registry.base import PlannerBase, capability
from layerlift.planners.registry.options import PLANNER, Option, Wording, options_of, split_options, typed

NO_PLUGINS = "LAYERLIFT_NO_PLUGINS"
"""Environment variable that, when not empty, switches the plug-ins of other packages off."""

Maker = Callable[..., Any]

TYPED: Final = "the command line"
"""The source of a class that somebody typed."""
IN_PYTHON: Final = " (allow_code=True)"
"""How a program says that it trusts a file: the end of a refusal, in whose place a command line has its own way."""
_CODE: ContextVar[bool] = ContextVar("code", default=True)


@contextmanager
def code_allowed(allowed: bool) -> Iterator[None]:
    """Whether texts may name code (`module:Class`) within the block; what an outer block forbids stays forbidden."""
    token = _CODE.set(_CODE.get() and allowed)
    try:
        yield
    finally:
        _CODE.reset(token)


@dataclass(frozen=True, slots=True)
class Spec:
    """A plug-in's name and where it comes from; `load` imports it. Each kind of plug-in has a subclass."""

    name: str
    target: str | Maker
    """`module:Class`, or the class itself."""
    source: str = "layerlift"
    """The package that offers it."""

    wording: ClassVar[Wording] = PLANNER
    base: ClassVar[type] = PlannerBase
    """The class whose attributes are the defaults of capabilities that a plug-in does not state."""

    def load(self) -> Maker:
        """The class (or function) that makes the plug-in. Raises the kind's error when it cannot be imported."""
        if not isinstance(self.target, str):
            return self.target
        return _import(self.name, self.target, self.source, self.wording)

    def check(self, method: str) -> None:
        """Raise the kind's error for what lacks a method, such as `plan(problem, rng)`: nothing of it is called.

        What is typed must be a class, whose methods can be seen; a function that makes plug-ins can be registered.
        """
        maker, noun, name = self.load(), self.wording.noun, method.partition("(")[0]
        if inspect.isclass(maker):
            if not callable(capability(maker, name, object)):
                raise self.wording.error(f"{noun} {self.name!r} is a class that has no method {method}")
        elif self.source == TYPED:
            kind = type(maker).__name__
            raise self.wording.error(f"{noun} {self.name!r} is a {kind}, expected a class with a method {method}")

    def attribute(self, name: str) -> Any:
        """A capability, with its default where the plug-in does not say."""
        return capability(self.load(), name, self.base)

    @property
    def options(self) -> dict[str, Option]:
        """What can be set after the colon."""
        return options_of(self.load())

    def cite(self) -> str:
        """The source of the algorithm, or nothing."""
        return str(self.attribute("cite")())


S = TypeVar("S", bound=Spec)


class Registry(Generic[S]):
    """All plug-ins of one kind. Mistakes raise the error of the kind's wording, with what was given and what to try."""

    def __init__(self, kind: type[S], group: str, builtin: Mapping[str, str], method: str) -> None:
        """`group` is the entry-point group of installed packages, `builtin` maps names to `module:Class`.

        `method` is what every plug-in of the kind has, such as `plan(problem, rng)`.
        """
        self.kind, self.group, self.builtin, self.method = kind, group, builtin, method
        self.plugins = lru_cache(maxsize=1)(self._read_plugins)
        """What installed packages offer; read once, imported only when wanted."""
        self._registered: dict[str, S] = {name: kind(name, target) for name, target in builtin.items()}

    def register(self, name: str, target: str | Maker, source: str = "registered") -> None:
        """Offer a class under `name`; `target` is `module:Class`, imported when first wanted, or the class itself.

        Raises the kind's error for a name that is taken or has characters with a meaning in the grammar.
        """
        noun, known = self.kind.wording.noun, self._known()
        if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
            raise self._error(
                f"{noun} name {name!r} was given, expected letters, digits, - and _, beginning with a letter"
            )
        if name in known:
            raise self._error(f"{noun} {name!r} exists already (from {known[name][0].source}): choose another name")
        self._registered[name] = self.kind(name, target, source)

    def unregister(self, name: str) -> None:
        """Take back what `register` did. Raises the kind's error for a name not registered, or built in."""
        if name in self.builtin or name not in self._registered:
            raise self._error(f"{self.kind.wording.noun} {name!r} was not registered, so it cannot be unregistered")
        del self._registered[name]

    def available(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        return sorted(self._known())

    def spec(self, name: str) -> S:
        """What is registered as `name`.

        Raises the kind's error with the near names when there is none, or with both packages when two offer the name.
        """
        noun, known = self.kind.wording.noun, self._known()
        if name not in known:
            hint = near(name, known)
            raise self._error(f"there is no {noun} {name!r}{hint}; a class of your own is written module:Class")
        first, *others = known[name]
        if others:
            packages = " and ".join(each.source for each in known[name])
            raise self._error(f"{noun} {name!r} is offered twice, by {packages}: uninstall one or set {NO_PLUGINS}=1")
        return first

    def asked(self, text: str) -> S:
        """What somebody who types `text` asks to have explained: a name, or `module:Class` of their own; no options.

        Raises what `spec` raises, and the kind's error for a class that cannot be imported or is none of the kind.
        """
        found, _ = self.named(text)
        if found.source == TYPED:
            found.check(self.method)
        return found

    def specs(self) -> Iterator[S]:
        """All that can be imported, by name; one that cannot is skipped with a warning."""
        for name in self.available():
            try:
                found = self.spec(name)
                found.load()
            except LayerliftError as problem:
                warnings.warn(str(problem), stacklevel=2)
                continue
            yield found

    def make(self, text: str, options: Mapping[str, object] | None = None, method: str | None = None) -> Any:
        """Make what `text` describes (see the grammar above); `options` adds to those in the text.

        Raises the kind's error for an unknown name or option, a value of the wrong type, a missing module, or a class
        without the kind's method (or `method`), before anything of it is called, and for a constructor that raises;
        `CodeRefused` for a class where texts may not name code. Whether what a registered function makes is of the
        kind is for the caller to check.
        """
        found, rest = self.named(text)
        name, wording = found.name, self.kind.wording
        given: dict[str, object] = {**(split_options(name, rest, wording) if rest else {}), **(options or {})}
        found.check(method or self.method)
        self._require(found)
        maker = found.load()
        arguments = typed(name, maker, given, wording)
        try:
            return maker(**arguments)
        except LayerliftError:
            raise
        except (Exception, SystemExit) as problem:  # a stranger's code
            raised = f"{words_of(problem)} ({place_of(problem)})"
            raise wording.error(f"{wording.noun} {name!r} cannot be made: its constructor raised {raised}") from problem

    def named(self, text: str) -> tuple[S, str]:
        """What a text names, and its options; nothing is imported."""
        name, _, rest = text.partition(":")
        if name in self._known() or not rest or "=" in rest.split(":")[0]:
            return self.spec(name), rest
        class_name, _, rest = rest.partition(":")
        if not _CODE.get():
            raise CodeRefused(
                f"it names code, and a file may only name a registered {self.kind.wording.noun}, unless you trust it"
                f"{IN_PYTHON}"
            )
        name = f"{name}:{class_name}"
        return self.kind(name, name, TYPED), rest

    def _error(self, message: str) -> LayerliftError:
        return self.kind.wording.error(message)

    def _require(self, spec: S) -> None:
        missing = [name for name in spec.attribute("REQUIRED_MODULES") if find_spec(name.split(".")[0]) is None]
        if missing:
            package = spec.attribute("extra") or missing[0]
            raise self._error(
                f"{self.kind.wording.noun} {spec.name} needs the module {missing[0]}, which is not installed: "
                f"pip install '{package}'"
            )

    def _known(self) -> dict[str, list[S]]:
        known = {name: [found] for name, found in self._registered.items()}
        for found in self.plugins():
            known.setdefault(found.name, []).append(found)
        return known

    def _read_plugins(self) -> tuple[S, ...]:
        if os.environ.get(NO_PLUGINS):
            return ()
        points = metadata.entry_points(group=self.group)
        return tuple(self.kind(p.name, p.value, p.dist.name if p.dist else "an unknown package") for p in points)


def _import(name: str, target: str, source: str, wording: Wording) -> Maker:
    module_name, _, attribute = target.partition(":")
    which = f"{wording.noun} {name!r}" if source == TYPED else f"{wording.noun} {name!r} (from {source})"
    try:
        found: Any = _beside(module_name) if source == TYPED else importlib.import_module(module_name)
    except ModuleNotFoundError as problem:
        raise wording.error(f"{which} cannot be imported: {_missing(problem, module_name, source)}") from problem
    except (Exception, SystemExit) as problem:  # a stranger's module may think that it is a program
        raise wording.error(f"{which} cannot be imported: {type(problem).__name__}: {problem}") from problem
    for part in attribute.split("."):
        try:
            found = getattr(found, part)  # the name is the user's: there is no other way to what it names
        except AttributeError:
            raise wording.error(f"{which}: {module_name} has no {part}{near(part, _public(found))}") from None
    if not callable(found):
        raise wording.error(f"{which} is a {type(found).__name__}, expected a class")
    maker: Maker = found
    return maker


def _public(found: object) -> list[str]:
    """What somebody may have meant who named what a module (or a class) has not."""
    return [name for name in dir(found) if not name.startswith("_")]


def _missing(problem: ModuleNotFoundError, wanted: str, source: str) -> str:
    """Which module there is not, and what to do: the one that was named, or one that it needs."""
    gone = problem.name or wanted
    said = f"there is no module {gone!r}"
    if source == TYPED and wanted.endswith(".py"):
        module = os.path.basename(wanted).removesuffix(".py")
        return f"{wanted!r} is a file's name, expected a module's: write {module}:CLASS, in the folder of {module}.py"
    if source != TYPED:
        return f"{said}, which the package should have brought: install it again"
    if gone != wanted and not wanted.startswith(f"{gone}."):
        return f"{said}, which {wanted} needs: install it"
    return f"{said} in this folder or installed: go to the folder of {gone}.py, or name that folder in PYTHONPATH"


def _beside(name: str) -> object:
    """Import a typed `name`; a module beside the user's files counts, although a console script does not look there."""
    here = os.getcwd()
    if here in sys.path or find_spec(name.split(".")[0]) is not None:
        return importlib.import_module(name)
    sys.path.append(here)
    importlib.invalidate_caches()
    return importlib.import_module(name)
