"""The sections of a scenario file: machines, links, users, the planner's place, models. Only shapes and units."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)

from layerlift.emulator.scenario.schema.arrivals import Arrival, AtOnce
from layerlift.emulator.scenario.schema.durations import Pause, Spell
from layerlift.emulator.scenario.schema.fields import (
    ASSUMED,
    NOTHING,
    Count,
    Flag,
    NonNegative,
    NonNegativeRange,
    Number,
    Positive,
    PositiveRange,
    Range,
    Section,
    Text,
    Whole,
    assume,
    clock_of_all,
    flaw,
)
from layerlift.emulator.scenario.schema.link_sections import MediumNames, one_rate
from layerlift.emulator.scenario.schema.loops.autoscale import AutoscaleSection
from layerlift.emulator.scenario.schema.loops.slow import Replan
from layerlift.models.errors import ModelError
from layerlift.models.graph.route import QueryMode
from layerlift.models.preprocess import pipeline

TIERS: Final = ("client", "edge", "cloud")


def _steps(given: Any) -> list[Any]:
    """Preprocessing as it was written, once it has been understood."""
    written = list(given) if isinstance(given, list | tuple) else [given]
    try:
        pipeline.parse(written)
    except ModelError as error:
        raise flaw((), f"is {given!r}: {str(error).removeprefix('preprocess: ')}") from None
    return written


StepList = Annotated[
    list[Any],
    PlainValidator(_steps),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "object"},
                {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}},
            ]
        }
    ),
]


def _names(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


NameList = Annotated[
    list[Text],
    BeforeValidator(_names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
M = TypeVar("M", "NodesSection", "DeviceSection")


class MachineSection(Section):
    """What a node is made of. A range `[low, high]` is spread over the members of the group."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["ghz"]}, {"required": ["ghz_per_core"]}]})

    ghz: PositiveRange | None = None
    """Over all cores."""
    ghz_per_core: PositiveRange | None = None
    """Of one core, in place of `ghz`."""
    cores: Count = assume(1)
    profile: Text = "reference"
    """The device class: `reference`, or the file of a profile (`layerlift profile`)."""
    discipline: Literal["sharing", "fifo", "batch"] = "sharing"
    policy: Text = "first_come"
    """Who is admitted, and what each of those gets."""
    share_models: Flag = False
    """Whether users of one model share what is stored of it."""
    memory_mb: PositiveRange | None = assume(None, f"{ASSUMED}: unlimited")
    load_s_per_mb: NonNegative = assume(0.0)
    idle_w: NonNegativeRange | None = None
    compute_w: NonNegativeRange | None = None
    """More than idle while computing (client); drawn by a busy core (server)."""
    radio_w: NonNegativeRange | None = None
    price_per_core_hour: NonNegativeRange = assume(NOTHING, f"{ASSUMED}: not charged")
    price_per_gb_hour: NonNegativeRange = assume(NOTHING, f"{ASSUMED}: not charged")
    """Of memory that holds parameters."""
    uplink_mb_s: PositiveRange | None = assume(None, f"{ASSUMED}: unlimited")
    downlink_mb_s: PositiveRange | None = assume(None, f"{ASSUMED}: unlimited")
    uplink_mbit_s: PositiveRange | None = None
    """Instead of `uplink_mb_s`."""
    downlink_mbit_s: PositiveRange | None = None
    """Instead of `downlink_mb_s`."""
    behind: MediumNames | None = None
    """The shared medium that it is behind; of several, members of the group get them in turn."""
    battery_j: PositiveRange | None = None
    spread: Literal["even", "random"] = "even"
    """How a range is spread: evenly, both ends included, or drawn from the seed."""

    @property
    def clock(self) -> Range:
        """GHz over all cores, however they were given."""
        given = self.ghz if self.ghz is not None else clock_of_all(self.ghz_per_core, self.cores)
        assert given is not None
        return given

    @model_validator(mode="after")
    def _one_clock(self) -> MachineSection:
        if self.ghz is None and self.ghz_per_core is None:
            raise flaw(("ghz",), "is missing")
        wanted = clock_of_all(self.ghz_per_core, self.cores)
        if self.ghz is not None and wanted is not None and not wanted.alike(self.ghz):
            raise flaw(
                ("ghz_per_core",),
                f"is {self.ghz_per_core} with {self.cores} cores, {wanted} over all of them, but ghz "
                f"is {self.ghz}: expected one of the two, or both alike",
            )
        return self

    @model_validator(mode="after")
    def _one_unit(self) -> MachineSection:
        one_rate(self, "uplink")
        one_rate(self, "downlink")
        return self


class NodesSection(MachineSection):
    """One node by `name`, or `count` alike (numbered through `names`, a pattern such as `r{}`)."""

    tier: Literal["client", "edge", "cloud"]
    name: Text | None = None
    count: Count | None = None
    names: Text | None = None
    off_w: NonNegativeRange = NOTHING
    """Drawn by a server that is down after a crash, or switched off."""
    autoscale: AutoscaleSection | None = None
    """Servers of the group are switched on and off as they are used; null: all are always on."""
    max_batch: Count | None = None
    """With `discipline: batch`, how many queries of one network run together at most."""
    batch_wait_ms: NonNegative | None = None
    """With `discipline: batch`, how long the first of them waits for company at most; null: not at all."""

    @model_validator(mode="after")
    def _scaled(self) -> NodesSection:
        if self.autoscale is not None:
            self.autoscale.suits(self.tier, self.count or 1)
        return self

    @model_validator(mode="after")
    def _where_it_counts(self) -> NodesSection:
        if self.tier == "client" and self.off_w != NOTHING:
            raise flaw(("off_w",), "is given for a client, which never crashes: expected it for servers only")
        if self.tier != "client" and self.battery_j is not None:
            raise flaw(("battery_j",), "is given for a server, which hangs on a wire: expected it for clients only")
        return self

    @model_validator(mode="after")
    def _batches(self) -> NodesSection:
        if self.discipline == "batch":
            if self.tier == "client":
                raise flaw(("discipline",), "is batch for a client, which runs one user's queries: expected a server")
            if self.max_batch is None:
                raise flaw(("max_batch",), "is missing: discipline batch needs how many queries may run together")
            return self
        for name in ("max_batch", "batch_wait_ms"):
            if getattr(self, name) is not None:
                raise flaw((name,), f"is given, but discipline is {self.discipline}: expected discipline: batch")
        return self

    @model_validator(mode="after")
    def _one_or_many(self) -> NodesSection:
        if self.name is not None and (self.count is not None or self.names is not None):
            raise flaw(("name",), "is given beside `count` or `names`: expected one node by name or many by count")
        return _numbered(self)


class DeviceSection(MachineSection):
    """The client machines that a kind of users brings along, one per user."""

    names: Text | None = None

    @model_validator(mode="after")
    def _pattern(self) -> DeviceSection:
        if self.discipline == "batch":
            raise flaw(("discipline",), "is batch for a device, which runs one user's queries: expected it for servers")
        return _numbered(self)


def _numbered(section: M) -> M:
    if section.names is not None and section.names.count("{}") != 1:
        raise flaw(("names",), f"is {section.names!r}, expected a pattern with one {{}} for the number, such as r{{}}")
    return section


class ObjectiveSection(Section):
    """What plans are judged by: weights, and constraints."""

    latency: NonNegative = 1.0
    energy: NonNegative = 0.0
    money: NonNegative = 0.0
    balance: NonNegative = 0.0
    deadline_s: Positive | None = None
    budget: Positive | None = None
    """Money (USD) per query."""
    period: NonNegative = 0.0
    """Of the busiest CPU, link or port's seconds per query: what a stream can sustain."""
    coordination: NonNegative = 0.0
    """Of what the coupling coordination degree of latency, energy and money lacks of 1."""

    @model_validator(mode="after")
    def _something(self) -> ObjectiveSection:
        if self.latency + self.energy + self.money + self.balance + self.period + self.coordination <= 0:
            raise flaw(("latency",), "and all other weights are 0: expected at least one above 0")
        return self


class SharedObjectiveSection(ObjectiveSection):
    """One of several objectives among which a kind's users are dealt by the seed."""

    share: Positive = 1.0
    """Relative to the shares of the others."""


def _objectives(value: Any) -> str:
    return "<mix>" if isinstance(value, list | tuple) else "<one>"


Objectives = Annotated[
    Annotated[ObjectiveSection, Tag("<one>")]
    | Annotated[Annotated[tuple[SharedObjectiveSection, ...], Field(min_length=1)], Tag("<mix>")],
    Discriminator(_objectives),
]


def _mix(value: Any) -> Any:
    return {value: 1.0} if isinstance(value, str) else value


_MIX: Final = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 500},
        {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}, "minProperties": 1},
    ]
}


def _one(value: Any) -> Any:
    return "one" if value == 1 and not isinstance(value, bool) else value


def _also(*values: Any) -> WithJsonSchema:
    """Tell editors of words for which YAML may hold something else."""
    return WithJsonSchema({"enum": list(values)})


def _true(value: Any) -> Any:
    return "true" if value is True else value


class UsersSection(Section):
    """One kind of users: alike but for drawn numbers. Without `device` they take the listed client nodes, in order."""

    kind: Text | None = None
    count: Count | None = None
    model: Annotated[dict[Text, Positive], BeforeValidator(_mix), Field(min_length=1), WithJsonSchema(_MIX)]
    """A zoo name, a key of `models`, a file, or a mix of them with weights."""
    planner: Text = "local"
    objective: Objectives = ObjectiveSection()
    weight: Positive = 1.0
    """Priority, for policies that know one."""
    arrival: Arrival = AtOnce()
    stay_s: Spell | None = None
    """From its arrival; then it asks nothing new, waits for what is under way and leaves. Null: until it is done."""
    queries: Count | None = None
    asks: Arrival | None = None
    """When each user's questions come, from its start of asking on; null: back to back, after `think_s`."""
    think_s: Pause = assume(0.0)
    in_flight: Count = 1
    """How many queries of a user may be under way at once."""
    queue: Whole | None = None
    """How many of its questions may wait for that; null: any number."""
    late: Literal["keep", "drop"] = "keep"
    """Whether waiting questions keep their turn, or the freshest takes the place of all that wait."""
    device: DeviceSection | None = None
    profile_runs: Whole = assume(1)
    query: QueryMode = "dataflow"
    uploads_at_once: Annotated[Literal["one", "per_server"], BeforeValidator(_one), _also(1, "one", "per_server")] = (
        "one"
    )
    cr_timeout_s: Positive | None = None
    retries: Whole = assume(5)
    on_refusal: Literal["wait", "skip", "replan"] = "skip"
    retry_wait_s: Positive = assume(1.0)
    backoff_s: Positive = assume(0.5)
    """Before an upload that failed is tried again; doubles with each failure in a row."""
    resume: Flag = False
    """Whether it goes on at the byte where it stopped."""
    replan: Replan = "never"


class ErrorSection(Section):
    """Predictions of server seconds that are off by a relative bias and relative standard deviations."""

    bias: Annotated[Number, Field(gt=-1)] = 0.0
    sigma: NonNegative = 0.0
    """Of each layer on each server: over many layers these errors cancel."""
    server_sigma: NonNegative = 0.0
    """Of each server, drawn once for all layers on it: these do not."""


def _predictions(value: Any) -> str:
    return "<word>" if isinstance(value, str) else "<error>"


Predictions = Annotated[
    Annotated[Literal["exact", "regression"], Tag("<word>")] | Annotated[ErrorSection, Tag("<error>")],
    Discriminator(_predictions),
]


class PlanningSection(Section):
    """Where plans are made, what making one costs on the emulated clock, and what the planner is told."""

    at: Text = "client"
    """`client` (the paper's: with each client) or the name of a node."""
    plan_s: NonNegative = assume(0.0)
    loopback_ms: Positive = assume(1.0)
    """Between a client and the planner that lives with it."""
    gather_s: NonNegative | None = None
    """How long a planner that can plan users jointly waits for others after a request; null: it plans each alone."""
    predictions: Predictions = assume("exact")
    plan_timeout_s: Positive | None = None
    heartbeat_s: Positive | None = None
    """How often each server tells the planner its load; null: never."""
    literal: Flag = False
    """Whether plans are followed as they were made, with parts that move next to nothing; else those join another."""
    knows_load: Flag = True
    """Whether problems carry the servers' load and offers, or show them idle."""
    bandwidth_known: Annotated[
        Literal["true", "nominal", "measured"], BeforeValidator(_true), _also(True, "true", "nominal", "measured")
    ] = "true"


FixedNumber = Flag | Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] | Number
FixedInput = FixedNumber | Annotated[list[FixedNumber], Field(min_length=1, max_length=8192)]


class ModelSection(Section):
    """Options of a network: where it is, and what its bytes are charged as."""

    source: Text | None = None
    """A zoo name or a file; the key under `models` when left out."""
    parameters_mb: Positive | None = None
    """Charge the parameters as this many MB in all (the paper prints 223 for AlexNet)."""
    input_bytes: Annotated[int, Field(strict=True, ge=1, le=10**12)] | None = None
    """Charge the input as this (a camera sends a JPEG, not floats)."""
    dims: dict[Text, Whole] = Field(default_factory=dict)
    """Sizes of the dynamic dimensions of the inputs, by name, or by input and axis (`x:2`).

    0 stands for a cache that holds nothing yet.
    """
    fix: dict[Text, FixedInput] = Field(default_factory=dict)
    """Inputs that are constants: one number for all elements of each, or a list of them."""
    output: NameList = Field(default_factory=list)
    """The tensors at which a file is to end, in place of its own outputs: one name or several."""
    weights_seed: Whole = 0
    """Of a zoo network's weights."""
    spectrum: Annotated[float, Field(strict=True, gt=0, le=4)] | None = None
    """Decay of a zoo network's singular values (0.8 resembles trained ones); full-rank when left out."""
    inputs: Text | None = None
    """A .npz file, or a folder of .npy files, with an array for each input; made-up ones when left out."""
    preprocess: StepList = Field(default_factory=list)
    """What is done to the network before it is planned: steps as `layerlift preprocess` takes them."""
