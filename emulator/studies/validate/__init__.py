"""Is the emulation true here: real processes, layers and sockets of this machine beside the same world, emulated."""
