"""IONN (SoCC 2018) again, on the rows that its authors published: what is answered while a network is uploaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from layerlift.emulator.report.formatting import seconds, share, size
from layerlift.emulator.studies.reproduce import ionn_charts
from layerlift.emulator.studies.reproduce.delays import ClientDelays, sight
from layerlift.emulator.studies.reproduce.ionn_rows import CLASSES, mapped, published
from layerlift.emulator.studies.reproduce.reproduction import (
    Done,
    Emulator,
    Finding,
    Outcome,
    Reproduction,
    Table,
    nothing,
)
from layerlift.models.errors import RunError, near
from layerlift.models.loading.load import load
from layerlift.models.running.network import Network
from layerlift.models.sums import left_sum

PUBLICATION: Final = (
    "Jeong, Lee, Shin, Moon: IONN, Incremental Offloading of Neural Network Computations from Mobile Devices to Edge "
    "Servers, SoCC 2018, doi:10.1145/3267809.3267828; and Shin, Jeong, Moon, EMDL 2019, doi:10.1145/3325413.3329788"
)
MBIT_S: Final = 80.0
"""The bandwidth of IONN's wireless link."""
PAUSE_S: Final = 0.5
"""What its client spends on an image between two queries."""
ORDERS: Final = ("direct", "ionn", "efficiency", "recursive")
UPLOADS: Final = {"all at once": "all_remote", "K = 0.1": "ionn:factor=0.1", "K = 0.5": "ionn"}
PRINTED: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "alexnet": (233, 28.7, 30.3, 30.7),
    "resnet50": (98, 12.1, 12.6, 13.0),
    "googlenet": (27, 3.9, 3.9, 4.4),
    "Inception (21,841 classes)": (129, 16.4, 16.7, 16.8),
    "MobileNet": (16, 2.3, 2.5, 2.8),
}
"""Table 1 and the upload times of IONN's text: MB, then the seconds of `UPLOADS`, in its order."""
_MIB: Final = 2.0**20
_SAID_LOCAL_S: Final = 1.3
_SAID_UPLOAD_S: Final = 24.0


@dataclass(frozen=True, slots=True)
class Upload:
    """One run: a lone user and its upload."""

    network: str
    planner: str
    links: str
    """`shared`, as on a real link, or `independent`, as planners reckon."""
    pause_s: float
    client: ClientDelays
    until_s: float = 0.0
    """The end of the longest upload that it is compared with."""

    @property
    def during(self) -> int:
        """Queries answered while its own upload lasted."""
        return self.by(self.client.ended_s)

    def by(self, until_s: float) -> int:
        """Queries answered between the beginning of the upload and a second of it."""
        return len([at for at in self.client.answered_s if 0.0 < at <= until_s])

    @property
    def delay_s(self) -> float:
        """The mean latency of a query begun at any time up to `until_s`."""
        return self.client.delay().area(self.until_s) / self.until_s

    def last_state_s(self) -> float:
        """The slowest query that began while the last part was under way; 0 where none did."""
        seen = self.client.seen.get(len(self.client.parts) - 1, ())
        return max((latency_s for begun_s, latency_s in seen if begun_s >= 0.0), default=0.0)


def world(network: str, planner: str, until_s: float, pause_s: float = PAUSE_S, shared: bool = True) -> dict[str, Any]:
    """IONN's test bed: the board, the server with the graphics card, and the link between them."""
    device = {"ghz": 2.0, "profile": CLASSES["client"]}
    user = {"device": device, "model": network, "planner": planner, "think_s": pause_s, "profile_runs": 0}
    return {
        "nodes": [{"tier": "edge", "name": "server", "ghz": 1.0, "profile": CLASSES["server"]}],
        "links": {"client-edge": {"bandwidth_mbit_s": MBIT_S, "latency_ms": 1}},
        "users": [user],
        "share_links": shared,
        "until_s": until_s,
    }


def ionn(networks: Sequence[str] = ("alexnet", "resnet50", "googlenet"), done: Done = nothing) -> Reproduction:
    """Reproduce it for some of the networks whose rows can be mapped; `done` is called after every run.

    Raises `RunError` for another network, and what a run raises.
    """
    check(networks)
    loaded = {name: load(name) for name in networks}
    emulate = Emulator(done)
    first = networks[0]
    raced = [
        race
        for links, pause_s in (("shared", PAUSE_S), ("shared", 0.0), ("independent", PAUSE_S))
        for race in _race(emulate, loaded[first], ORDERS, links, pause_s)
    ]
    timed = {name: _race(emulate, network, tuple(UPLOADS.values()), "shared") for name, network in loaded.items()}
    return _told(loaded, raced, timed, emulate.runs)


def check(networks: Sequence[str]) -> None:
    """Raise `RunError` for a network whose rows were not published."""
    known = published()["networks"]
    for name in networks:
        if name not in known:
            raise RunError(f"--models names {name!r}, whose rows IONN did not publish{near(name, known)}")


def run_count(networks: Sequence[str]) -> int:
    """How many runs `ionn` makes of these networks."""
    return 3 * len(ORDERS) + len(UPLOADS) * len(networks)


def link_s(count: float) -> float:
    """Seconds that the link alone needs for so many bytes."""
    return count * 8 / (MBIT_S * 1e6)


def _race(
    emulate: Emulator, network: Network, planners: Sequence[str], links: str, pause_s: float = PAUSE_S
) -> list[Upload]:
    """The same world under several planners, compared up to the end of the longest upload."""
    held_bytes = network.graph.held_bytes([layer.index for layer in network.graph.layers])
    until_s = 2.0 * link_s(held_bytes) + 12.0
    made = []
    for planner in planners:
        label = f"{network.name}, {planner}, {links} link, pause {pause_s:g} s"
        found = sight(emulate(label, world(network.name, planner, until_s, pause_s, links == "shared")))
        if not found.complete:
            raise RunError(f"the upload of {label} had not ended after {until_s:g} virtual seconds")
        made.append(Upload(network.name, planner, links, pause_s, found.clients[0]))
    longest_s = max(each.client.ended_s for each in made)
    return [Upload(u.network, u.planner, u.links, u.pause_s, u.client, longest_s) for u in made]


def _told(
    loaded: Mapping[str, Network],
    raced: Sequence[Upload],
    timed: Mapping[str, Sequence[Upload]],
    runs: Mapping[str, str],
) -> Reproduction:
    first = next(iter(loaded))
    main = {each.planner: each for each in raced if each.links == "shared" and each.pause_s == PAUSE_S}
    counts = {name: each.by(each.until_s) for name, each in main.items()}
    answer = (
        f"While {first} is uploaded over {MBIT_S:g} Mbit/s a user of IONN's board has {_listed(counts)} answers by "
        "the end "
        f"of the longest upload, from {_listed({name: len(each.client.parts) for name, each in main.items()})} "
        "pieces (direct, IONN, efficiency, recursive)."
    )
    return Reproduction(
        name="ionn",
        title="IONN: queries while a network is uploaded",
        publication=PUBLICATION,
        answer=answer,
        setting=_setting(loaded, raced),
        findings=tuple(_findings(loaded, raced, timed)),
        tables=(_orders(raced), _completions(timed), _mapping(loaded)),
        caption=f"Queries answered during the upload of {first}; dots: confirmed parts",
        picture=ionn_charts.answers(list(main.values())),
        unverified=(
            "Queries answered per planner and pieces per planner: IONN draws the course of query times (its Figure "
            "7) and "
            "prints no number of it; the text of Shin et al. is not public, so that their order is known from the code "
            "that they released.",
            "The 55 % of Shin et al.: the abstract says neither of which network nor of which measure.",
            "The times of single layers behind the text's 1.3 s: the rows that were published are others.",
        ),
        numbers=tuple(_numbers([*raced, *(each for some in timed.values() for each in some)])),
        runs=runs,
    )


def _listed(values: Mapping[str, int]) -> str:
    return ", ".join(str(value) for value in values.values())


def _numbers(uploads: Sequence[Upload]) -> list[dict[str, Any]]:
    return [
        {
            "network": each.network,
            "planner": each.planner,
            "links": each.links,
            "pause_s": each.pause_s,
            "parts_bytes": [part[2] for part in each.client.parts],
            "uploaded_s": each.client.ended_s,
            "answered_during": each.during,
            "compared_until_s": each.until_s,
            "answered_until": each.by(each.until_s),
            "mean_delay_s": each.delay_s,
        }
        for each in uploads
    ]


def _setting(loaded: Mapping[str, Network], raced: Sequence[Upload]) -> tuple[str, ...]:
    return (
        f"A board (the shipped device class {CLASSES['client']}, 2.0 GHz) asks again and again; a server "
        f"({CLASSES['server']}) is reached over one link of {MBIT_S:g} Mbit/s, both ways, 1 ms each (the 1 ms is the "
        "publication's, of its edge server).",
        f"Between two queries pass {PAUSE_S:g} s, in which IONN's client prepares the next image; where it says 0 s, "
        "none.",
        "Shared link: what queries carry and what is uploaded share it, as in IONN's test bed. Independent: each has "
        "all of "
        "it, as all these planners reckon.",
        "Emulated without executing layers; nobody profiles first; planning takes no virtual time; the upload begins "
        "with the first part. Building a part on the server takes nothing (load_s_per_mb: 0), for no number of it "
        "was printed.",
        f"The rows are of {published()['source'].split(',')[0]}, commit {published()['commit'][:8]}; numbers are "
        "facts, its "
        "code is not used. A query's input is the network's, in single precision.",
        f"Penalties of IONN: seven powers of K, then 0 (K = 0.5 unless it says otherwise). {len(raced)} runs race, "
        f"{len(UPLOADS) * len(loaded)} time uploads.",
    )


def _findings(
    loaded: Mapping[str, Network], raced: Sequence[Upload], timed: Mapping[str, Sequence[Upload]]
) -> list[Finding]:
    first = next(iter(loaded))
    main = {each.planner: each for each in raced if each.links == "shared" and each.pause_s == PAUSE_S}
    hurried = {each.planner: each for each in raced if each.links == "shared" and each.pause_s == 0.0}
    made = [_order(main, hurried), _gain(main), _more(timed), _slower(raced), *_times(timed)]
    if first == "alexnet":
        made.append(_alone(loaded[first]))
    return made


def _order(main: Mapping[str, Upload], hurried: Mapping[str, Upload]) -> Finding:
    counts = [main[name].by(main[name].until_s) for name in ORDERS]
    direct, ionn_, efficiency, recursive = counts
    parts = [len(main[name].client.parts) for name in ORDERS]
    right = direct < ionn_ <= efficiency < recursive
    return Finding(
        "Queries answered during the upload: the order of the four",
        "direct fewest, then IONN, efficiency, recursive",
        "Shin et al., the order of their released algorithms; IONN, Figure 7",
        f"{direct}, {ionn_}, {efficiency}, {recursive} answers with {', '.join(map(str, parts))} pieces",
        "seen" if right else "in part" if direct < min(counts[1:]) else "not seen",
        "A finer order of the same bytes lets queries use the first of them earlier; what these queries carry makes "
        "the upload "
        f"{seconds(main['recursive'].client.ended_s - main['direct'].client.ended_s)} longer than direct's. Without "
        "a pause "
        "between queries they carry more, and by the end of the longest upload direct, done earlier, has "
        f"{hurried['direct'].by(hurried['direct'].until_s)} answers and recursive "
        f"{hurried['recursive'].by(hurried['recursive'].until_s)}.",
    )


def _gain(main: Mapping[str, Upload]) -> Finding:
    one, other = main["ionn"].delay_s, main["recursive"].delay_s
    return Finding(
        "Query performance of recursive during the upload, against IONN",
        "improved by as much as 55 %",
        "Shin et al., the abstract",
        f"mean latency {seconds(other)} against {seconds(one)}, {share(1 - other / one)} less",
        "in part" if other < one else "not seen",
        "The direction is the same. The abstract's best case is of an unnamed network and measure; here it is the "
        "mean latency "
        "of a query begun at any time of the longest upload.",
    )


def _more(timed: Mapping[str, Sequence[Upload]]) -> Finding:
    said, better = [], []
    for name, (whole, _, half) in timed.items():
        counts = [each.by(each.until_s) for each in (whole, half)]
        said.append(f"{name} {counts[1]} against {counts[0]}")
        better.append(counts[1] > counts[0])
    return Finding(
        "IONN (K = 0.5) answers more queries than uploading all at once",
        "for all networks but MobileNet",
        "IONN, the text",
        "; ".join(said),
        "seen" if all(better) else "in part" if any(better) else "not seen",
        "Both are counted up to the end of the longer upload. MobileNet is not in the zoo (its second version is), "
        "so that the "
        "exception is not looked at.",
    )


def _slower(raced: Sequence[Upload]) -> Finding:
    shared, alone = (
        next(each for each in raced if each.planner == "ionn" and each.links == links and each.pause_s == PAUSE_S)
        for links in ("shared", "independent")
    )
    outcome: Outcome = "seen" if shared.last_state_s() > 1.001 * alone.last_state_s() else "not seen"
    return Finding(
        "A query takes longer while the large last piece is uploaded",
        "the time of queries rises, for both use the link",
        "IONN, the text",
        f"at worst {seconds(shared.last_state_s())} on the shared link, {seconds(alone.last_state_s())} if each had "
        "it alone",
        outcome,
        "IONN's planner and its three successors reckon with an idle link. The emulated link is shared fairly by the "
        "two "
        "transfers, as two streams of TCP would share it.",
    )


def _times(timed: Mapping[str, Sequence[Upload]]) -> list[Finding]:
    made = []
    for name, uploads in timed.items():
        _, *printed = PRINTED[name]
        here = [each.client.ended_s for each in uploads]
        added = [here[2] - here[0], printed[2] - printed[0]]
        alike = here[0] < here[1] <= here[2]
        made.append(
            Finding(
                f"Upload of {name}: all at once, K = 0.1, K = 0.5",
                ", ".join(f"{value:.1f} s" for value in printed),
                "IONN, the table of upload times",
                ", ".join(seconds(value) for value in here),
                "in part" if alike else "not seen",
                f"The order is {'the same' if alike else 'another'}, and what queries add is near (K = 0.5: "
                f"{seconds(added[0])} here, {added[1]:.1f} s printed). All at once is "
                f"{seconds(printed[0] - here[0])} shorter here, where {size(uploads[0].client.parts[0][2])} take "
                "what the "
                "link needs: the printed times also hold what the server spends on building the model and what the "
                "wireless link loses, of which no number was printed.",
            )
        )
    return made


def _alone(network: Network) -> Finding:
    local_s = sum_s(network)
    upload_s = link_s(network.graph.held_bytes([layer.index for layer in network.graph.layers]))
    return Finding(
        "AlexNet on the board alone; its upload",
        f"{_SAID_LOCAL_S:g} s; about {_SAID_UPLOAD_S:g} s",
        "IONN, the text",
        f"{seconds(local_s)}; {seconds(upload_s)}",
        "in part" if abs(upload_s - _SAID_UPLOAD_S) < 1.0 else "not seen",
        "The upload is the link's arithmetic on both sides. The rows in the repository are of a later profile than "
        "the text, and "
        f"sum to {share(1 - local_s / _SAID_LOCAL_S)} less: queries are faster here than in the publication's figures.",
    )


def sum_s(network: Network) -> float:
    """What the whole network takes on the board."""
    return left_sum(mapped(network).seconds["client"])


def _orders(raced: Sequence[Upload]) -> Table:
    names = {"direct": "Direct", "ionn": "IONN", "efficiency": "Efficiency", "recursive": "Recursive"}
    return Table(
        f"{raced[0].network} under the four planners",
        (
            "link, pause",
            "planner",
            "pieces",
            "uploaded after",
            "answers in it",
            "longest",
            "answers in that",
            "mean latency",
        ),
        tuple(
            (
                f"{each.links}, {each.pause_s:g} s" if each.planner == ORDERS[0] else "",
                names[each.planner],
                str(len(each.client.parts)),
                seconds(each.client.ended_s),
                str(each.during),
                seconds(each.until_s),
                str(each.by(each.until_s)),
                seconds(each.delay_s),
            )
            for each in raced
        ),
        "Answers in it: during its own upload; then up to the end of the longest of the four, over which the mean "
        "latency of a "
        "query begun at any time is taken, too.",
    )


def _completions(timed: Mapping[str, Sequence[Upload]]) -> Table:
    rows = []
    for name, (printed_mb, *printed) in PRINTED.items():
        if name in timed:
            here = [seconds(each.client.ended_s) for each in timed[name]]
            parts = [str(len(each.client.parts)) for each in timed[name]]
        else:
            here, parts = ["not emulated"] * 3, ["-"] * 3
        alone = seconds(link_s(printed_mb * _MIB))
        rows += [
            (name if number == 0 else "", how, parts[number], f"{printed[number]:.1f} s", here[number], alone)
            for number, how in enumerate(UPLOADS)
        ]
    return Table(
        "Upload times",
        ("network", "how", "pieces here", "published", "here", "the link alone, for the printed MB"),
        tuple(rows),
        "Not emulated: networks that are not asked for, or that the zoo does not have (Inception with 21,841 classes, "
        "MobileNet of the first version); their rows find no layers.",
    )


def _mapping(loaded: Mapping[str, Network]) -> Table:
    rows = []
    for name, network in loaded.items():
        found = mapped(network)
        rows.append(
            (
                name,
                str(len(network.graph)),
                str(len(network.graph) - len(found.without)),
                str(len(found.strange)),
                *(share(found.lost(side)) for side in ("client", "server")),
            )
        )
    return Table(
        "How the published rows map",
        ("network", "layers", "with a row", "rows without a layer", "their time: board", "server"),
        tuple(rows),
        "Layers without a row reshape, which Caffe does without a layer: they take nothing. Rows without a layer are "
        "the input "
        "and Caffe's copies; a row of scaling belongs to the normalisation before it.",
    )
