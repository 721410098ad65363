"""All fields of a scenario: what checks, assumptions and resolving take, and what `Scenario` adds its ways to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Literal

from pydantic import Field, PrivateAttr

from layerlift.emulator.scenario.schema.document import FieldPath, Places, dotted, named
from layerlift.emulator.scenario.schema.faults import AnyFault
from layerlift.emulator.scenario.schema.fields import Flag, Positive, Section, Text, Whole, assume
from layerlift.emulator.scenario.schema.link_sections import LinkSection, MediumSection, PairSection
from layerlift.emulator.scenario.schema.sections import (
    ModelSection,
    NodesSection,
    PlanningSection,
    StepList,
    UsersSection,
)
from layerlift.emulator.scenario.schema.trust import Trust


class Description(Section):
    """A world as a user describes it: each field by itself is right, but nobody has looked at them together."""

    name: Text = "scenario"
    about: str = Field("", max_length=4000)
    seed: Whole = 1
    nodes: tuple[NodesSection, ...] = ()
    links: dict[Text, LinkSection] = Field(default_factory=dict)
    """By pair of tiers, `client-edge`; both ways unless `edge-client` is given too."""
    pairs: tuple[PairSection, ...] = ()
    media: dict[Text, MediumSection] = Field(default_factory=dict)
    """What several links share, by name: a site's uplink, a cell, a back-haul."""
    share_links: Flag = assume(True)
    users: tuple[UsersSection, ...] = ()
    faults: tuple[AnyFault, ...] = ()
    """What breaks and who moves."""
    models: dict[Text, ModelSection] = Field(default_factory=dict)
    alexnet_mb: Positive | None = None
    """Short for `models: {alexnet: {parameters_mb: ...}}` (the paper prints 223)."""
    preprocess: StepList = Field(default_factory=list)
    """What is done to every model that does not say otherwise: `[merge, tile: {rows: 2}]`."""
    planner: PlanningSection = PlanningSection()
    reference_ghz: Positive | None = None
    """The speed that the reference seconds stand for; the profile's own when left out."""
    header_bytes: Whole = assume(0)
    resend_ms: Positive = assume(200.0)
    """After which a reliable transport sends a lost message again."""
    until_s: Positive | None = None
    sample_s: Positive | None = 1.0
    """Sampling period of the usage table; null: one row a node at the end."""
    execution: Literal["every", "once", "none"] = "every"
    compute: Literal["profiled", "measured"] = "profiled"
    graph_optimization: Literal["off", "all"] = "off"
    inputs: int = Field(4, strict=True, ge=1, le=1000)
    """How many distinct seeded inputs a model is asked with."""
    sources: dict[Text, str] = Field(default_factory=dict)
    """Where numbers come from: a path (`*` is any one part) to its source, or the word `assumed`."""
    folder: str = ""
    """Where relative file names begin; the scenario file's own folder when it was loaded from one."""

    _places: Places = PrivateAttr(default_factory=Places)
    _trust: Trust = PrivateAttr(default_factory=Trust)

    @property
    def trust(self) -> Trust:
        """Which of its texts may name code."""
        return self._trust

    def plugged(self) -> Iterator[tuple[FieldPath, str]]:
        """Yield every text that names a planner or a policy, with its path."""
        for number, group in enumerate(self.nodes):
            yield ("nodes", number, "policy"), group.policy
        for number, kind in enumerate(self.users):
            yield ("users", number, "planner"), kind.planner
            if kind.device is not None:
                yield ("users", number, "device", "policy"), kind.device.policy

    def setting(self, path: str) -> str:
        """Return the `--set ...` that gave the value at a dotted path; empty when none did."""
        changed = self._places.settings
        return next((named(changed[at]) for at in changed if f"{path}.".startswith(f"{dotted(at)}.")), "")

    @cached_property
    def user_count(self) -> int:
        """How many users there will be."""
        listed = sum(group.count or 1 for group in self.nodes if group.tier == "client")
        given = sum(kind.count or (1 if kind.device else 0) for kind in self.users)
        taken = sum(kind.count or 0 for kind in self.users if not kind.device)
        open_ended = any(kind.count is None and not kind.device for kind in self.users)
        return given + (listed - taken if open_ended else 0)
