"""`python -m layerlift`: the command line, where its script is not on the path."""

from layerlift.emulator.cli.main import main

if __name__ == "__main__":
    main(prog_name="layerlift")
