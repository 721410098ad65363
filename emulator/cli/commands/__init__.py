"""The subcommands of `layerlift`: each module exports its click commands as `COMMANDS`."""
