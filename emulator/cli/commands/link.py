"""`layerlift link`: the transport of the link between two machines, measured in twenty seconds."""

from __future__ import annotations

import json
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from layerlift.emulator.cli.numbers import Finite
from layerlift.emulator.report.screen import screen
from layerlift.emulator.report.terminal import echo
from layerlift.emulator.studies.link.measuring import SECONDS, Measurement
from layerlift.emulator.studies.link.server import LinkServer
from layerlift.emulator.studies.link.told import Told
from layerlift.emulator.studies.link.wire import PORT
from layerlift.models.errors import RunError
from layerlift.models.text import printable


@click.command()
@click.argument("host", required=False, metavar="[HOST[:PORT]]")
@click.option("--serve", is_flag=True, help="Be the other side: wait for one measurement, and end.")
@click.option(
    "--bind", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="With --serve: where to listen."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="With --serve: which port."
)
@click.option("--for", "for_s", type=Finite(1, 86400), default=600.0, help="With --serve: seconds at most.  [600]")
@click.option("--token", metavar="TOKEN", help="What the other side has printed; with --serve, the one to expect.")
@click.option("--seconds", type=Finite(0.5, 100), default=SECONDS, show_default=True, help="How long it takes.")
@click.option("--one-way", is_flag=True, help="Only from here to there.")
@click.option("--nominal", metavar="MBIT[,MBIT]", help="What the link is sold as, up and down, in Mbit/s of 10^6 bits.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def link(
    host: str | None,
    serve: bool,
    bind: str,
    port: int,
    for_s: float,
    token: str | None,
    seconds: float,
    one_way: bool,
    nominal: str | None,
    as_json: bool,
) -> None:
    r"""What TCP makes of the link to HOST: bandwidth, latency, queue, weight, slow start, as a scenario has them.

    \b
    layerlift link --serve --bind 0.0.0.0                # there; prints a token
    layerlift link HOST --token TOKEN --nominal 80       # here

    Nothing is encrypted, and the server listens on loopback unless --bind says otherwise. Exit code 1, with --serve:
    nobody has measured to the end; 2: nothing could be measured. docs/link.md has it all.
    """
    if serve:
        if host is not None:
            raise RunError(f"{printable(host)!r} is given beside --serve: expected one of the two")
        _serve(bind, port, for_s, token)
        return
    if host is None or token is None:
        raise RunError("expected a HOST and the --token that `layerlift link --serve` printed there, or --serve")
    where, there = address(host)
    rates = _nominal(nominal)
    measurement = Measurement(where, there, token, lambda words: echo(words, err=True))
    told = Told(measurement.run(seconds, both=not one_way), rates)
    if as_json:
        click.echo(json.dumps(told.as_dict(), indent=1, allow_nan=False))
    else:
        _show(told)


def address(text: str) -> tuple[str, int]:
    """Host and port of `HOST`, `HOST:PORT`, `[::1]:PORT` or an address of IPv6; raises `RunError`."""
    host, colon, port = text.rpartition(":")
    if text.startswith("[") and "]" in text:
        host, _, rest = text[1:].partition("]")
        colon, port = (":", rest[1:]) if rest.startswith(":") else ("", rest)
    elif not colon or ":" in host:
        host, colon, port = text, "", ""
    known = port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536
    if not host or (colon and not known) or (not colon and port):
        raise RunError(f"{printable(text)!r} is no address: expected HOST or HOST:PORT, with a port from 1 to 65535")
    return host, int(port) if known else PORT


def _serve(bind: str, port: int, for_s: float, token: str | None) -> None:
    if token is not None and not (len(token) == 32 and token.isascii() and token.isalnum()):
        raise RunError("the --token to expect must be 32 letters and digits; leave it out and one is made")
    server = LinkServer(bind, port, token)
    echo(f"Listening on {bind}:{server.port} for {for_s:g} s, for one measurement. There:", err=True)
    host = bind if bind not in ("0.0.0.0", "::") else "HOST"
    echo(f"layerlift link {host}:{server.port} --token {server.token}")
    done = server.serve(for_s)
    strangers = f"; {server.refused} without the token sent away" if server.refused else ""
    echo(f"{'Measured' if done else 'Nobody has measured to the end'}{strangers}.", err=True)
    if not done:
        raise click.exceptions.Exit(1)


def _nominal(text: str | None) -> list[float]:
    if text is None:
        return []
    try:
        rates = [float(each) for each in text.split(",")]
    except ValueError:
        rates = []
    if not 1 <= len(rates) <= 2 or not all(1e-3 <= rate <= 1e9 for rate in rates):
        raise RunError(f"--nominal is {printable(text)!r}, expected Mbit/s up, or up and down: 80 or 80,200")
    return rates


def _show(told: Told) -> None:
    console = screen()
    for text in told.sentences():
        console.print(Text(text), soft_wrap=not console.is_terminal)
    heads, lines = told.table()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, head in enumerate(heads):
        table.add_column(Text(head), justify="left" if number < 2 else "right", no_wrap=True)
    for line in lines:
        table.add_row(*map(Text, line))
    console.print()
    console.print(table)
    console.print()
    for text in told.scenario():
        echo(text)


COMMANDS: Final[list[click.Command]] = [link]
