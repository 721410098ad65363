"""What IONN and its successors printed, beside what is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from layerlift.emulator.report.formatting import seconds, share, size
from layerlift.emulator.studies.reproduce.ionn.runs import ORDERS, PAUSE_S, Upload, link_s, sum_s
from layerlift.emulator.studies.reproduce.reproduction import Finding, Outcome
from layerlift.models.running.network import Network

PRINTED: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "alexnet": (233, 28.7, 30.3, 30.7),
    "resnet50": (98, 12.1, 12.6, 13.0),
    "googlenet": (27, 3.9, 3.9, 4.4),
    "Inception (21,841 classes)": (129, 16.4, 16.7, 16.8),
    "MobileNet": (16, 2.3, 2.5, 2.8),
}
"""Table 1 and the upload times of IONN's text: MB, then the seconds of `UPLOADS`, in its order."""
MIB: Final = 2.0**20
_SAID_LOCAL_S: Final = 1.3
_SAID_UPLOAD_S: Final = 24.0


def findings(
    loaded: Mapping[str, Network], raced: Sequence[Upload], timed: Mapping[str, Sequence[Upload]]
) -> list[Finding]:
    """Each, in the order in which they are told."""
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
        "each improves on the one before: IONN on all at once, efficiency on IONN, recursive on efficiency (no "
        "numbers)",
        "IONN's text; the abstract of Shin et al.; of recursive, Xue et al., DNN Migration in IoTs, 2023",
        f"{direct}, {ionn_}, {efficiency}, {recursive} answers with {', '.join(map(str, parts))} pieces",
        "seen" if right else "in part" if direct < min(counts[1:]) else "not seen",
        "A finer order of the same bytes lets queries use the first of them earlier; what these queries carry makes "
        f"the upload {seconds(main['recursive'].client.ended_s - main['direct'].client.ended_s)} longer than "
        "direct's. Without a pause between queries they carry more, and by the end of the longest upload direct, "
        f"done earlier, has {hurried['direct'].by(hurried['direct'].until_s)} answers and recursive "
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
        "mean latency of a query begun at any time of the longest upload.",
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
        "so that the exception is not looked at.",
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
        "two transfers, as two streams of TCP would share it.",
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
                f"The order is {'the same' if alike else 'another'}; queries beside the upload add "
                f"{seconds(added[0])} here and {added[1]:.1f} s there (K = 0.5). All at once is "
                f"{seconds(printed[0] - here[0])} shorter here, where {size(uploads[0].client.parts[0][2])} take what "
                "the link needs and nothing else: building the model on the server and losses of the wireless link, "
                "of which no number was printed, may be in the printed times.",
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
        f"the text, and sum to {share(1 - local_s / _SAID_LOCAL_S)} less: queries are faster here than in the "
        "publication's figures.",
    )
