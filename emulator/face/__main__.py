"""The command line, as the script `layerlift` and as `python -m layerlift`, where the script is not on the path.

Importing it takes a second. Ctrl-C in that second ends the process by the signal, without a word: nothing was begun,
and Python would show where in whose module it was.
"""

import signal
import sys


def main() -> None:
    """Run the command line of this process."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from layerlift.emulator.cli.main import main as command

    try:
        signal.signal(signal.SIGINT, before)
        command(prog_name="layerlift")
    except KeyboardInterrupt:  # felt just before the command line, which has its own answer, or just after it
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
