"""From the links of a scenario to those of a world: media in the order in which they lie behind each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layerlift.emulator.scenario.resolving.transports import transport_of
from layerlift.emulator.scenario.schema.description import Description
from layerlift.emulator.scenario.schema.document import FieldPath
from layerlift.emulator.scenario.schema.fields import GB, Flaw
from layerlift.emulator.scenario.schema.link_sections import LinkSection, MediumSection, PairSection
from layerlift.emulator.world.links import IDEAL, Crossing, LinkSpec, MediumSpec
from layerlift.emulator.world.machines import NodeSpec


def places(scenario: Description) -> dict[str, int]:
    """The place of each shared medium in `World.media`: as listed, but after the one that it is behind."""
    order: dict[str, None] = {}
    for name in scenario.media:
        chain: list[str] = []
        medium: str | None = name
        while medium is not None and medium not in order:
            chain.append(medium)
            medium = scenario.media[medium].behind
        order.update(dict.fromkeys(reversed(chain)))
    return {name: place for place, name in enumerate(order)}


def media(scenario: Description, at: Mapping[str, int]) -> tuple[MediumSpec, ...]:
    """The shared media; `at` has their places."""
    return tuple(_medium(name, scenario.media[name], at) for name in at)


def _medium(name: str, section: MediumSection, at: Mapping[str, int]) -> MediumSpec:
    transport = transport_of(section, IDEAL)
    return MediumSpec(
        name,
        section.bytes_s("up") * transport.efficiency,
        section.bytes_s("down") * transport.efficiency,
        section.latency_ms / 1000,
        section.price_per_gb / GB,
        -1 if section.behind is None else at[section.behind],
        transport,
    )


def links(scenario: Description, at: Mapping[str, int]) -> dict[tuple[str, str], LinkSpec]:
    """The links between tiers; `at` has the places of media."""
    made: dict[tuple[str, str], LinkSpec] = {}
    for key, link in scenario.links.items():
        a, _, b = key.partition("-")
        made[a, b] = _link(link, _ups(link.via, at))
        if f"{b}-{a}" not in scenario.links:
            # Between two of one tier no end is the first: both ways go up.
            made[b, a] = made[a, b] if a == b else _link(link, _backwards(made[a, b].via))
    return made


def pairs(
    scenario: Description,
    nodes: Sequence[NodeSpec],
    index: Mapping[str, int],
    usual: Mapping[tuple[str, str], LinkSpec],
    at: Mapping[str, int],
) -> dict[tuple[int, int], LinkSpec]:
    """The links of pairs that differ from `usual`, those of their tiers. Raises `Flaw` for one that lacks something."""
    made: dict[tuple[int, int], LinkSpec] = {}
    for number, pair in enumerate(scenario.pairs):
        a, b = (index[name] for name in pair.between)
        via = None if pair.via is None else _ups(pair.via, at)
        for ends in ((a, b),) if pair.one_way else ((a, b), (b, a)):
            base = made.get(ends) or usual.get((nodes[ends[0]].tier, nodes[ends[1]].tier))
            crossed = via if via is None or ends == (a, b) else _backwards(via)
            made[ends] = _changed(base, pair, crossed, ("pairs", number))
    return made


def _link(link: LinkSection, via: tuple[Crossing, ...]) -> LinkSpec:
    transport = transport_of(link, IDEAL)
    carried_bytes_s = (link.bandwidth_bytes_s or 0.0) * transport.efficiency
    return LinkSpec(link.latency_ms / 1000, carried_bytes_s, link.price_per_gb / GB, via, transport)


def _ups(names: Sequence[str], at: Mapping[str, int]) -> tuple[Crossing, ...]:
    return tuple(Crossing(at[name], "up") for name in names)


def _backwards(via: Sequence[Crossing]) -> tuple[Crossing, ...]:
    return tuple(crossing.back for crossing in reversed(via))


def _changed(usual: LinkSpec | None, pair: PairSection, via: tuple[Crossing, ...] | None, path: FieldPath) -> LinkSpec:
    rate = pair.bandwidth_bytes_s
    for name, given in (("bandwidth_mb_s", rate), ("latency_ms", pair.latency_ms)):
        if usual is None and given is None:
            raise Flaw((*path, name), "is missing, and `links` says nothing of these tiers either")
    base = usual or LinkSpec(0.0, 0.0)
    transport = transport_of(pair, base.transport)
    if rate is not None:
        carried_bytes_s = rate * transport.efficiency
    elif transport.efficiency == base.transport.efficiency:
        carried_bytes_s = base.bandwidth_bytes_s
    else:
        carried_bytes_s = base.bandwidth_bytes_s / base.transport.efficiency * transport.efficiency
    return LinkSpec(
        base.latency_s if pair.latency_ms is None else pair.latency_ms / 1000,
        carried_bytes_s,
        base.price_per_byte if pair.price_per_gb is None else pair.price_per_gb / GB,
        base.via if via is None else via,
        transport,
    )
