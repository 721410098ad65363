"""IONN (SoCC 2018) again: what is answered while a network is uploaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from layerlift.emulator.studies.reproduce.ionn import charts
from layerlift.emulator.studies.reproduce.ionn.findings import findings
from layerlift.emulator.studies.reproduce.ionn.rows import CLASSES, published
from layerlift.emulator.studies.reproduce.ionn.runs import MBIT_S, ORDERS, PAUSE_S, UPLOADS, Upload, uploads_under
from layerlift.emulator.studies.reproduce.ionn.tables import completion_table, mapping_table, order_table
from layerlift.emulator.studies.reproduce.reproduction import Done, Emulator, Reproduction, nothing
from layerlift.models.errors import RunError, near
from layerlift.models.loading.load import load
from layerlift.models.running.network import Network

PUBLICATION: Final = (
    "Jeong, Lee, Shin, Moon: IONN, Incremental Offloading of Neural Network Computations from Mobile Devices to Edge "
    "Servers, SoCC 2018, doi:10.1145/3267809.3267828; and Shin, Jeong, Moon, EMDL 2019, doi:10.1145/3325413.3329788"
)


def ionn(networks: Sequence[str] = ("alexnet", "resnet50", "googlenet"), done: Done = nothing) -> Reproduction:
    """Reproduce it for some of the networks whose rows can be mapped; `done` is called after every run.

    Raises `RunError` for another network, and what a run raises.
    """
    check(networks)
    loaded = {name: load(name) for name in networks}
    emulate = Emulator(done)
    first = networks[0]
    raced = [
        each
        for links, pause_s in (("shared", PAUSE_S), ("shared", 0.0), ("independent", PAUSE_S))
        for each in uploads_under(emulate, loaded[first], ORDERS, links, pause_s)
    ]
    timed = {
        name: uploads_under(emulate, network, tuple(UPLOADS.values()), "shared") for name, network in loaded.items()
    }
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
        "the end of the longest upload, from "
        f"{_listed({name: len(each.client.parts) for name, each in main.items()})} pieces (direct, IONN, efficiency, "
        "recursive)."
    )
    return Reproduction(
        name="ionn",
        title="IONN: queries while a network is uploaded",
        publication=PUBLICATION,
        answer=answer,
        setting=_setting(loaded, raced),
        findings=tuple(findings(loaded, raced, timed)),
        tables=(order_table(raced), completion_table(timed), mapping_table(loaded)),
        caption=f"Queries answered during the upload of {first}; dots: confirmed parts",
        picture=charts.answers(list(main.values())),
        unverified=(
            "Queries answered per planner and pieces per planner: IONN draws the course of query times (its Figure "
            "7) and prints no number of it; the text of Shin et al. is not public, so that their order is known from "
            "the code that they released.",
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
        "all of it, as all these planners reckon.",
        "Emulated without executing layers; nobody profiles first; planning takes no virtual time; the upload begins "
        "with the first part. Building a part on the server takes nothing (load_s_per_mb: 0), for no number of it "
        "was printed.",
        f"The rows are of {published()['source'].split(',')[0]}, commit {published()['commit'][:8]}; numbers are "
        "facts, its code is not used. A query's input is the network's, in single precision.",
        f"Penalties of IONN: seven powers of K, then 0 (K = 0.5 unless it says otherwise). {len(raced)} runs race, "
        f"{len(UPLOADS) * len(loaded)} time uploads.",
    )
