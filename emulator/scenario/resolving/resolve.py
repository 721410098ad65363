"""From a scenario to the world that runs: counts and ranges become machines, names become indices, units become SI."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from layerlift.emulator.scenario.resolving.catalog import Catalog, Priced, ProfileError, Shelf
from layerlift.emulator.scenario.resolving.faults import resolve_faults
from layerlift.emulator.scenario.resolving.links import links, media, pairs, places
from layerlift.emulator.scenario.resolving.machines import class_of, in_folder, scalings
from layerlift.emulator.scenario.resolving.machines import nodes as machines
from layerlift.emulator.scenario.resolving.users import population
from layerlift.emulator.scenario.schema import sections
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import MB, Flaw
from layerlift.emulator.scenario.schema.files import Files
from layerlift.emulator.world.machines import INF, NodeSpec
from layerlift.emulator.world.models import ModelSpec
from layerlift.emulator.world.users import PlanningSpec
from layerlift.emulator.world.world import World
from layerlift.models.errors import LayerliftError, Undecided
from layerlift.models.graph.graph import LayerGraph, Parameter


def resolve(scenario: Description, catalog: Catalog | None = None, files: Files | None = None) -> World:
    """Build the world. Raises `Flaw` for an unknown model, planner or profile, `ScenarioError` for no lookahead."""
    shelf, named = catalog or Shelf(), files or Files(scenario.folder)
    at = places(scenario)
    nodes = machines(scenario, at)
    users = population(scenario, nodes, shelf, named)
    index = {node.name: node.index for node in nodes}
    usual = links(scenario, at)
    faults, mobility = resolve_faults(scenario, nodes, at, users.made, named)
    place = scenario.planner
    off = place.predictions if isinstance(place.predictions, sections.ErrorSection) else None
    wrong = off or sections.ErrorSection()
    return World(
        name=scenario.name,
        seed=scenario.seed,
        nodes=tuple(nodes),
        links=usual,
        models=_models(scenario, users.models, nodes, shelf),
        users=users.made,
        planning=PlanningSpec(
            at=-1 if place.at == "client" else index[place.at],
            plan_s=place.plan_s,
            loopback_s=place.loopback_ms / 1000,
            bias=wrong.bias,
            sigma=wrong.sigma,
            server_sigma=wrong.server_sigma,
            predictions="error" if isinstance(place.predictions, sections.ErrorSection) else place.predictions,
            gather_s=place.gather_s,
            plan_timeout_s=_or_inf(place.plan_timeout_s),
            heartbeat_s=_or_inf(place.heartbeat_s),
            literal=place.literal,
            knows_load=place.knows_load,
            bandwidth_known=place.bandwidth_known,
        ),
        pairs=pairs(scenario, nodes, index, usual, at),
        media=media(scenario, at),
        share_links=scenario.share_links,
        until_s=_or_inf(scenario.until_s),
        sample_s=_or_inf(scenario.sample_s),
        header_bytes=scenario.header_bytes,
        resend_s=scenario.resend_ms / 1000,
        compute=scenario.compute,
        faults=faults,
        mobility=mobility,
        scaling=scalings(scenario),
    )


def _or_inf(value: float | None) -> float:
    return INF if value is None else value


def _machines(scenario: Description) -> dict[FieldPath, sections.MachineSection]:
    """The machines that the scenario describes, by the path of their section."""
    return {
        **{("nodes", i): group for i, group in enumerate(scenario.nodes)},
        **{("users", i, "device"): kind.device for i, kind in enumerate(scenario.users) if kind.device},
    }


def _models(
    scenario: Description, asked: list[tuple[str, FieldPath]], nodes: Sequence[NodeSpec], shelf: Catalog
) -> tuple[ModelSpec, ...]:
    classes = {node.profile: None for node in nodes if node.tier != "planner"}
    made = []
    for name, path in asked:
        source, options = model_source(scenario, name), model_options(scenario, name)
        try:
            priced = shelf.price(source, options, tuple(classes))
        except ProfileError as error:
            raise Flaw(*_blamed(scenario, error)) from None
        except Undecided as error:
            where = path if name not in scenario.models else ("models", name)
            raise Flaw(where, f"is {source!r}: {error.what}; set {error.setting(name)}") from None
        except LayerliftError as error:
            known = scenario.models.get(name)
            where = path if known is None else ("models", name, "source") if known.source else ("models", name)
            raise Flaw(where, f"is {source!r}: {error}") from None
        ghz, predicted_ghz = dict(priced.ghz), priced.predicted_ghz
        if scenario.reference_ghz is not None:
            predicted_ghz = scenario.reference_ghz
            if "reference" in ghz:
                ghz["reference"] = scenario.reference_ghz
        graph = charged(priced.graph, options)
        spec = ModelSpec(name, source, graph, priced.seconds, ghz, priced.digest, priced.floors)
        batching = {node.profile for node in nodes if node.discipline == "batch" and node.max_batch > 1}
        if batching:
            _can_batch(scenario, priced, name, batching)
            spec = replace(
                spec,
                batches={each: priced.batches[each] for each in sorted(batching)},
                floor_more_s={each: more for each, more in priced.floors_more.items() if each in batching},
            )
        if scenario.planner.predictions == "regression":
            spec = replace(
                spec,
                predicted_s=priced.predicted,
                predicted_ghz=predicted_ghz,
                unpredicted=priced.unpredicted,
                unpredicted_share=priced.unpredicted_share,
            )
        made.append(spec)
    return tuple(made)


def _can_batch(scenario: Description, priced: Priced, model: str, classes: Collection[str]) -> None:
    """Raise `Flaw` where a server is to batch a network that cannot, or whose batches cost nobody knows what."""
    for path, machine in _machines(scenario).items():
        if machine.discipline != "batch":
            continue
        if priced.unbatched:
            raise Flaw((*path, "discipline"), f"is batch, but {priced.unbatched}")
        own = class_of(scenario, machine.profile)
        if own in classes and own not in priced.batches:
            raise Flaw(
                (*path, "profile"),
                f"is {machine.profile!r}, which says nothing of several queries of {model} at once: measure them with "
                f"layerlift profile {model} --batch 1,2,4,8 -o FILE, and name that file",
            )


def _blamed(scenario: Description, error: ProfileError) -> tuple[FieldPath, str]:
    for path, machine in _machines(scenario).items():
        if class_of(scenario, machine.profile) == error.device_class:
            return (*path, "profile"), f"is {machine.profile!r}: {error}"
    return (), str(error)


def model_options(scenario: Description, name: str) -> sections.ModelSection:
    """Return the options of a model, the scenario's own `preprocess` and `alexnet_mb` included."""
    options = scenario.models.get(name, sections.ModelSection())
    if scenario.preprocess and "preprocess" not in options.model_fields_set:
        options = options.model_copy(update={"preprocess": scenario.preprocess})
    if scenario.alexnet_mb is not None and options.parameters_mb is None and "alexnet" in (name, options.source):
        return options.model_copy(update={"parameters_mb": scenario.alexnet_mb})
    return options


def model_source(scenario: Description, name: str) -> str:
    """Return what `models.load` takes: a zoo name as it is, a file from the scenario's folder."""
    given = scenario.models.get(name, sections.ModelSection()).source or name
    return in_folder(scenario, given) if given.endswith(".onnx") or "/" in given else given


def charged(graph: LayerGraph, options: sections.ModelSection) -> LayerGraph:
    """Return the graph whose bytes are charged: parameters scaled to `parameters_mb` exactly, the input overridden."""
    if options.parameters_mb is not None:
        graph = replace(graph, parameters=tuple(_scaled(graph.parameters, round(options.parameters_mb * MB))))
    return graph if options.input_bytes is None else graph.with_input_bytes(options.input_bytes)


def _scaled(parameters: Sequence[Parameter], total: int) -> Iterator[Parameter]:
    """Scale so that the uploads sum up to `total`: each takes its share of the running sum, rounded down."""
    whole = sum(p.upload_bytes for p in parameters)
    before = held_before = 0
    for p in parameters:
        after, held_after = before + p.upload_bytes, held_before + p.held_bytes
        yield replace(
            p,
            upload_bytes=after * total // whole - before * total // whole,
            held_bytes=held_after * total // whole - held_before * total // whole,
        )
        before, held_before = after, held_after
